# `make demo` runs the main job; `make test` passes the tests. Both install
# what they need (apt, where they may; npm) and say what they can't.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

PROFILE_DIR := target/debug

.PHONY: help demo test test-fast build console bench clean deps-demo deps-test

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -t -s $$'\t'

demo: deps-demo build ## A channel on this machine: job, publisher, picture (DEMO_SECONDS=30 ends by itself)
	exec $(PROFILE_DIR)/demo

build: console ## The programs, with the console in them where npm is installed
	cargo build --locked --workspace --bins

console: console/dist/index.html

console/dist/index.html: $(shell find console -path console/node_modules -prune -o -path console/dist -prune -o -type f -print)
	@if command -v npm >/dev/null; then
		(cd console && npm ci --no-audit --no-fund --silent && npm run build --silent) || {
			echo "warning: the console can't be built (Node too old, or no registry): ezlive is built without it" >&2
			[ -z "$(CONSOLE_REQUIRED)" ]
		}
	else
		echo "npm is not installed: ezlive is built without its console"
	fi

# Without the console `make build` only warns; the tests need it.
test: CONSOLE_REQUIRED := 1
test: deps-test build ## Everything that must hold: lints, unit, end to end, browser
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	(cd console && npm test --silent)
	cargo test --locked --workspace --no-fail-fast

test-fast: ## The tests of the crates alone
	cargo test --locked --workspace --exclude tests

bench: deps-demo ## The figures of the README, measured again (release build)
	cargo build --locked --release --workspace --bins
	target/release/bench-channel
	target/release/bench-api
	target/release/bench-scheduling

deps-demo: ## FFmpeg and a C compiler, by apt where that is allowed
	@scripts/install.sh ffmpeg cc

deps-test: tests/browser/node_modules/.package-lock.json .venv/installed ## What the tests need besides
	@scripts/install.sh ffmpeg cc npm chromium python3

tests/browser/node_modules/.package-lock.json: tests/browser/package-lock.json tests/browser/package.json
	@scripts/install.sh npm
	cd tests/browser && npm ci --no-audit --no-fund --silent
	touch node_modules/.package-lock.json

.venv/installed: tests/schema/requirements.txt
	@scripts/install.sh python3
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/schema/requirements.txt
	touch $@

clean: ## What was built
	cargo clean
	rm -rf console/dist console/node_modules tests/browser/node_modules .venv
