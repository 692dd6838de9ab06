# What the filter costs. Included by the Makefile, whose variables it uses.

NOOP_WASM     := $(TARGET_DIR)/wasm32-wasip1/module/noop.wasm
VM_SPEED_WASM := $(TARGET_DIR)/wasm32-wasip1/module/examples/vm_speed.wasm
COUNT_SPEED_WASM := $(TARGET_DIR)/wasm32-wasip1/module/examples/count_speed.wasm
COUNT_SPEED_BIN  := $(TARGET_DIR)/release/examples/count_speed
REDACT_SPEED_WASM := $(TARGET_DIR)/wasm32-wasip1/module/examples/redact_speed.wasm
REDACT_SPEED_BIN  := $(TARGET_DIR)/release/examples/redact_speed
MEMORY_SPEED_BIN  := $(TARGET_DIR)/release/examples/memory_speed
# Another tokenizer, to be compared with.
PEERS_TOKENS := $(TARGET_DIR)/peers/tokens-$(firstword $(shell cksum < tests/peers/tokens/package-lock.json))

# As in: make bench BENCH_ARGS='--quick --rows bare,native,attach'
BENCH_ARGS ?=

.PHONY: bench
bench: build wrk peers-tokens ## CPU, throughput, latency, memory beside bare Envoy and jwt_authn (BENCH_ARGS=--help)
	cargo build --profile module --target wasm32-wasip1 --package noop-filter
	cargo build --profile module --target wasm32-wasip1 --package attach-core --example vm_speed \
		--example count_speed --example redact_speed
	cargo build --release --package attach-core --example count_speed --example redact_speed
	cargo build --release --package attach-control --example memory_speed
	ATTACH_BIN=$(ATTACH) ATTACH_WASM=$(WASM) NOOP_WASM=$(NOOP_WASM) VM_SPEED_WASM=$(VM_SPEED_WASM) \
		COUNT_SPEED_WASM=$(COUNT_SPEED_WASM) COUNT_SPEED_BIN=$(COUNT_SPEED_BIN) \
		REDACT_SPEED_WASM=$(REDACT_SPEED_WASM) REDACT_SPEED_BIN=$(REDACT_SPEED_BIN) \
		MEMORY_SPEED_BIN=$(MEMORY_SPEED_BIN) ATTACH_TEST_WEAVIATE=$(PEERS_WEAVIATE) \
		TOKENIZER=$(PEERS_TOKENS)/count_speed.mjs \
		ATTACH_TEST_STATE=$(TARGET_DIR)/bench \
		cargo run --release --quiet --package attach-tests --bin bench -- $(BENCH_ARGS)

.PHONY: soak
soak: ## Memory over a million model calls by 100,000 users
	@$(MAKE) --no-print-directory bench BENCH_ARGS='--rows vm-memory --calls 1000000 $(BENCH_ARGS)'

.PHONY: peers-tokens
peers-tokens:
	@command -v npm >/dev/null \
		|| { echo "Node is missing: install the packages nodejs and npm" >&2; exit 1; }
	@[ -f $(PEERS_TOKENS)/installed ] || { \
		echo "installing js-tiktoken …"; \
		rm -rf $(PEERS_TOKENS) && mkdir -p $(PEERS_TOKENS) \
		&& cp tests/peers/tokens/package.json tests/peers/tokens/package-lock.json $(PEERS_TOKENS) \
		&& npm ci --prefix $(PEERS_TOKENS) --silent --no-audit --no-fund \
		&& touch $(PEERS_TOKENS)/installed; }
	@cp tests/peers/tokens/count_speed.mjs $(PEERS_TOKENS)

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || { echo "wrk is missing: install the package wrk" >&2; exit 1; }
