package auth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// rotten is a log of whose audit one entry cannot be read.
type rotten struct {
	*memoryLog
	err error
}

func (r rotten) ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	if class != proof.ClassAudit {
		return r.memoryLog.ClassRecords(ctx, class, from, to)
	}
	return func(yield func(archive.Record, error) bool) {
		yield(archive.Record{}, fmt.Errorf("entry 7: %w", r.err))
	}
}

// An entry of the audit that cannot be read keeps nobody out: then no code that
// was good before the start is good after it.
func TestADamagedAuditKeepsNobodyOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		code := d.now(t)
		if _, err := s.try("aadams", password, code, desk); err != nil {
			t.Fatal(err)
		}
		next := d.code(t, time.Now().Add(totpPeriod*time.Second)) // seen over a shoulder
		s.start(t, func(o *Options) { o.Log = rotten{s.log, archive.ErrDamaged} })
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: code})
		if _, err := s.try("aadams", password, next, desk); !errors.Is(err, ErrLogin) {
			t.Errorf("a code of before the start: %v", err)
		}
		nextStep()
		if _, err := s.try("aadams", password, d.now(t), desk); err != nil {
			t.Errorf("a new code: %v (%s)", err, s.log.lastCode(t))
		}
		if _, err := New(t.Context(), Options{People: s.folk, Log: rotten{s.log, errors.New("other")}, CatchUp: s.catchUp}, s.factors); err == nil {
			t.Error("began although the audit could not be asked")
		}
	})
}
