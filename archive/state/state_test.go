package state

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

const arc = "st-elsewhere"

// chronicle is a log in memory, drawn by its methods; a Source.
type chronicle struct {
	t       *testing.T
	records []archive.Record
	fail    error  // what the read of entry failAt gives
	failAt  uint64 //
	reads   int    // calls of ClassRecords
	judge   *envelope.Directory
	epoch   string
	ordinal uint32
	relay   uint64
}

func begin(t *testing.T, enrol crypto.PublicKey) *chronicle {
	c := &chronicle{t: t, judge: envelope.NewDirectory(arc, envelope.Pins{Enrol: enrol})}
	c.add(proof.KindGenesis, "{}", "", proof.ClassControl)
	return c
}

func (c *chronicle) Identity() *proof.Identity { return &proof.Identity{ArchiveID: arc} }
func (c *chronicle) size() uint64              { return uint64(len(c.records)) }

func (c *chronicle) ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	c.reads++
	return func(yield func(archive.Record, error) bool) {
		for _, r := range c.records[from:to] {
			if err := ctx.Err(); err != nil {
				yield(archive.Record{}, err)
				return
			}
			if c.fail != nil && r.Leaf.Seq == c.failAt {
				yield(archive.Record{}, c.fail)
				return
			}
			if r.Leaf.Class == class && !yield(r, nil) {
				return
			}
		}
	}
}

func (c *chronicle) add(kind proof.Kind, body, note, class string) proof.Leaf {
	l := proof.Leaf{Seq: c.size(), Kind: kind, Class: class, Received: int64(c.size()) * 1000}
	if kind.FromRelay() {
		c.relay++
		l.Epoch, l.RelaySeq = c.epoch, c.relay
	}
	c.records = append(c.records, archive.Record{Leaf: l, Body: []byte(body), Note: []byte(note)})
	return l
}

func (c *chronicle) control(kind proof.Kind, body any) proof.Leaf {
	b, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.add(kind, string(b), "", proof.ClassControl)
}

func (c *chronicle) newEpoch(name string) {
	c.ordinal = 0
	for _, r := range c.records {
		if r.Leaf.Kind == proof.KindEpoch {
			c.ordinal++
		}
	}
	c.control(proof.KindEpoch, archive.EpochBody{Epoch: name, Ordinal: c.ordinal, Previous: c.epoch})
	c.epoch, c.relay = name, 0
}

func (c *chronicle) message() proof.Leaf { return c.add(proof.KindMessage, "", "", proof.ClassGeneral) }

// dir appends a directory event with the verdict that ingest would reach.
func (c *chronicle) dir(event []byte, err error) proof.Leaf {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	at := envelope.Position{Epoch: c.ordinal, Seq: c.relay + 1}
	v := c.judge.Judge(at, event)
	if err := c.judge.Apply(at, event, v); err != nil {
		c.t.Fatal(err)
	}
	verdict, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	note, err := json.Marshal(archive.DirectoryNote{ID: "id", Time: "2026-03-01T08:00:00.000Z", Verdict: verdict})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.add(proof.KindDirectory, string(event), string(note), proof.ClassControl)
}

func (c *chronicle) user(usr, name string) proof.Leaf {
	return c.dir(envelope.UserUpsertEvent(envelope.User{Usr: usr, UPN: usr + "@ward.example", Mail: usr + "@ward.example", Name: name}))
}

func (c *chronicle) device(usr, dev string, key, by crypto.Signer) proof.Leaf {
	return c.dir(envelope.DeviceAdd{Arc: arc, Usr: usr, Dev: dev, At: time.Unix(0, 0), Key: key, By: by}.Event())
}

func newKey(t *testing.T) (ed25519.PrivateKey, string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	kid, err := jws.Thumbprint(pub)
	if err != nil {
		t.Fatal(err)
	}
	return key, kid
}

