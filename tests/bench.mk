# What the filter costs. Included by the Makefile, whose variables it uses.

NOOP_WASM     := $(TARGET_DIR)/wasm32-wasip1/module/noop.wasm
VM_SPEED_WASM := $(TARGET_DIR)/wasm32-wasip1/module/examples/vm_speed.wasm

# As in: make bench BENCH_ARGS='--quick --rows bare,native,attach'
BENCH_ARGS ?=

.PHONY: bench
bench: build wrk ## CPU, throughput, latency, memory beside bare Envoy and jwt_authn (BENCH_ARGS=--help)
	cargo build --profile module --target wasm32-wasip1 --package noop-filter
	cargo build --profile module --target wasm32-wasip1 --package attach-core --example vm_speed
	ATTACH_BIN=$(ATTACH) ATTACH_WASM=$(WASM) NOOP_WASM=$(NOOP_WASM) VM_SPEED_WASM=$(VM_SPEED_WASM) \
		ATTACH_TEST_STATE=$(TARGET_DIR)/bench \
		cargo run --release --quiet --package attach-tests --bin bench -- $(BENCH_ARGS)

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || { echo "wrk is missing: install the package wrk" >&2; exit 1; }
