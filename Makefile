# `make demo` runs the main job; `make test` passes the tests. Both install
# what they need (apt, where they may; npm) and say what they can't.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

PROFILE_DIR := target/debug

.PHONY: help demo build console test test-local test-fast soak bench clean deps-demo deps-test packages-test \
	packages-aws infra template lambdas test-image test-aws bench-aws bootstrap deploy
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

test: packages-aws test-local test-aws ## Everything that must hold: test-local, then test-aws

# Without the console `make build` only warns; the tests need it.
test-local: CONSOLE_REQUIRED := 1
test-local: deps-test build ## What needs no containers: lints, unit, end to end, browser
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
	target/release/bench-outages

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

# On AWS. ARCH is what functions and workers run on: arm64 (a fifth cheaper) or
# x86_64. Where nothing is said it is this machine's, which builds the workers'
# image without emulation.

ARCH ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
TOOLS := .venv-aws/bin
# cargo-lambda finds zig beside it.
CARGO_LAMBDA := PATH="$(CURDIR)/$(TOOLS):$$PATH" cargo lambda build --locked --profile lambda \
	$(if $(filter arm64,$(ARCH)),--arm64,--x86-64) --output-format zip --package functions

# Without the app: its programs need not be built for this.
bootstrap: infra/node_modules/.package-lock.json ## CDK's own bucket and registry, once for an account and region
	account=$$(aws sts get-caller-identity --query Account --output text)
	region=$${AWS_REGION:-$${AWS_DEFAULT_REGION:-$$(aws configure get region)}}
	# An account that never had a cluster lacks it, and the stack's would fail.
	aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com >/dev/null 2>&1 || true
	cd infra && npx cdk bootstrap --app '' "aws://$$account/$$region"

# A stack keeps the parameters that it has; this one goes with what is built.
deploy: infra/node_modules/.package-lock.json lambdas ## The stack into your AWS account (ARCH=arm64|x86_64, ARGS='--parameters …')
	cd infra && npx cdk deploy --context architecture=$(ARCH) --parameters Architecture=$(ARCH) \
		--outputs-file cdk.out/outputs.json $(ARGS)
	node -e 'for (const { ApiUrl } of Object.values(JSON.parse(fs.readFileSync("cdk.out/outputs.json", "utf8"))))
		if (ApiUrl) console.log("export EZLIVE_URL=" + ApiUrl)'

lambdas: .venv-aws/installed ## The functions' zips, in target/lambda
	$(CARGO_LAMBDA) --bin api --bin scheduler

template: infra/node_modules/.package-lock.json ## infra/template.yaml and infra/COSTS.md, anew from the CDK app
	cd infra && npm run --silent template && npm run --silent costs

infra: infra/node_modules/.package-lock.json .venv-aws/installed ## What can be said of the stack without deploying it
	(cd infra && npm test --silent && npm run --silent template -- --check && npm run --silent costs -- --check)
	$(TOOLS)/cfn-lint infra/template.yaml
	$(TOOLS)/hadolint infra/worker.Dockerfile

# Said before anything is built, not half an hour later.
packages-aws:
	@scripts/install.sh ffmpeg cc npm python3 podman

test-image: packages-aws ## The worker's image, of the debug build
	cargo build --locked --workspace --bins
	scripts/test-image.sh

test-aws: ARCH := x86_64
test-aws: packages-aws infra lambdas test-image ## The stack, deployed to an emulator: a channel plays through it
	$(CARGO_LAMBDA) --bin floor --features floor
	$(TOOLS)/python -m pytest tests/aws

bench-aws: ARCH := x86_64
bench-aws: lambdas ## Cold starts and zip sizes
	$(CARGO_LAMBDA) --bin floor --features floor
	$(TOOLS)/python tests/aws/cold_start.py 200

infra/node_modules/.package-lock.json: infra/package.json infra/package-lock.json
	@scripts/install.sh npm
	cd infra && npm ci --no-audit --no-fund --silent
	touch node_modules/.package-lock.json

.venv-aws/installed: tests/aws/requirements.txt
	@scripts/install.sh python3
	python3 -m venv .venv-aws
	.venv-aws/bin/pip install --quiet --disable-pip-version-check --requirement tests/aws/requirements.txt
	touch $@

clean: ## What was built
	cargo clean
	rm -rf console/dist console/node_modules tests/browser/node_modules .venv .venv-aws infra/node_modules infra/cdk.out