func caughtUp(t *testing.T, c *chronicle, pins envelope.Pins) *State {
	t.Helper()
	s := New(c, pins, nil)
	if err := s.CatchUp(t.Context(), c.size()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDirectoryIsReplayedAsOfEachPlace(t *testing.T) {
	enrol, _ := newKey(t)
	key, kid := newKey(t)
	pins := envelope.Pins{Enrol: enrol.Public()}
	c := begin(t, pins.Enrol)
	c.newEpoch("e1")
	stranger := c.message()
	anna := c.user("u1", "Anna Berg")
	early := c.message()
	asserted := c.device("u1", "d1", key, nil)
	then := c.message()
	enrolled := c.device("u1", "d1", key, enrol)
	vouched := c.message()
	c.device("u1", "d1", key, nil) // repeats what is known, without the evidence
	repeated := c.message()
	c.newEpoch("e2")
	married := c.user("u1", "Anna Lund")
	later := c.message()

	// Another pin than at the time: the recorded verdicts stand.
	other, _ := newKey(t)
	s := caughtUp(t, c, envelope.Pins{Enrol: other.Public()})

	users := map[string]struct {
		at   proof.Leaf
		want uint64
		name string
	}{
		"before": {stranger, 0, ""}, "after": {early, anna.Seq, "Anna Berg"},
		"still": {repeated, anna.Seq, "Anna Berg"}, "next epoch": {later, married.Seq, "Anna Lund"},
		"a directory entry itself": {married, married.Seq, "Anna Lund"},
	}
	for name, tt := range users {
		seq, ok := s.UserEntry("u1", tt.at)
		if seq != tt.want || ok != (tt.want != 0) {
			t.Errorf("UserEntry %s: %d, %v; want %d", name, seq, ok, tt.want)
		}
		place, ok := s.Position(tt.at)
		if !ok {
			t.Fatalf("%s has no place", name)
		}
		if u, _ := s.Directory().User("u1", place); u.Name != tt.name {
			t.Errorf("Directory %s: %q, want %q", name, u.Name, tt.name)
		}
	}
	devices := map[string]struct {
		at        proof.Leaf
		want      uint64
		assurance envelope.Assurance
	}{
		"before": {early, 0, ""}, "asserted": {then, asserted.Seq, envelope.RelayAsserted},
		"vouched": {vouched, enrolled.Seq, envelope.Enrolled}, "repeated": {repeated, enrolled.Seq, envelope.Enrolled},
	}
	for name, tt := range devices {
		seq, ok := s.DeviceEntry(kid, tt.at)
		if seq != tt.want || ok != (tt.want != 0) {
			t.Errorf("DeviceEntry %s: %d, %v; want %d", name, seq, ok, tt.want)
		}
		place, _ := s.Position(tt.at)
		if d, _ := s.Directory().Device(kid, place); d.Assurance != tt.assurance {
			t.Errorf("Device %s: %q, want %q", name, d.Assurance, tt.assurance)
		}
	}
	if n, ok := s.Ordinal("e2"); !ok || n != 1 {
		t.Errorf("Ordinal(e2) = %d, %v", n, ok)
	}
	if _, ok := s.Ordinal("e3"); ok {
		t.Error("an epoch that never was has an ordinal")
	}
	if _, ok := s.UserEntry("u1", proof.Leaf{Seq: 1, Kind: proof.KindAlarm}); ok {
		t.Error("a control entry has a place in the relay's stream")
	}
}

func TestRefusedDirectoryEventsChangeNothing(t *testing.T) {
	key, kid := newKey(t)
	c := begin(t, nil)
	c.newEpoch("e1")
	c.dir([]byte(`{"op":"user.upsert","usr":""}`), nil)
	c.dir([]byte(`not JSON`), nil)
	c.device("u1", "d1", key, nil)
	c.device("u2", "d2", key, nil) // the key belongs to u1 for ever
	at := c.message()
	s := caughtUp(t, c, envelope.Pins{})
	if seq, ok := s.DeviceEntry(kid, at); !ok || seq != 4 {
		t.Errorf("DeviceEntry = %d, %v", seq, ok)
	}
	if _, ok := s.UserEntry("", at); ok {
		t.Error("the empty usr has an entry")
	}
}

func TestAlarmsOpenAndAcknowledged(t *testing.T) {
	c := begin(t, nil)
	first := c.control(proof.KindAlarm, archive.AlarmBody{Name: "relay-gap", Severity: "critical", Fix: "ask the vendor"})
	c.add(proof.KindOutcome, "{}", "", proof.ClassAudit)
	second := c.control(proof.KindAlarm, archive.AlarmBody{Name: "clock", Severity: "warning"})
	s := caughtUp(t, c, envelope.Pins{})
	if open := s.Alarms(false); len(open) != 2 || open[0].Seq != second.Seq {
		t.Fatalf("open alarms %+v", open)
	}
	c.control(proof.KindAlarmAck, archive.AlarmAckBody{Of: first.Seq, Principal: "jdoe", Reason: "called them"})
	c.control(proof.KindAlarmAck, archive.AlarmAckBody{Of: first.Seq, Principal: "asmith", Reason: "me too"})
	if open := s.Alarms(false); len(open) != 2 {
		t.Error("the state moved by itself")
	}
	if err := s.CatchUp(t.Context(), c.size()); err != nil {
		t.Fatal(err)
	}
	if open := s.Alarms(false); len(open) != 1 || open[0].Seq != second.Seq {
		t.Errorf("open alarms %+v", open)
	}
	if all := s.Alarms(true); len(all) != 2 {
		t.Errorf("all alarms %+v", all)
	}
	a, err := s.Alarm(first.Seq)
	if err != nil || a.Ack == nil || a.Ack.Principal != "jdoe" || a.Ack.Reason != "called them" || a.Fix != "ask the vendor" {
		t.Errorf("Alarm = %+v, %v", a, err)
	}
	if _, err := s.Alarm(second.Seq - 1); !errors.Is(err, ErrNotAlarm) {
		t.Errorf("Alarm of another entry: %v", err)
	}
}

func TestBlobs(t *testing.T) {
	c := begin(t, nil)
	c.newEpoch("e1")
	m1, m2 := c.message(), c.message()
	blob := func(m proof.Leaf, bid, status string) proof.Leaf {
		return c.control(proof.KindBlob, archive.BlobBody{Epoch: m.Epoch, RelaySeq: m.RelaySeq, BID: bid, Status: status})
	}
	p1 := blob(m1, "a", archive.BlobPending)
	p2 := blob(m2, "a", archive.BlobPending)
	p3 := blob(m2, "b", archive.BlobPending)
	done := blob(m2, "a", archive.BlobStored)
	s := caughtUp(t, c, envelope.Pins{})
	if got := s.PendingBlobs(); len(got) != 2 || got[0].Seq != p1.Seq || got[1].Seq != p3.Seq {
		t.Errorf("pending %+v", got)
	}
	tests := []struct {
		at    proof.Leaf
		bid   string
		below uint64
		want  uint64
	}{
		{m2, "a", c.size(), done.Seq}, {m2, "a", done.Seq, p2.Seq}, {m2, "a", p2.Seq, 0},
		{m1, "a", c.size(), p1.Seq}, {m1, "b", c.size(), 0},
	}
	for _, tt := range tests {
		if seq, ok := s.BlobEntry(tt.at, tt.bid, tt.below); seq != tt.want || ok != (tt.want != 0) {
			t.Errorf("BlobEntry(%d, %s, %d) = %d, %v; want %d", tt.at.Seq, tt.bid, tt.below, seq, ok, tt.want)
		}
	}
	if b, _ := s.Blob(m2, "a", c.size()); b.Status != archive.BlobStored {
		t.Errorf("Blob says %s", b.Status)
	}
}

func TestCatchUpIsCheapWhenNothingIsNew(t *testing.T) {
	c := begin(t, nil)
	s := caughtUp(t, c, envelope.Pins{})
	for range 3 {
		if err := s.CatchUp(t.Context(), c.size()); err != nil {
			t.Fatal(err)
		}
	}
	if c.reads != 1 || s.Through() != c.size() {
		t.Errorf("%d reads, through %d", c.reads, s.Through())
	}
}

// After a failure nothing is applied twice and nothing is left out.
func TestCatchUpGoesOnAfterAFailure(t *testing.T) {
	c := begin(t, nil)
	c.newEpoch("e1")
	c.user("u1", "Anna Berg")
	c.user("u2", "Bo Dahl")
	c.control(proof.KindAlarm, archive.AlarmBody{Name: "clock"})
	at := c.message()
	s := New(c, envelope.Pins{}, nil)
	c.fail, c.failAt = archive.ErrDamaged, 3
	for range 2 {
		if err := s.CatchUp(t.Context(), c.size()); !errors.Is(err, archive.ErrDamaged) {
			t.Fatalf("CatchUp: %v", err)
		}
		if s.Through() != 3 {
			t.Errorf("through %d", s.Through())
		}
	}
	c.fail = nil
	if err := s.CatchUp(t.Context(), c.size()); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.UserEntry("u2", at); !ok || len(s.Alarms(false)) != 1 {
		t.Error("entries after the failure are missing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.message()
	if err := s.CatchUp(ctx, c.size()); !errors.Is(err, context.Canceled) {
		t.Errorf("CatchUp with a cancelled context: %v", err)
	}
}

func TestHostileEntriesAreNamed(t *testing.T) {
	tests := map[string]func(c *chronicle){
		"epoch out of order": func(c *chronicle) { c.control(proof.KindEpoch, archive.EpochBody{Epoch: "e9", Ordinal: 7}) },
		"epoch twice":        func(c *chronicle) { c.control(proof.KindEpoch, archive.EpochBody{Epoch: "e1", Ordinal: 1}) },
		"epoch unnamed":      func(c *chronicle) { c.control(proof.KindEpoch, archive.EpochBody{Ordinal: 1}) },
		"ack of nothing":     func(c *chronicle) { c.control(proof.KindAlarmAck, archive.AlarmAckBody{Of: 1}) },
		"blob status": func(c *chronicle) {
			c.control(proof.KindBlob, archive.BlobBody{Epoch: "e1", RelaySeq: 1, Status: "lost"})
		},
		"alarm not JSON":    func(c *chronicle) { c.add(proof.KindAlarm, "{", "", proof.ClassControl) },
		"directory no note": func(c *chronicle) { c.add(proof.KindDirectory, "{}", "", proof.ClassControl) },
		"directory epoch": func(c *chronicle) {
			c.epoch = "e7"
			c.add(proof.KindDirectory, "{}", `{"verdict":{}}`, proof.ClassControl)
		},
		"verdict not of this event": func(c *chronicle) {
			c.add(proof.KindDirectory, `{"op":"user.upsert","usr":"u1"}`, `{"verdict":{"op":"device.add","accepted":true}}`, proof.ClassControl)
		},
	}
	for name, draw := range tests {
		t.Run(name, func(t *testing.T) {
			c := begin(t, nil)
			c.newEpoch("e1")
			draw(c)
			s := New(c, envelope.Pins{}, nil)
			err := s.CatchUp(t.Context(), c.size())
			if err == nil || !strings.Contains(err.Error(), "control entry 2") || s.Through() != 2 {
				t.Errorf("CatchUp: %v, through %d", err, s.Through())
			}
		})
	}
}

func TestConcurrentCatchUp(t *testing.T) {
	c := begin(t, nil)
	c.newEpoch("e1")
	for range 200 {
		c.user("u1", "Anna Berg")
	}
	at := c.message()
	s := New(c, envelope.Pins{}, nil)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := s.CatchUp(t.Context(), c.size()-uint64(i)); err != nil {
				t.Error(err)
			}
			s.UserEntry("u1", at)
			s.Alarms(true)
		})
	}
	wg.Wait()
	if seq, _ := s.UserEntry("u1", at); seq != at.Seq-1 {
		t.Errorf("newest entry of u1 is %d, want %d", seq, at.Seq-1)
	}
}
