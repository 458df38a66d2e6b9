# The targets of the project. `make` alone lists them, by the sentence after `##` beside each.
# CARGO_TARGET_DIR is honoured; a cluster that KUBECONFIG names is used instead of one of our own.

.DEFAULT_GOAL := help
# Cargo's jobs and the cluster share the machine already.
.NOTPARALLEL:

# The image holds no libraries, so the programs are linked statically, which takes an explicit target: without one the
# flag would reach build scripts too. A target of its own also keeps the development build as it is.
STATIC_TARGET := x86_64-unknown-linux-gnu
# The command line is for the machine that builds it, and runs on others whatever C library they have.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
CLI = $(or $(CARGO_TARGET_DIR),target)/$(HOST)/release/kubectl-sidecar
CLUSTER := e2e/cluster/cluster

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo demo-down
demo: ## Show the whole thing on a real cluster: a policy, an app that knows nothing of it, and its shipped log.
	@e2e/demo
demo-down: ## Remove what the demo made, its cluster included.
	@e2e/demo down

.PHONY: test test-unit test-chart test-e2e test-faults
test: ## Run every test there is, on a real cluster too, and print one summary. KEEP_CLUSTER=1 keeps the cluster.
	@e2e/test-all
test-unit: test-format test-lint test-documentation test-rust ## Run what needs no cluster: formatting, lint, documentation, unit, property and golden tests.
test-chart: ## Run the tests of the Helm chart; they need the cluster's tools, see cluster-up.
	@$(CLUSTER) tool promtool > /dev/null
	$(CLUSTER) run charts/test
test-e2e: binaries ## Run the end-to-end tests, on a cluster that is brought up for them unless one is up.
	e2e/with-cluster e2e/run-tests
test-faults: binaries ## Kill and stop the processes of installation and cluster, and count what is lost; half an hour. SOAK_SECONDS, READY_ROUNDS.
	e2e/with-cluster e2e/run-tests faults

.PHONY: test-long fuzz
test-long: ## Run the property tests with 10 000 cases each (PROPTEST_CASES), instead of 256; several minutes.
	PROPTEST_CASES=$${PROPTEST_CASES:-10000} cargo test --locked --no-fail-fast --profile checked --workspace --exclude e2e
fuzz: ## Fuzz the heart, each target for FUZZ_SECONDS (60). What breaks it is left in inject/fuzz/artifacts.
	inject/fuzz/run

.PHONY: test-format test-lint test-documentation test-rust
test-format: ## Check the formatting of the Rust code.
	cargo fmt --all --check
test-lint: ## Run clippy; warnings are errors.
	cargo clippy --locked --workspace --all-targets -- -D warnings
test-documentation: ## Build the documentation of the code; warnings are errors.
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
test-rust: ## Run the unit, property and golden tests.
	cargo test --locked --no-fail-fast --workspace --exclude e2e
	cargo test --locked --package e2e --lib

.PHONY: binaries image cli krew-archive krew-manifest crds bench
binaries: ## Build the static programs that go into the image.
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target $(STATIC_TARGET) -p operator -p webhook
image: binaries ## Build the image, docker.io/sidecarpolicy/sidecar-policy:dev.
	e2e/images/build sidecar-policy
cli: ## Build the command line, kubectl-sidecar, into cargo's target folder, and print where it is.
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target $(HOST) --package cli
	@echo $(CLI)
krew-archive: cli ## Pack the command line for Krew, for the platform of this machine, into target/krew.
	krew/archive $$(uname -s | tr A-Z a-z) $$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/') \
	    $(CLI)
krew-manifest: ## Print the manifest for Krew of the archives of all platforms in target/krew. HOMEPAGE, ARCHIVES_URL.
	@krew/manifest "$(HOMEPAGE)" "$(ARCHIVES_URL)"
crds: ## Write the custom resource definitions of the chart again, from the types.
	cargo run --locked --package crds --example generate-crds -- charts/sidecar-policy/templates/crds
bench: ## Measure the heart, the webhook against a server that does nothing, and creates in the cluster if it is up, and the operator with 100 000 pods; eight minutes.
	cargo bench --package bench
	bench/run
	bench/operator
	bench/api-server

.PHONY: cluster-up cluster-down cluster-shell
cluster-up: ## Bring a kind cluster up, with all it takes.
	$(CLUSTER) up
cluster-down: ## Delete the cluster and what was started for it.
	$(CLUSTER) down
cluster-shell: ## Open a shell in which kubectl, helm and kind reach the cluster.
	@$(CLUSTER) shell
