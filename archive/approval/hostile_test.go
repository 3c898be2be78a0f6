package approval

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

func record(t testing.TB, seq uint64, kind proof.Kind, at time.Time, body any) archive.Record {
	t.Helper()
	b, ok := body.(string)
	if !ok {
		j, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		b = string(j)
	}
	return archive.Record{Leaf: proof.Leaf{Seq: seq, Kind: kind, Class: proof.ClassControl, Received: at.UnixMilli()}, Body: []byte(b)}
}

var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func aRequest() requestBody {
	return requestBody{Version: 1, Act: DirectoryDiff, Digest: digest, Summary: "s", By: person(1), Reason: "r", At: start, Expires: start.Add(time.Hour)}
}

func aDecision() decisionBody {
	return decisionBody{Version: 1, Of: 5, Digest: digest, By: person(2), Approve: true, Reason: "r", At: start}
}

func anExecution() executionBody {
	return executionBody{Version: 1, Of: 5, Act: DirectoryDiff, Digest: digest, By: person(1), At: start}
}

// Entries that break the rules, in a log that something else than a Book wrote,
// give nobody anything, and are there to be seen.
func TestHostileEntries(t *testing.T) {
	after := start.Add(2 * time.Hour)
	decision := func(change func(*decisionBody)) decisionBody {
		d := aDecision()
		change(&d)
		return d
	}
	execution := func(change func(*executionBody)) executionBody {
		e := anExecution()
		change(&e)
		return e
	}
	tests := map[string]struct {
		entries []archive.Record // after the request at 5
		status  Status           // at the start
		faults  []string
	}{
		"self approval": {[]archive.Record{
			record(t, 6, proof.KindDecision, start, decision(func(d *decisionBody) { d.By = linked(9, 1) })),
		}, Pending, []string{"self"}},
		"the daemon approves": {[]archive.Record{
			record(t, 6, proof.KindDecision, start, decision(func(d *decisionBody) { d.By = role.Daemon() })),
		}, Pending, []string{"not-person"}},
		"approval of something else": {[]archive.Record{
			record(t, 6, proof.KindDecision, start, decision(func(d *decisionBody) { d.Digest = strings.Repeat("0b", 32) })),
		}, Pending, []string{"digest"}},
		"late approval": {[]archive.Record{
			record(t, 6, proof.KindDecision, after, aDecision()),
		}, Expired, []string{"expired"}},
		"late by its leaf, in time by its body": {[]archive.Record{
			record(t, 6, proof.KindDecision, start.Add(time.Hour), aDecision()),
		}, Expired, []string{"expired"}},
		"denied, then approved": {[]archive.Record{
			record(t, 6, proof.KindDecision, start, decision(func(d *decisionBody) { d.Approve = false })),
			record(t, 7, proof.KindDecision, start, aDecision()),
		}, Denied, []string{"decided"}},
		"executed unapproved, then approved": {[]archive.Record{
			record(t, 6, proof.KindExecution, start, anExecution()),
			record(t, 7, proof.KindDecision, start, aDecision()),
		}, Executed, []string{"not-approved", "used"}},
		"executed twice": {[]archive.Record{
			record(t, 6, proof.KindDecision, start, aDecision()),
			record(t, 7, proof.KindExecution, start, anExecution()),
			record(t, 8, proof.KindExecution, start, anExecution()),
		}, Executed, []string{"used"}},
		"executed as something else": {[]archive.Record{
			record(t, 6, proof.KindDecision, start, aDecision()),
			record(t, 7, proof.KindExecution, start, execution(func(e *executionBody) { e.Act = WipeOverride })),
		}, Executed, []string{"digest"}},
		"executed late": {[]archive.Record{
			record(t, 6, proof.KindDecision, start, aDecision()),
			record(t, 7, proof.KindExecution, after, anExecution()),
		}, Executed, []string{"expired"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := NewBook(Options{})
			for _, rec := range append([]archive.Record{record(t, 5, proof.KindRequest, start, aRequest())}, tt.entries...) {
				if err := b.Apply(rec); err != nil {
					t.Fatal(err)
				}
			}
			r, err := b.find(5)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.statusAt(b.latest); got != tt.status {
				t.Errorf("the request is %s; want %s", got, tt.status)
			}
			var codes []string
			for _, f := range r.Faults {
				codes = append(codes, f.Code)
			}
			if !slices.Equal(codes, tt.faults) {
				t.Errorf("faults %v; want %v", codes, tt.faults)
			}
		})
	}
}

