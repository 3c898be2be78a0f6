package approval

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// memoryLog is an Appender in memory, and catches books up on it.
type memoryLog struct {
	mu      sync.Mutex
	records []archive.Record
	size    int        // what Size says: after a failure it lags behind records until the next append
	fault   fault      // of the next append
	delay   func()     // runs before each append
	book    *Book      // that follows the log
	applied int        // records that it has
	lock    sync.Mutex // held while catching up
}

type fault int

const (
	none      fault = iota
	refused         // disk full: nothing is written
	lost            // the commit failed and did not persist
	persisted       // the commit failed and did persist
)

func newLog(persons bool) *memoryLog {
	l := &memoryLog{}
	l.append(archive.Entry{Kind: proof.KindGenesis, Class: proof.ClassControl})
	l.restart(persons)
	return l
}

// restart throws the book away, as a crash does, and begins another.
func (l *memoryLog) restart(persons bool) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied, l.size = 0, len(l.records)
	l.book = NewBook(Options{CatchUp: l.catchUp, Persons: persons})
}

func (l *memoryLog) append(entries ...archive.Entry) []archive.Placed {
	var placed []archive.Placed
	for _, e := range entries {
		seq := uint64(len(l.records))
		received := time.Now().UnixMilli()
		if n := len(l.records); n > 0 {
			received = max(received, l.records[n-1].Leaf.Received)
		}
		l.records = append(l.records, archive.Record{Leaf: proof.Leaf{Seq: seq, Kind: e.Kind, Class: e.Class, Received: received}, Body: e.Body})
		placed = append(placed, archive.Placed{Seq: seq, Kind: e.Kind})
	}
	l.size = len(l.records)
	return placed
}

func (l *memoryLog) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	if l.delay != nil {
		l.delay()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := l.fault
	l.fault = none
	switch f {
	case refused:
		return nil, archive.ErrDiskFull
	case lost:
		return nil, archive.ErrFailed
	case persisted:
		size := l.size
		l.append(b.Entries...)
		l.size = size
		return nil, archive.ErrFailed
	}
	return l.append(b.Entries...), nil
}

func (l *memoryLog) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(l.size)
}

func (l *memoryLog) catchUp(ctx context.Context, size uint64) error {
	l.lock.Lock()
	defer l.lock.Unlock()
	for l.applied < int(size) {
		l.mu.Lock()
		rec := l.records[l.applied]
		l.mu.Unlock()
		switch rec.Leaf.Kind {
		case proof.KindRequest, proof.KindDecision, proof.KindExecution:
			if err := l.book.Apply(rec); err != nil {
				return err
			}
		}
		l.applied++
	}
	return ctx.Err()
}

// look grows the log by something else, as every call of the API does.
func (l *memoryLog) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(archive.Entry{Kind: proof.KindAccess, Class: proof.ClassAudit})
}

// executions counts the execution entries of a request.
func (l *memoryLog) executions(seq uint64) (n int) {
	for _, rec := range l.records {
		var body executionBody
		if rec.Leaf.Kind == proof.KindExecution && read(rec, &body, &body.Version) == nil && body.Of == seq {
			n++
		}
	}
	return n
}

// guid makes an objectGUID.
func guid(n byte) string {
	return "00000000-0000-4000-8000-0000000000" + string([]byte{'0' + n/10, '0' + n%10})
}

func person(n byte) role.Principal {
	return role.Principal{Name: "person", Person: guid(n), Via: role.ViaHTTPS, Address: "192.0.2.7"}
}

func account(uid uint32) role.Principal { return role.Principal{Name: "account", UID: &uid} }

func linked(uid uint32, n byte) role.Principal {
	return role.Principal{Name: "account", UID: &uid, Person: guid(n), Via: role.ViaSocket}
}

var digest = strings.Repeat("0a", 32)

func asking() Ask {
	return Ask{Act: DirectoryDiff, Digest: digest, Summary: "12 people depart", Reason: "ward closed", TTL: time.Hour}
}

// approved makes a request by person 1 that person 2 approved.
func approved(t testing.TB, l *memoryLog) uint64 {
	t.Helper()
	seq, err := l.book.Ask(t.Context(), l, person(1), asking())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.book.Decide(t.Context(), l, person(2), seq, true, "compared"); err != nil {
		t.Fatal(err)
	}
	return seq
}

func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) || target == nil && err != nil {
		t.Fatalf("%s: %v; want %v", what, err, target)
	}
}

func bodies(l *memoryLog) (out []string) {
	for _, rec := range l.records {
		if !slices.Contains([]proof.Kind{proof.KindGenesis, proof.KindAccess}, rec.Leaf.Kind) {
			out = append(out, rec.Leaf.Kind.String()+" "+string(rec.Body))
		}
	}
	return out
}
