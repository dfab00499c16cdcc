# Tidegate. `make help` lists what there is.
SHELL       := /bin/bash
GO          ?= go
export CGO_ENABLED := 0
BIN         := bin/tidegate
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS     := -s -w -X main.version=$(VERSION)
GOFILES     := $(shell find . -name '*.go' -not -path './ui/node_modules/*' -not -path './test/*/node_modules/*' 2>/dev/null) go.mod go.sum
UIFILES     := $(shell find ui/src ui/public ui/index.html ui/vite.config.ts ui/package-lock.json -type f 2>/dev/null)

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: demo
demo: ui build ## the whole story on your machine: load tests, a bad flag, a no-go, the rollback; then explore it
	@$(BIN) demo release-validation

.PHONY: build
build: $(BIN) ## bin/tidegate

$(BIN): $(GOFILES) ui/dist/index.html
	@echo "building $@ (the first time compiles about 1,100 packages: two to three minutes on two cores)"
	@start=$$SECONDS; $(GO) build -ldflags '$(LDFLAGS)' -o $@ ./cmd/tidegate && echo "built $@ in $$((SECONDS-start)) s, $$(du -m $@ | cut -f1) MB"

.PHONY: ui
ui: ui/dist/index.html ## the browser application, into ui/dist

ui/node_modules/.package-lock.json: ui/package-lock.json
	@echo "installing the UI's packages (npm ci)"
	@cd ui && npm ci --no-audit --no-fund --loglevel=error

ui/dist/index.html: ui/node_modules/.package-lock.json $(UIFILES)
	@echo "building the UI"
	@cd ui && npm run --silent build
	@touch $@

.PHONY: ui-types
ui-types: build ## API types of the UI from the OpenAPI document
	@$(BIN) openapi > ui/openapi.json && cd ui && npx --no-install openapi-typescript openapi.json -o src/api/schema.ts

.PHONY: test
test: ui build test-clients ## every test but the browser's, within ten minutes
	$(GO) test ./...
	@cd ui && npm run --silent test

.PHONY: test-clients
test-clients: test/openfeature/js/node_modules/.package-lock.json
test/openfeature/js/node_modules/.package-lock.json: test/openfeature/js/package-lock.json
	@cd test/openfeature/js && npm ci --no-audit --no-fund --loglevel=error

.PHONY: test-browser
test-browser: ui build ## the UI in a real Chromium, against the real binary
	@cd test/browser && npm ci --no-audit --no-fund --loglevel=error && node --test --test-concurrency=1

.PHONY: race
race: ## the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -count=1 ./...

.PHONY: fuzz
FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME (20s)
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

.PHONY: bench
bench: ## the benchmarks beside the hot code, and the judge against its rivals
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./bench/judge -quick -json bin/judge.json

.PHONY: lint
lint: ui/node_modules/.package-lock.json ## formatting, vet, staticcheck, module tidiness, TypeScript
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go') | head -50; exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) mod tidy -diff
	@cd ui && npm run --silent check

.PHONY: docs
docs: build ## the reference in docs/reference, from the code
	@env -i PATH="$$PATH" HOME="$$HOME" $(BIN) docs docs/reference

.PHONY: clean
clean: ## remove what was built
	rm -rf bin ui/dist/* ui/node_modules test/browser/node_modules test/openfeature/js/node_modules
