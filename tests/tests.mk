# The black-box tests and what they need. Included by the Makefile, whose variables it uses.
#
# Everything real that the tests talk to is installed once, under $(PEERS), outside git. A stamp's name
# holds a hash of what was installed, so that a new pin is a new installation.

PEERS        := $(TARGET_DIR)/peers
OLLAMA       := github.com/ollama/ollama@v0.5.13
PEERS_PYTHON := $(PEERS)/python-$(firstword $(shell cksum < tests/peers/requirements.txt))
PEERS_NODE   := $(PEERS)/oidc-provider-$(firstword $(shell cksum < tests/peers/oidc-provider/package-lock.json))
PEERS_CREDENTIALS := $(PEERS)/credentials-$(firstword $(shell cksum < tests/peers/credentials/package-lock.json))
VERIFY_EXAMPLE := $(TARGET_DIR)/release/examples/verify_assertion
PEERS_OLLAMA := $(PEERS)/$(subst @,-,$(notdir $(OLLAMA)))/ollama
WEAVIATE_NEWEST    := v1.36.0
# The oldest one that memory is kept in, which is also the one that `make memory-up` starts, and the newest.
PEERS_WEAVIATE     := $(call weaviate,$(WEAVIATE_VERSION))
PEERS_WEAVIATE_NEW := $(call weaviate,$(WEAVIATE_NEWEST))

# CI has no missing peers: there, what is skipped elsewhere is a failure.
REQUIRE_PEERS := $(or $(ATTACH_TEST_REQUIRE_PEERS),$(filter true,$(CI)))

# What the tests read (tests/src/env.rs).
E2E_ENV = ATTACH_BIN=$(ATTACH) ATTACH_TEST_MODULE=$(WASM) ATTACH_TEST_STATE=$(TARGET_DIR)/e2e \
	ATTACH_TEST_PYTHON=$(PEERS_PYTHON)/bin/python ATTACH_TEST_OIDC_PROVIDER=$(PEERS_NODE)/server.mjs \
	ATTACH_TEST_CREDENTIALS=$(PEERS_CREDENTIALS) ATTACH_TEST_REDIS="$$(command -v redis-server)" \
	ATTACH_TEST_PROMTOOL="$$(command -v promtool)" ATTACH_TEST_PROMETHEUS="$$(command -v prometheus)" \
	ATTACH_TEST_VERIFY_EXAMPLE=$(VERIFY_EXAMPLE) \
	ATTACH_TEST_WEAVIATE=$(PEERS_WEAVIATE) ATTACH_TEST_WEAVIATE_NEW=$(PEERS_WEAVIATE_NEW) \
	ATTACH_TEST_OLLAMA=$(PEERS_OLLAMA) ATTACH_TEST_REQUIRE_PEERS=$(REQUIRE_PEERS)

# As in: make test-e2e TESTS=stamping
TESTS ?=
# More than there are processors: what most tests do most of the time is wait.
TEST_THREADS ?= 4

.PHONY: test-e2e
test-e2e: build verify-example test-setup ## The gateway from outside: real Envoy, real module, real peers (TESTS=name for some)
	$(E2E_ENV) cargo test --package attach-tests --no-fail-fast -- --test-threads $(TEST_THREADS) $(TESTS)

.PHONY: verify-example
verify-example: build
	cargo build --release --package attach-control --example verify_assertion

.PHONY: test-setup
test-setup: peers-python peers-node peers-credentials peers-redis peers-prometheus peers-ollama peers-weaviate ## Install what those tests talk to

.PHONY: peers-python
peers-python: python3
	@[ -f $(PEERS_PYTHON)/installed ] || { \
		echo "installing the Python clients of the tests …"; \
		rm -rf $(PEERS_PYTHON) && mkdir -p $(PEERS) \
		&& python3 -m venv $(PEERS_PYTHON) \
		&& $(PEERS_PYTHON)/bin/pip install --quiet --disable-pip-version-check -r tests/peers/requirements.txt \
		&& touch $(PEERS_PYTHON)/installed; }

