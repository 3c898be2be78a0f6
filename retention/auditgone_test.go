package retention

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/retention/hold"
)

// All body files of class audit are deleted from the disk: the archive opens,
// and holds, matters, the schedule, plans and certificates are the same. The
// last 1,024 entries, which a start checks with their bodies, are none of them:
// with one of these gone the archive refuses to open, as it should, and has to
// be restored or verified first.
func TestAuditFilesGone(t *testing.T) { synctest.Test(t, testAuditFilesGone) }

func testAuditFilesGone(t *testing.T) {
	d := newDisk(t)
	s, l := d.create(t)
	look := func(matter string) {
		body := []byte(`{"v":1,"action":"search","matter":"` + matter + `"}`)
		e := archive.Entry{Kind: proof.KindAccess, Class: proof.ClassAudit, Body: body}
		if _, err := l.Append(t.Context(), archive.Batch{Entries: []archive.Entry{e}}); err != nil {
			t.Fatal(err)
		}
	}
	s.schedule(stageSchedule)
	look("M-1")
	gone, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	kept, _ := s.send(letter{from: "cleo", to: "bela", body: "two"})
	s.place(custodian("cleo"))
	s.release(s.place(hold.Scope{Query: "sepsis"}))
	s.advance(4 * aMonth)
	look("")
	s.run(s.planned().Seq)
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "tape-1", What: CopyBackup, Where: "vault", Keyring: 1}); err != nil {
		t.Fatal(err)
	}
	due, _ := s.send(letter{from: "anna", to: "bela", body: "three"})
	s.advance(2 * aMonth)
	s.fill(1100)
	before := s.ledger()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "bodies", "*.audit.g*.db"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files of class audit: %q, %v", files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	d.start(t, l)
	s.reopen()
	if after := s.ledger(); after != before {
		t.Errorf("rebuilt\n%s\nwas\n%s", after, before)
	}
	s.want(gone, true)
	s.want(kept, false)
	// And disposition goes on, holding what was held.
	s.advance(2 * aMonth)
	s.send(letter{from: "anna", to: "bela", body: "the log's time goes on"})
	s.run(s.planned().Seq)
	s.want(due, true)
	s.want(kept, false)
}

// ledger is all that the control entries add up to, but for what the survey counts.
func (s *stage) ledger() string {
	s.t.Helper()
	holds := s.book.Holds()
	for i := range holds {
		holds[i].Held, holds[i].Through = 0, 0
	}
	_, seq, text := s.book.Schedule()
	out, err := json.MarshalIndent([]any{
		s.book.Matters(), holds, seq, string(text), s.book.ScheduleGroups(), s.book.Plans(), s.book.Certificates(), s.book.Copies(), s.book.Faults(),
	}, "", " ")
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out)
}

// fill appends so many messages at once.
func (s *stage) fill(n int) {
	s.t.Helper()
	var b archive.Batch
	for range n {
		e, _ := s.message(letter{from: "dora", to: "emil", body: "x"})
		*s.relaySeq++
		e.Epoch, e.RelaySeq = "e1", *s.relaySeq
		b.Entries = append(b.Entries, e)
	}
	b.Cursor = &archive.Cursor{Epoch: "e1", Seq: *s.relaySeq}
	if _, err := s.log.Append(s.t.Context(), b); err != nil {
		s.t.Fatal(err)
	}
}
