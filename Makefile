# Holdfast. `make help` lists the targets; README.md says which two to try first.

GO      ?= go
BIN     := bin
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The version comes from git describe, so the toolchain need not ask git a second time (and a tree without .git builds the same way).
BUILD   := -trimpath -buildvcs=false -ldflags '-X holdfast/internal/build.version=$(VERSION)'
TOOL    := $(GO) tool -modfile=.ci/tools.mod

BENCHTIME ?= 2s
BENCHPKGS ?= ./ingest/... ./archive/... ./retention/...
# Absolute, because go test runs each package's benchmarks in its own folder.
ifneq ($(CORPUS),)
override CORPUS := $(abspath $(CORPUS))
export CORPUS
endif

# A real domain controller for the directory's tests, and the tests that it is for.
AD    := ^TestSamba
SAMBA := samba samba-ad-provision samba-dsdb-modules ldb-tools ldap-utils

# What is left of what was disposed of, sought in every byte; prints what it found.
ERASURE := ^TestFaultErasure

.PHONY: help build demo demo-ad test bench scale peers faults package package-test alerts lint fmt fmt-check vet staticcheck gosec floors race ad need
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/holdfastd, bin/holdfast, bin/holdfast-relay
	@mkdir -p $(BIN)
	$(GO) build $(BUILD) -o $(BIN)/ ./cmd/...

demo: build ## the main job from end to end in a temporary directory
	@$(GO) run -buildvcs=false ./internal/demo -bin $(BIN)

demo-ad: build need ## the same with a real Active Directory domain controller (Samba) instead of the built-in one
	@$(GO) run -buildvcs=false ./internal/demo -bin $(BIN) -directory samba

# What waits, for other machines or for the toolchain, runs beside what computes.
test: fmt-check need ## every check that a change must pass
	@$(MAKE) --no-print-directory --output-sync -j2 race elsewhere

.PHONY: elsewhere
elsewhere: vet staticcheck
	@$(MAKE) --no-print-directory ad
	@$(MAKE) --no-print-directory package-test
	@$(MAKE) --no-print-directory gosec

# Packages say which commit they are of, and nothing of when and where they were made.
EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || echo 1)
KEY   ?=
SIGN  := $(if $(KEY),-sign $(abspath $(KEY)))

package: ## deb and rpm for amd64 and arm64 in dist/; KEY=FILE signs them
	cd packaging && $(GO) run . -out ../dist -version '$(VERSION)' -epoch $(EPOCH) $(SIGN)

# What makes, reads and boots packages.
PACKAGERS := lintian=lintian rpm=rpm gpg=gnupg groff=groff dash=dash ar=binutils systemd-nspawn=systemd-container mmdebstrap=mmdebstrap

package-test: ## the packages: the same bytes, lintian, and a whole life of them in a booted Debian 12; prints each case
	@.ci/need $(PACKAGERS)
	@mkdir -p $(BIN)
	cd packaging && $(GO) vet -tags boot ./... && $(GO) test -vet=off -count=1 -timeout 20m .
	cd packaging && $(GO) test -vet=off -tags boot -count=1 -v -timeout 20m ./boot > ../$(BIN)/boot.log 2>&1 || { cat ../$(BIN)/boot.log; exit 1; }
	@grep '^boot: ' $(BIN)/boot.log

alerts: ## the rules that monitoring fires by, against their own tests (a test of internal/daemon does the same)
	@.ci/need promtool=prometheus
	promtool check rules packaging/watch/alerts.rules.yml
	cd packaging/watch && promtool test rules alerts.test.yml alerts-days.test.yml alerts-waits.test.yml

bench: ## benchmarks; CORPUS=FILE.jsonl.gz searches that file's messages instead of generated ones
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 60m $(BENCHPKGS)

scale: ## 200 queries over both corpora in CORPUS=DIR: the index against a brute-force reading; prints how many differ
	@[ -n "$(CORPUS)" ] || { echo "make: say which folder holds nus-sms-en.jsonl.gz and mts-dialog-train.jsonl.gz: make scale CORPUS=DIR" >&2; exit 1; }
	@mkdir -p $(BIN)
	$(GO) test -tags scale -run '^TestScale$$' -timeout 60m -count=1 -v ./archive/search > $(BIN)/scale.log 2>&1 || { cat $(BIN)/scale.log; exit 1; }
	@grep '^scale: ' $(BIN)/scale.log

peers: ## our index beside plain bleve and SQLite FTS5, neither encrypted, in one run; MESSAGES=1000000 for seven years of a hospital
	cd internal/peers && $(GO) vet . && $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 240m .

faults: need ## kill -9, power loss, full and failing disks, and what a disposition leaves, for up to an hour
	@.ci/need strace=strace
	@mkdir -p $(BIN)
	$(GO) test -tags faults -run Fault -skip '$(ERASURE)' -timeout 60m -count=1 ./...
	$(GO) test -tags faults -run '$(ERASURE)' -timeout 60m -count=1 -v ./internal/daemon > $(BIN)/erasure.log 2>&1 || { cat $(BIN)/erasure.log; exit 1; }
	@grep -E '^(erasure|interrupted at [^:]*): ' $(BIN)/erasure.log

lint: fmt-check floors vet staticcheck gosec ## the checks of `test` that run nothing

fmt: ## format every Go file
	gofmt -w $$(find . -name '*.go' -not -path './.git/*')

fmt-check:
	@bad=$$(gofmt -l $$(find . -name '*.go' -not -path './.git/*')); \
	[ -z "$$bad" ] || { echo "not gofmt-formatted; run make fmt:" >&2; echo "$$bad" >&2; exit 1; }

# What reads productions back that is not ours.
READERS := promtool=prometheus python3=python3 pdftotext=poppler-utils pdftoppm=poppler-utils unzip=unzip formail=procmail age=age

need:
	@.ci/need $(READERS) gcc='gcc libc6-dev' samba='$(SAMBA)' samba-tool='$(SAMBA)' ldbsearch='$(SAMBA)' ldapsearch='$(SAMBA)'

floors:
	$(GO) test -count=1 ./internal/floors

# The tags only add files.
vet:
	$(GO) vet -tags faults,scale ./...

staticcheck:
	$(TOOL) staticcheck -tags faults,scale ./...

# Not told, it asks the toolchain for Go's version at every call that it looks at.
gosec:
	GOSECGOVERSION=go$$($(GO) list -m -f '{{.GoVersion}}') $(TOOL) gosec -quiet -conf .ci/gosec.json -exclude-dir=packaging ./...

# vet has looked at everything, and nobody debugs these programs.
RACE := -race -vet=off -gcflags=-dwarf=false -ldflags=-w

race:
	$(GO) test $(RACE) -p 3 -timeout 20m -skip '$(AD)' ./...

ad: need ## the directory's tests against a real domain controller; prints how many cases they are
	@mkdir -p $(BIN)
	$(GO) test $(RACE) -count=1 -timeout 20m -v -run '$(AD)' ./ldapsync > $(BIN)/ad.log 2>&1 || { cat $(BIN)/ad.log; exit 1; }
	@grep '^real AD: ' $(BIN)/ad.log
