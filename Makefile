# Everything a newcomer needs: `make demo` shows what Hansard does, `make test` proves it.
# Each target first installs what is missing (scripts/install.sh says what, and asks nothing).

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo serve test quick bench lint doctor web

export CARGO_TARGET_DIR ?= $(HOME)/.cache/hansard/target
# Where rustup puts cargo; the installer leaves shell profiles alone.
export PATH := $(HOME)/.cargo/bin:$(PATH)

hansard := $(CARGO_TARGET_DIR)/release/hansard

help:
	@echo 'make demo    a meeting of bundled voices, live captions, its recording and transcript'
	@echo 'make serve   the same server without the play'
	@echo 'make doctor  what is missing or misconfigured, and how to mend it'
	@echo 'make test    every test'
	@echo 'make quick   the rules and clippy, in seconds'
	@echo 'make bench   latency, cost and load, measured on this machine'
	@echo 'make lint    format, clippy and documentation'
	@echo 'make web     builds the pages anew (with Node 20), after a change in web/src'

demo:
	@scripts/install.sh run
	cargo build --release --locked --bin hansard
	@$(hansard) demo $(ARGS)

serve:
	@scripts/install.sh run
	cargo build --release --locked --bin hansard
	@exec $(hansard) serve $(ARGS)

doctor:
	@scripts/install.sh run
	cargo build --release --locked --bin hansard
	@$(hansard) doctor $(ARGS)

# The summaries of all test programs once more at the end.
test:
	@scripts/install.sh test
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; set -o pipefail; \
	cargo test --workspace --locked $(ARGS) 2>&1 | tee "$$log"; status=$$?; \
	echo; grep -E '^test .* FAILED$$' "$$log"; grep '^test result:' "$$log"; exit $$status

# What a change breaks most often. The rest of the simulated meetings comes with `make test`.
quick:
	@scripts/install.sh build
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --package hansard-domain --lib --locked $(ARGS)

# ARGS='-- --all' for everything at full length; docs/BENCHMARKS.md says more.
bench:
	@scripts/install.sh test
	cargo bench --workspace --locked --bench media --bench meeting $(ARGS)

# The built pages are committed: the program is built without Node.
web:
	cd web && npm ci --no-audit --no-fund && npm run build

lint:
	@scripts/install.sh build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --package hansard --bin hansard --no-default-features --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked
