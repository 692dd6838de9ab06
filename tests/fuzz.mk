# Fuzzing. Included by the Makefile, whose variables it uses.
#
# libFuzzer's instrumentation needs what only nightly Rust allows, or the pinned one when it is told so; no
# sanitizer is used, since there is no unsafe code here to find faults in.

CARGO_FUZZ   := 0.13.1
FUZZ         := $(TOOLS)/cargo-fuzz-$(CARGO_FUZZ)/bin/cargo-fuzz
FUZZ_TARGETS := extractor jws did jwks httpsig hmac redact stream_machine
# Seconds for each target.
FUZZ_TIME    ?= 10
FUZZ_BUILD   := $(TARGET_DIR)/fuzz

$(FUZZ):
	@$(MAKE) --no-print-directory toolchain
	CARGO_TARGET_DIR=$(TOOLS)/build cargo install --locked --root $(TOOLS)/cargo-fuzz-$(CARGO_FUZZ) cargo-fuzz@$(CARGO_FUZZ)
	rm -rf $(TOOLS)/build

# What is found goes beside the build; a finding that is worth keeping is copied into fuzz/corpus by hand.
.PHONY: fuzz-smoke
fuzz-smoke: $(FUZZ) ## Fuzz each parser and the stream machine for ten seconds (FUZZ_TIME=60 for longer)
	@command -v c++ >/dev/null || { echo "a C++ compiler is missing: install the package g++ (macOS: xcode-select --install)" >&2; exit 1; }
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p $(FUZZ_BUILD)/corpus/$$target $(FUZZ_BUILD)/found || exit 1; \
		echo "fuzzing $$target for $(FUZZ_TIME) s …"; \
		(cd filter/core && RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$(FUZZ_BUILD) $(FUZZ) run --fuzz-dir fuzz --sanitizer none $$target \
			$(FUZZ_BUILD)/corpus/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_TIME) -max_len=4096 -timeout=10 -print_final_stats=1 \
			-artifact_prefix=$(FUZZ_BUILD)/found/$$target-) > $(FUZZ_BUILD)/found/$$target.log 2>&1 \
			|| { tail -40 $(FUZZ_BUILD)/found/$$target.log >&2; exit 1; }; \
		sed -n 's/^stat::number_of_executed_units: */  inputs: /p' $(FUZZ_BUILD)/found/$$target.log; \
	done
