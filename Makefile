# The targets a developer types. `make help` lists them.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
LINT      = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
RESULTS  := build/results
FUZZTIME ?= 10s
SUITES   ?=
SYSTEMS  ?=
TARGETS  ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
LINKS    ?=
export SYSTEMS
export CGO_ENABLED ?= 0

LDFLAGS   = $(shell packaging/version.sh ldflags)
LAUNCHERS = $(addprefix ./,$(wildcard plugins/*/ipcore-launcher-*))

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.PHONY: go-check
go-check:
	@test/go-version.sh "$(GO)"

.PHONY: build
build: go-check ## Build ipcore and every launcher into bin/
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/ipcore $(LAUNCHERS)

.PHONY: man
man: go-check ## Write the manual pages into build/man; install and dist include them
	@$(GO) run -trimpath -ldflags "$(LDFLAGS)" ./cmd/ipcore reference --man build/man

HOST = $(shell $(GO) env GOHOSTOS) $(shell $(GO) env GOHOSTARCH)

.PHONY: install
install: go-check man ## Install below PREFIX (/usr/local); LINKS=1 adds ipcluster, ipcontroller, ipengine
	@GO="$(GO)" packaging/tree.sh $(HOST) build/tree/install
	@DESTDIR="$(DESTDIR)" build/tree/install/install.sh --prefix="$(abspath $(PREFIX))" $(if $(LINKS),--links)

.PHONY: uninstall
uninstall: ## Remove what make install put below PREFIX
	@DESTDIR="$(DESTDIR)" packaging/install.sh --prefix="$(abspath $(PREFIX))" --uninstall

.PHONY: dist
dist: go-check man ## Archives, Debian packages and checksums in build/dist; TARGETS='linux/amd64 ...' chooses
	@GO="$(GO)" packaging/dist.sh build/dist $(TARGETS)

.PHONY: test-release
test-release: go-check man ## Install the archive and the package on a bare Debian 12, use and remove them; needs root
	@GO="$(GO)" test/release/run.sh

.PHONY: examples
examples: build
	$(GO) build -trimpath -o build/ ./examples/sunspots

.PHONY: demo
demo: examples ## Start a cluster, run a real computation on it, stop it (about 20 s)
	@examples/sunspots/demo.sh

.PHONY: test
test: build ## vet, unit tests, race detector, and the real Python clients against local engines
	@test/make-test.sh $(SUITES)

.PHONY: test-systems
test-systems: examples ## End-to-end checks of each launcher on its system; SYSTEMS='local ...' chooses
	@test/make-test-systems.sh $(SUITES)

.PHONY: test-launchers
test-launchers: build ## The long form: kills, cancellations, outages and every fault, on each system (slow)
	@test/make-test-systems.sh --long $(SUITES)

.PHONY: test-robust
test-robust: go-check ## A controller among hostile peers, crashes and a full disk; long histories (twenty minutes; make test-systems has the short form)
	IPCORE_TEST_LONG=1 $(GO) test -p 1 -count=1 -timeout 60m -v ./test/robust ./core/controller/db/...

.PHONY: conformance
conformance: build ## Run the test suites of ipyparallel 7.1 and 9.1 with our controller in place of theirs (half an hour or more)
	@test/upstream/run.sh $(SUITES)

.PHONY: bench
bench: build ## Measure start, stop, memory and task rates beside upstream, against test/bench/thresholds.json
	$(GO) build -o build/ ./test/bench/rates
	@test/bench/run.sh

.PHONY: mongo
mongo: go-check ## Start the MongoDB-like server of the database tests (test/testbed/mongo.sh)
	@test/testbed/mongo.sh up

.PHONY: bench-peers
bench-peers: build ## Load our controller, upstream's and a bare libzmq forwarder in turns (slow: a quarter of an hour)
	$(GO) build -o build/ipload ./test/load/ipload
	@test/bench/peers.sh

.PHONY: reference
reference: build ## Write docs/reference again: every command and every launcher's options
	bin/ipcore reference --markdown docs/reference

.PHONY: docs
docs: ## Build the documentation site into build/site, and check its links
	@test -x build/docs-venv/bin/sphinx-build || python3 -m venv build/docs-venv
	@build/docs-venv/bin/pip install -q --disable-pip-version-check -r docs/site/requirements.txt
	@build/docs-venv/bin/python docs/site/build.py

.PHONY: transcript
transcript: build ## Write the README's transcript of a run again
	@test/transcript.sh

.PHONY: lint
lint: go-check ## Static analysis (compiles golangci-lint the first time)
	$(GO) run $(LINT) run ./...

.PHONY: fuzz
fuzz: go-check ## Run every fuzz target for FUZZTIME (default 10s)
	@test/fuzz.sh "$(GO)" "$(FUZZTIME)"

.PHONY: cross
cross: go-check ## Compile everything for macOS and Windows
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./...

.PHONY: generate
generate: go-check ## Generate the protobuf code again
	sdk/proto/generate.sh

.PHONY: generate-check
generate-check: go-check ## Fail when the committed generated code is not what generate makes
	sdk/proto/generate.sh check

.PHONY: deps
deps: go-check ## Fetch modules and make the Python environments of the tests
	$(GO) mod download
	@. test/env.sh

.PHONY: clean
clean: ## Remove bin/ and build/
	rm -rf bin build
