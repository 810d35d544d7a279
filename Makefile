# Two commands for a newcomer: `make demo` and `make test`. `make help` lists
# the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PREFIX ?= /usr/local
CACHE := $(or $(PACKRANK_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/packrank)
export PACKRANK_CACHE := $(CACHE)

export PREFIX DESTDIR

.PHONY: help build install uninstall deb demo quick test test-all check vm bench bench-vm soak fuzz vm-image vm-shell clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## every binary, static, into out/bin
	@scripts/setup build
	@scripts/build

demo: ## one container per class on packrank's own engine, read back from the kernel
	@scripts/setup demo
	@scripts/build
	@cargo run --quiet --locked -p packrank-tests --bin demo -- out/bin

quick: ## format, lints, unit, property, golden and simulation tests: a minute once it is built
	@scripts/setup build
	@scripts/quick

test: ## quick, native engines, and every case of the fast guest: what must be green
	@scripts/setup test
	@scripts/test

test-all: ## test, every case on QEMU too, soak, a longer fuzz, no flaky test: what a release needs
	@scripts/setup test
	@scripts/test-all

check: ## formatting, lints, docs, licences
	@scripts/setup build
	@scripts/check

bench: ## medians, spread and ratios beside the peers
	@scripts/setup bench
	@scripts/youki
	@scripts/earlyoom
	@scripts/build
	@bench/run

bench-vm: ## protection and reaction in the guest, beside systemd-oomd and earlyoom
	@scripts/setup test
	@scripts/build
	@bench/guest/run

soak: ## a thousand containers of the shim's in a row, and 50 at once for five minutes
	@scripts/setup test
	@scripts/build
	@PACKRANK_BIN=$(CURDIR)/out/bin cargo test --locked -p packrank-tests --test outside -- --ignored --nocapture --test-threads 1 soak

fuzz: ## each fuzz target for SECONDS (60)
	@fuzz/run $(or $(SECONDS_EACH),60)

install: ## what out/bin holds, with man pages and completions, under DESTDIR and PREFIX
	@scripts/install

uninstall: ## away with it, and the engines are given back what they had
	@scripts/uninstall

deb: ## a Debian package of it in out/
	@scripts/deb

vm: ## every case that the fast Debian 13 guest can run
	@scripts/setup build
	@scripts/build
	@tests/vm/run

vm-image: ## the Debian 13 guest's image and kernel, built once and kept outside the tree
	@tests/vm/image
	@tests/vm/kernel

vm-shell: ## a root shell in the guest
	@scripts/build
	@tests/vm/shell

clean: ## what was built
	cargo clean
	rm -rf out