// A request that claims to be good for ever is not.
func TestHostileExpiry(t *testing.T) {
	b := NewBook(Options{})
	body := aRequest()
	body.Expires = start.AddDate(1000, 0, 0)
	if err := b.Apply(record(t, 5, proof.KindRequest, start, body)); err != nil {
		t.Fatal(err)
	}
	if r, _ := b.Request(5); !r.Expires.Equal(start.Add(MaxTTL)) {
		t.Errorf("it expires on %v", r.Expires)
	}
}

// What cannot be read, or is about nothing, is refused and changes nothing.
func TestMalformedEntries(t *testing.T) {
	request := func(change func(*requestBody)) requestBody {
		r := aRequest()
		change(&r)
		return r
	}
	ghost, ghostExecution := aDecision(), anExecution()
	ghost.Of, ghostExecution.Of = 4, 6
	newer := aDecision()
	newer.Version = 2
	tests := map[string]archive.Record{
		"empty":                 record(t, 9, proof.KindRequest, start, ""),
		"not JSON":              record(t, 9, proof.KindRequest, start, "{"),
		"twice the same member": record(t, 9, proof.KindDecision, start, `{"v":1,"of":5,"of":5}`),
		"other version":         record(t, 9, proof.KindDecision, start, newer),
		"no version":            record(t, 9, proof.KindDecision, start, `{"of":5}`),
		"other act":             record(t, 9, proof.KindRequest, start, request(func(r *requestBody) { r.Act = "format-disk" })),
		"no digest":             record(t, 9, proof.KindRequest, start, request(func(r *requestBody) { r.Digest = "" })),
		"digest in capitals":    record(t, 9, proof.KindRequest, start, request(func(r *requestBody) { r.Digest = strings.ToUpper(digest) })),
		"too long":              record(t, 9, proof.KindRequest, start, request(func(r *requestBody) { r.Summary = strings.Repeat("x", maxBody) })),
		"not after the last":    record(t, 5, proof.KindRequest, start, aRequest()),
		"decision of nothing":   record(t, 9, proof.KindDecision, start, ghost),
		"execution of nothing":  record(t, 9, proof.KindExecution, start, ghostExecution),
		"another kind":          record(t, 9, proof.KindPerson, start, aRequest()),
	}
	for name, rec := range tests {
		t.Run(name, func(t *testing.T) {
			b := NewBook(Options{})
			if err := b.Apply(record(t, 5, proof.KindRequest, start, aRequest())); err != nil {
				t.Fatal(err)
			}
			if err := b.Apply(rec); err == nil {
				t.Error("it was applied")
			}
			if r, err := b.find(5); err != nil || len(b.requests) != 1 || r.Decision != nil || r.Execution != nil || r.Faults != nil || !b.latest.Equal(start) {
				t.Errorf("it changed something: %+v, %v", r, err)
			}
		})
	}
}

// FuzzApply: no body breaks the book, and none approves what one person asked
// for or makes two executions of one.
func FuzzApply(f *testing.F) {
	for _, rec := range []archive.Record{
		record(f, 6, proof.KindRequest, start, aRequest()), record(f, 6, proof.KindDecision, start, aDecision()),
		record(f, 6, proof.KindExecution, start, anExecution()),
	} {
		f.Add(uint8(rec.Leaf.Kind), rec.Body, rec.Body)
	}
	f.Add(uint8(proof.KindDecision), []byte(`{"v":1,"of":5,"digest":"`+digest+`","by":{"person":"`+guid(1)+`"},"approve":true}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, kind uint8, first, second []byte) {
		b := NewBook(Options{})
		if err := b.Apply(record(t, 5, proof.KindRequest, start, aRequest())); err != nil {
			t.Fatal(err)
		}
		for i, body := range [][]byte{first, second} {
			before, _ := b.Request(5)
			rec := record(t, uint64(6+i), proof.Kind(kind), start, string(body))
			err := b.Apply(rec)
			after, _ := b.Request(5)
			if err != nil && (after.Decision != before.Decision || after.Execution != before.Execution || len(after.Faults) != len(before.Faults)) {
				t.Error("an entry that failed changed the request")
			}
			if before.Execution != nil && after.Execution != before.Execution {
				t.Error("a second execution")
			}
			if d := after.Decision; d != nil && same(d.By, after.By) {
				t.Error("decided by who asked")
			}
		}
	})
}
