package ldapsync

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/archive"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/internal/adtest"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a log in memory, with faults, and the state that follows it.
type memory struct {
	history *people.History

	mu      sync.Mutex
	records []archive.Record
	batches [][]archive.Entry
	applied int
	fault   func(n int) (persist bool, err error) // of the nth batch, from 0
	tries   int
}

func (m *memory) Append(_ context.Context, b archive.Batch) ([]archive.Placed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	persist, err := true, error(nil)
	if m.fault != nil {
		persist, err = m.fault(m.tries)
	}
	m.tries++
	if persist {
		if len(b.Entries) == 0 || len(b.Entries) > archive.MaxBatch {
			return nil, archive.ErrInvalid
		}
		m.batches = append(m.batches, b.Entries)
		for _, e := range b.Entries {
			leaf := proof.Leaf{Seq: uint64(len(m.records)), Kind: e.Kind, Class: e.Class, Received: time.Now().UnixMilli()}
			m.records = append(m.records, archive.Record{Leaf: leaf, Body: e.Body})
		}
	}
	return nil, err
}

func (m *memory) Checkpoint(context.Context) ([]byte, error) { return nil, nil }

func (m *memory) Size() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.records))
}

func (m *memory) CatchUp(_ context.Context, size uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ; uint64(m.applied) < size; m.applied++ {
		rec := m.records[m.applied]
		switch rec.Leaf.Kind {
		case proof.KindPerson, proof.KindGroup, proof.KindSync:
			if err := m.history.Apply(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// kinds counts the entries of each kind.
func (m *memory) kinds() map[proof.Kind]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := map[proof.Kind]int{}
	for _, r := range m.records {
		n[r.Leaf.Kind]++
	}
	return n
}

// alarms returns the names of the alarms, in order.
func (m *memory) alarms(t *testing.T) []string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, r := range m.records {
		if r.Leaf.Kind == proof.KindAlarm {
			var b archive.AlarmBody
			if err := ijson.Unmarshal(r.Body, &b); err != nil {
				t.Fatal(err)
			}
			names = append(names, b.Name)
		}
	}
	return names
}

// world is a fake directory and a Syncer on a log in memory.
type world struct {
	t      *testing.T
	fake   *adtest.Fake
	log    *memory
	lines  *strings.Builder // what was logged
	s      *Syncer
	passed []people.Change // what Applied was told
}

func newWorld(t *testing.T, change func(*Options), persons ...adtest.Person) *world {
	t.Helper()
	fake, err := adtest.NewFake(t.TempDir(), persons...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	w := &world{t: t, fake: fake, log: &memory{history: people.NewHistory()}, lines: new(strings.Builder)}
	o := options(fake)
	o.Log, o.History, o.CatchUp = w.log, w.log.history, w.log.CatchUp
	o.Applied = func(_ context.Context, c []people.Change) { w.passed = append(w.passed, c...) }
	o.Logger = slog.New(slog.NewTextHandler(w.lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&o)
	}
	if w.s, err = New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

// options are those for a Fake. The time limit only matters where a test waits for it.
func options(fake *adtest.Fake) Options {
	return Options{
		URLs: []string{fake.URL()}, CA: fake.CAFile(), Bind: adtest.BindDN, Password: func() (string, error) { return adtest.BindPassword, nil },
		Base: []string{adtest.StaffDN}, GroupBase: []string{adtest.GroupsDN}, Timeout: 10 * time.Second,
	}
}

func (w *world) do(errs ...error) {
	w.t.Helper()
	for _, err := range errs {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) group(account string, members ...string) {
	w.t.Helper()
	_, err := w.fake.AddGroup(account, members...)
	w.do(err)
}

// sync synchronises and returns what changed, one line each.
func (w *world) sync() string {
	w.t.Helper()
	r, err := w.s.Sync(w.t.Context())
	w.do(err)
	return w.lines1(r.Changes)
}

// lines1 writes changes for comparing: op, account, and what it is about.
func (w *world) lines1(changes []people.Change) string {
	name := map[people.GUID]string{}
	snap := w.log.history.Snapshot()
	for _, list := range []map[people.GUID]people.Person{snap.People, snap.Departed} {
		for g, p := range list {
			name[g] = p.Account
		}
	}
	for g, x := range snap.Groups {
		name[g] = x.Account
	}
	var out []string
	for _, c := range changes {
		line := string(c.Op)
		if c.Person != nil {
			line += " " + c.Person.Account
		} else {
			line += " group " + c.Group.Account
		}
		if c.Why != "" {
			line += " " + c.Why
		}
		for _, f := range c.Fields {
			line += " " + f
		}
		for _, g := range c.Added {
			line += " +" + name[g]
		}
		for _, g := range c.Removed {
			line += " -" + name[g]
		}
		out = append(out, line)
	}
	return strings.Join(sorted(out), "; ")
}

func sorted(list []string) []string {
	for i := range list {
		for j := i; j > 0 && list[j] < list[j-1]; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}

func (w *world) guid(account string) people.GUID {
	w.t.Helper()
	g, err := people.ParseGUID(w.fake.GUID(account))
	w.do(err)
	return g
}

// standing is what the log says of a person now.
func (w *world) standing(g people.GUID) people.Standing {
	w.t.Helper()
	w.do(w.log.CatchUp(w.t.Context(), w.log.Size()))
	st, ok := w.log.history.Person(g, time.Time{})
	if !ok {
		w.t.Fatalf("the log does not know %s", g)
	}
	return st
}

// execution is an entry as an approval's would be.
func execution() (archive.Entry, error) {
	return archive.Entry{Kind: proof.KindExecution, Class: proof.ClassControl, Body: []byte(`{"v":1}`)}, nil
}

func admin() role.Principal {
	uid := uint32(1000)
	return role.Principal{UID: &uid, Name: "root", Via: role.ViaSocket}
}

// staff are n people, p0 to p(n-1).
func staff(n int) []adtest.Person {
	list := make([]adtest.Person, n)
	for i := range list {
		account := fmt.Sprintf("p%d", i)
		list[i] = adtest.Person{Account: account, Name: "Person " + account, Mail: account + "@hospital.test", Department: "Cardiology", Title: "Nurse"}
	}
	return list
}