# The tests cannot do without Python: it writes Ollama's model and runs the clients.
.PHONY: python3
python3:
	@python3 -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "Python 3 with venv is missing: install the package python3-venv" >&2; exit 1; }

.PHONY: peers-node
peers-node:
	@if command -v npm >/dev/null; then \
		[ -f $(PEERS_NODE)/installed ] || { \
			echo "installing oidc-provider …"; \
			rm -rf $(PEERS_NODE) && mkdir -p $(PEERS_NODE) \
			&& cp tests/peers/oidc-provider/package.json tests/peers/oidc-provider/package-lock.json $(PEERS_NODE) \
			&& npm ci --prefix $(PEERS_NODE) --silent --no-audit --no-fund \
			&& touch $(PEERS_NODE)/installed; } || exit 1; \
		cp tests/peers/oidc-provider/server.mjs $(PEERS_NODE); \
	else \
		$(call without,Node,the packages nodejs and npm,the identity provider's tests); \
	fi

# Nobody else makes these credentials, and without them nothing says that the gateway accepts what is in use:
# the tests of credentials do not skip.
.PHONY: peers-credentials
peers-credentials:
	@command -v npm >/dev/null \
		|| { echo "Node is missing: install the packages nodejs and npm" >&2; exit 1; }
	@[ -f $(PEERS_CREDENTIALS)/installed ] || { \
		echo "installing did-jwt, ethers, jose, web-bot-auth …"; \
		rm -rf $(PEERS_CREDENTIALS) && mkdir -p $(PEERS_CREDENTIALS) \
		&& cp tests/peers/credentials/package.json tests/peers/credentials/package-lock.json $(PEERS_CREDENTIALS) \
		&& npm ci --prefix $(PEERS_CREDENTIALS) --silent --no-audit --no-fund \
		&& touch $(PEERS_CREDENTIALS)/installed; }
	@cp tests/peers/credentials/*.mjs $(PEERS_CREDENTIALS)

.PHONY: peers-redis
peers-redis:
	@command -v redis-server >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing redis-server …"; \
			DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server >/dev/null; \
		fi; }
	@command -v redis-server >/dev/null \
		|| { echo "redis-server is missing: install the package redis-server" >&2; exit 1; }

# It judges the gateway's metrics and reads them.
.PHONY: peers-prometheus
peers-prometheus:
	@{ command -v prometheus && command -v promtool; } >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing prometheus …"; \
			DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends prometheus >/dev/null; \
		fi; }
	@command -v promtool >/dev/null && command -v prometheus >/dev/null \
		|| { echo "prometheus or promtool is missing: install the package prometheus" >&2; exit 1; }

.PHONY: peers-ollama
peers-ollama:
	@if [ -x $(PEERS_OLLAMA) ]; then :; \
	elif command -v go >/dev/null; then \
		echo "building Ollama (a minute or two) …"; \
		mkdir -p $(dir $(PEERS_OLLAMA)) && GOBIN=$(dir $(PEERS_OLLAMA)) go install $(OLLAMA); \
	else \
		$(call without,Go,the package golang-go,the real engine's tests); \
	fi

# One after the other, whatever `make -j` says: each takes all processors, and gigabytes of memory.
.PHONY: peers-weaviate
peers-weaviate:
	@if [ -x $(PEERS_WEAVIATE) ] && [ -x $(PEERS_WEAVIATE_NEW) ]; then :; \
	elif command -v go >/dev/null; then \
		$(call install-weaviate,$(WEAVIATE_VERSION)) && $(call install-weaviate,$(WEAVIATE_NEWEST)); \
	else \
		$(call without,Go,the package golang-go,the real vector store's tests); \
	fi

# $(call without,what is missing,what to install,what is not tested)
define without
echo "$(1) is missing, so $(3) are skipped: install $(2)" >&2; [ -z "$(REQUIRE_PEERS)" ]
endef
