# Everything here is a plain cargo command; `make` only puts them in order.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test chaos bench fmt lint doc

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## Install Redis if it is missing, then show the pipeline at work
	scripts/install.sh demo
	cargo run --release --bin pipeline -- demo

# cargo's own summary must be the last thing printed, so the tests come after every other check.
test: ## Install what the tests need, then run every check and every test
	scripts/install.sh test
	cargo fmt --all --check
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory doc
	cargo test --workspace --features failpoints

# The table is printed after a failure too: of what held until then.
chaos: export WRITE_BEHIND_CHAOS = full
chaos: ## Run every fault at full size, and print what was done and seen
	scripts/install.sh test
	@rm -f $${CARGO_TARGET_DIR:-target}/tmp/chaos.md
	cargo test --features failpoints --test chain_model --test simulation
	cargo test --features failpoints --test integration -- --test-threads=8 faults::; \
	    status=$$?; cat $${CARGO_TARGET_DIR:-target}/tmp/chaos.md; exit $$status

# `make bench BENCH_ARGS=--quick` takes under 90 seconds; BENCH_ARGS=--help has the rest.
bench: BENCH_ARGS ?= --plots docs
bench: ## Measure the pipeline against the fastest way to write the same rows
	scripts/install.sh test
	cargo bench --bench throughput -- $(BENCH_ARGS)

fmt: ## Format the sources
	cargo fmt --all

lint: ## Run clippy; warnings are errors
	cargo clippy --workspace --all-targets --features failpoints -- -D warnings
	@# Those are not all: a benchmark that only runs when named is only checked when named.
	cargo clippy --bench throughput --features failpoints -- -D warnings

doc: ## Build the documentation; warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace
