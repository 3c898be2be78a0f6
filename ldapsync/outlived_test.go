package ldapsync

import (
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/people"
)

// TestFailureNamesNobody: what a domain controller says of a failure may quote
// names and is not shown.
func TestFailureNamesNobody(t *testing.T) {
	behind := errors.New("CN=Jane Doe,OU=Staff,DC=hospital,DC=test: no such object")
	for class := range fixes {
		f := &Failure{Class: class, Code: 32, What: "search", Err: behind}
		if text := f.Error(); strings.Contains(text, "Jane") || !strings.Contains(text, string(class)) || !errors.Is(f, behind) {
			t.Errorf("%s: %q", class, text)
		}
		l := &LoginError{Code: string(class), Err: f}
		if strings.Contains(l.Error(), "Jane") {
			t.Errorf("a login's %s: %q", class, l)
		}
	}
}

// TestBatchesAreBounded: neither the number of entries nor their bytes keep a
// relay's page waiting for long.
func TestBatchesAreBounded(t *testing.T) {
	entries := make([]archive.Entry, 2*archive.MaxBatch)
	if n := batchOf(entries); n != archive.MaxBatch {
		t.Errorf("%d small entries in a batch", n)
	}
	large := make([]byte, maxBatchBytes*3/4) // larger than an entry can be; one still has to go
	for i := range entries {
		entries[i].Body = large
	}
	if n := batchOf(entries); n != 1 {
		t.Errorf("%d large entries in a batch", n)
	}
	for i := range entries {
		entries[i].Body = large[:maxBatchBytes/4]
	}
	if n := batchOf(entries); n != 4 {
		t.Errorf("%d of a quarter in a batch", n)
	}
}

// TestWhyHolds: somebody whose account has expired is not somebody who is not
// there, though nothing else about them differs. An approval of the one is none
// of the other.
func TestWhyHolds(t *testing.T) {
	soon := noon.Add(time.Minute)
	old := snapshot(1)
	p := old.People[id(1)]
	p.Expires = &soon
	old.People[id(1)] = p
	missing := Diff(old, snapshot(0), noon)
	expired := Diff(old, old.Clone(), noon.Add(time.Hour))
	if len(missing) != 1 || len(expired) != 1 || missing[0].Why != people.WhyMissing || expired[0].Why != people.WhyExpired {
		t.Fatalf("%+v, %+v", missing, expired)
	}
	if holds(missing, expired) || holds(expired, missing) || !holds(missing, missing) {
		t.Error("why somebody departs makes no difference")
	}
}
