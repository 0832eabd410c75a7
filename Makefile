# `make demo` runs the main job; `make test` passes the tests. Both install
# what they need (apt, where they may; npm) and say what they can't.

# A recipe may use what the one before it has installed, also under `-j`.
.NOTPARALLEL:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

PROFILE_DIR := target/debug

.PHONY: help demo build console test test-fast soak bench clean deps-demo deps-test packages-test
# Packages first, then what is built on them; cargo works in parallel by itself.
.NOTPARALLEL:

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: deps-demo build ## A channel on this machine: job, publisher, picture (DEMO_SECONDS=30 ends by itself)
	@exec $(PROFILE_DIR)/demo

build: console ## The programs, with the console in them where npm is installed
	cargo build --locked --workspace --bins

console: console/dist/index.html

console/dist/index.html: live_job.json $(shell find console -path console/node_modules -prune -o -path console/dist -prune -o -type f -print)
	@if command -v npm >/dev/null; then
		(cd console && npm ci --no-audit --no-fund --silent && npm run build --silent) || {
			echo "warning: the console can't be built (Node too old, or no registry): ezlive is built without it" >&2
			[ -z "$(CONSOLE_REQUIRED)" ]
		}
	else
		echo "npm is not installed: ezlive is built without its console" >&2
		[ -z "$(CONSOLE_REQUIRED)" ]
	fi

# Without the console `make build` only warns; the tests need it.
test: CONSOLE_REQUIRED := 1
test: deps-test build ## Everything that must hold: lints, unit, end to end, browser
	@set -x
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	(cd console && npm test --silent)
	cargo test --locked --workspace --no-fail-fast

test-fast: ## The tests of the crates alone
	cargo test --locked --workspace --exclude tests

SEEDS ?= 20000
FROM ?= 1
soak: ## Seeded fault runs, many (SEEDS=20000 FROM=1): prints the seeds that fail, and how to repeat one
	SEEDS=$(SEEDS) FROM=$(FROM) cargo test --locked --workspace --test faults seeds -- --nocapture

bench: deps-demo ## The figures of the README, measured again (release build)
	cargo build --locked --release --workspace --bins
	target/release/bench-channel
	target/release/bench-api
	target/release/bench-scheduling

deps-demo: ## FFmpeg and a C compiler, by apt where that is allowed; npm for the web console
	@scripts/install.sh ffmpeg cc npm?

deps-test: packages-test tests/browser/node_modules/.package-lock.json .venv/installed ## What the tests need besides

packages-test:
	@scripts/install.sh ffmpeg cc npm chromium python3

tests/browser/node_modules/.package-lock.json: tests/browser/package-lock.json tests/browser/package.json | packages-test
	cd tests/browser && npm ci --no-audit --no-fund --silent
	touch node_modules/.package-lock.json

.venv/installed: tests/schema/requirements.txt | packages-test
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

clean: ## What was built
	cargo clean
	rm -rf console/dist console/node_modules tests/browser/node_modules .venv
