package floors

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestTree examines this project's own tree.
func TestTree(t *testing.T) {
	r, err := examine(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range r.warnings {
		t.Log(w)
	}
	for _, f := range r.faults {
		t.Error(f)
	}
	if r.packages < 10 {
		t.Errorf("only %d packages were read: is this still the top of the tree?", r.packages)
	}
}

// TestFaults earns each fault once, and shows what is no fault.
func TestFaults(t *testing.T) {
	const doc = "// Package x is an example.\n"
	long := strings.Repeat("\n", tooLong+1)
	for _, c := range []struct {
		name, file, text, fault string // fault "" means that none is expected
	}{
		{"down", "ingest/a.go", "// Package ingest is.\npackage ingest\nimport _ \"holdfast/archive\"\n", ""},
		{"up", "archive/a.go", "// Package archive is.\npackage archive\nimport _ \"holdfast/ingest\"\n", "archive imports ingest, which stands"},
		{"same floor", "ingest/a.go", "// Package ingest is.\npackage ingest\nimport _ \"holdfast/internal/api\"\n", "ingest imports internal/api, which stands"},
		{"floor 0 to floor 0", "archive/seal/a.go", "// Package seal is.\npackage seal\nimport _ \"holdfast/archive/proof\"\n", "archive/seal imports archive/proof, which stands"},
		{"floor 0 to its ground", "archive/seal/a.go", "// Package seal is.\npackage seal\nimport _ \"holdfast/internal/durable\"\n", ""},
		{"envelope knows little", "ingest/envelope/a.go", "// Package envelope is.\npackage envelope\nimport _ \"holdfast/internal/durable\"\n", "not among the few"},
		{"client opens no data file", "cmd/holdfast/command/a.go", "// Package command is.\npackage command\nimport _ \"holdfast/archive\"\n", "not among the few"},
		{"relay knows no archive", "internal/relay/a.go", "// Package relay is.\npackage relay\nimport _ \"holdfast/archive/proof\"\n", "not among the few"},
		{"build tag hides nothing", "archive/a.go", "//go:build faults\n\n// Package archive is.\npackage archive\nimport _ \"holdfast/ingest\"\n", "archive imports ingest"},
		{"for tests only", "ingest/a.go", "// Package ingest is.\npackage ingest\nimport _ \"holdfast/internal/corpus\"\n", "for tests only"},
		{"tests may", "ingest/a_test.go", "package ingest\nimport _ \"holdfast/internal/relay\"\n", ""},
		{"unknown package", "internal/x/a.go", doc + "package x\n", "no floor is known for package internal/x"},
		{"unknown import", "ingest/a.go", "// Package ingest is.\npackage ingest\nimport _ \"holdfast/internal/x\"\n", "whose floor is not known"},
		{"library out of its house", "ingest/a.go", "// Package ingest is.\npackage ingest\nimport _ \"go.etcd.io/bbolt/errors\"\n", "which only archive, internal/relay, internal/relay/load may"},
		{"library in its house", "archive/a.go", "// Package archive is.\npackage archive\nimport _ \"go.etcd.io/bbolt/errors\"\n", ""},
		{"top level", "pkg/readme.md", "", "pkg is not among the names"},
		{"no doc", "archive/a.go", "package archive\n", "archive has no package doc"},
		{"doc of another", "archive/a.go", "// Package ingest is.\npackage archive\n", "archive has no package doc"},
		{"no doc of a command", "cmd/holdfastd/a.go", "// Package main is.\npackage main\n", "Command holdfastd"},
		{"panic", "archive/a.go", "// Package archive is.\npackage archive\nfunc f() { panic(1) }\n", "archive/a.go:3: panic"},
		{"panic in a test", "archive/a_test.go", "package archive\nfunc f() { panic(1) }\n", ""},
		{"skip", "archive/a_test.go", "package archive\nfunc f(t T) { t.Skip() }\n", "t.Skip: a test that skips"},
		{"another skip", "archive/a.go", "// Package archive is.\npackage archive\nfunc f(l L) { l.Skip() }\n", ""},
		{"sleep", "archive/a.go", "// Package archive is.\npackage archive\nfunc f() { time.Sleep(1) }\n", "time.Sleep"},
		{"sleep in a test", "archive/a_test.go", "package archive\nfunc f() { time.Sleep(1) }\n", "time.Sleep"},
		{"sleep in a bubble", "archive/a_test.go", "package archive\nimport \"testing/synctest\"\nvar _ = synctest.Test\nfunc f() { time.Sleep(1) }\n", ""},
		{"a file written elsewhere", "archive/a.go", "// Package archive is.\npackage archive\nfunc f() { os.WriteFile() }\n", "internal/durable"},
		{"vague name", "archive/a.go", "// Package archive is.\npackage archive\ntype KeyManager struct{}\n", "says nothing"},
		{"unfinished", "archive/A.md", "later: TO" + "DO\n", "archive/A.md:1"},
		{"unfinished in code", "archive/a.go", "// Package archive is.\npackage archive // FIX" + "ME\n", "archive/a.go:2"},
		{"test data is free", "archive/testdata/A.md", "TO" + "DO\n", ""},
		{"too long", "archive/a.go", "// Package archive is.\npackage archive\n" + long, "more than one idea"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := examine(fstest.MapFS{c.file: {Data: []byte(c.text)}})
			if err != nil {
				t.Fatal(err)
			}
			if c.fault == "" && len(r.faults) > 0 || c.fault != "" && (len(r.faults) != 1 || !strings.Contains(r.faults[0], c.fault)) {
				t.Errorf("faults %q, want one with %q", r.faults, c.fault)
			}
		})
	}
}

// TestTable keeps the table itself in order.
func TestTable(t *testing.T) {
	for name, p := range places {
		for _, to := range p.only {
			if q, known := places[to]; !known || q.floor >= p.floor {
				t.Errorf("%s may import %s only, which does not stand below it", name, to)
			}
		}
		if top, _, _ := strings.Cut(name, "/"); !slices.Contains(topLevel, top) {
			t.Errorf("%s does not stand below an agreed top-level name", name)
		}
	}
}
