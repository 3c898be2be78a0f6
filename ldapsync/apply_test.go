package ldapsync

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"holdfast/archive"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/internal/adtest"
)

// waiting is a world in which the departure of p0 to p24 waits.
func waiting(t *testing.T, change func(*Options)) (*world, *Pending) {
	t.Helper()
	w := newWorld(t, change, staff(60)...)
	w.sync()
	for i := range 25 {
		w.do(w.fake.Disable(fmt.Sprintf("p%d", i)))
	}
	if _, err := w.s.Sync(t.Context()); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	return w, w.s.PendingDiff()
}

// unused fails the test when an approval is used up.
func unused(t *testing.T) func() (archive.Entry, error) {
	return func() (archive.Entry, error) { t.Error("the approval was used up"); return execution() }
}

// TestTakenBack: what the directory takes back between the last synchronisation
// and the approval departs nobody. The approval is of no use, and what the
// directory says now is asked for.
func TestTakenBack(t *testing.T) {
	asked := map[[32]byte]int{}
	w, p := waiting(t, func(o *Options) {
		o.Pending = func(_ context.Context, p *Pending) error { asked[p.Digest]++; return nil }
	})
	w.do(w.fake.Enable("p1"))
	persons := w.log.kinds()[proof.KindPerson]
	if _, err := w.s.Apply(t.Context(), p.Digest, unused(t)); !errors.Is(err, ErrNotPending) {
		t.Fatal(err)
	}
	now := w.s.PendingDiff()
	if now == nil || now.Digest == p.Digest || len(now.Changes) != 24 || asked[now.Digest] != 1 {
		t.Fatalf("%+v, asked for %d", now, len(asked))
	}
	if w.log.kinds()[proof.KindPerson] != persons || len(w.log.alarms(t)) != 1 {
		t.Errorf("%v", w.log.kinds())
	}
	if _, err := w.s.Apply(t.Context(), now.Digest, execution); err != nil {
		t.Fatal(err)
	}
	if st := w.standing(w.guid("p1")); st.Status != people.StatusActive {
		t.Errorf("somebody whom the directory has is %s", st.Status)
	}
}

// TestTakenBackWhole: nothing waits any more, and Run applies what is left.
func TestTakenBackWhole(t *testing.T) {
	w, p := waiting(t, nil)
	for i := range 10 {
		w.do(w.fake.Enable(fmt.Sprintf("p%d", i)))
	}
	if _, err := w.s.Apply(t.Context(), p.Digest, unused(t)); !errors.Is(err, ErrNotPending) || w.s.PendingDiff() != nil {
		t.Fatalf("%v, %+v", err, w.s.PendingDiff())
	}
	select {
	case <-w.s.kick:
	default:
		t.Error("Run was not woken")
	}
}

// TestApplyNeedsTheDirectory: while it cannot be read, nothing is applied and
// the diff goes on waiting. Another digest is not worth a question.
func TestApplyNeedsTheDirectory(t *testing.T) {
	w, p := waiting(t, nil)
	before := w.log.Size()
	proxy := w.between(adtest.Microsoft)
	proxy.Set(adtest.Fault{CutPage: 1})
	if _, err := w.s.Apply(t.Context(), p.Digest, unused(t)); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	binds := proxy.Counts().Binds
	if _, err := w.s.Apply(t.Context(), [32]byte{1}, unused(t)); !errors.Is(err, ErrNotPending) || proxy.Counts().Binds != binds {
		t.Error(err)
	}
	if w.log.Size() != before || w.s.PendingDiff() == nil {
		t.Errorf("%d entries, %+v", w.log.Size()-before, w.s.PendingDiff())
	}
	proxy.Set(adtest.Fault{})
	if _, err := w.s.Apply(t.Context(), p.Digest, execution); err != nil {
		t.Error(err)
	}
}

// TestApplyAsksFreely: while the directory is asked, nobody waits to decide
// anything.
func TestApplyAsksFreely(t *testing.T) {
	w, p := waiting(t, nil)
	read := w.s.read
	w.s.read = func(ctx context.Context) (*people.Snapshot, string, error) {
		select {
		case w.s.deciding <- struct{}{}:
			<-w.s.deciding
		default:
			t.Error("deciding is held while a domain controller is asked")
		}
		return read(ctx)
	}
	if _, err := w.s.Apply(t.Context(), p.Digest, execution); err != nil {
		t.Error(err)
	}
}

// TestApplySuspends: what Apply reads says who has access, as a synchronisation does.
func TestApplySuspends(t *testing.T) {
	w := officers(t, nil)
	w.do(w.fake.RemoveMember("officers", "p0"), w.fake.Disable("p1"))
	w.refused()
	w.do(w.fake.RemoveMember("officers", "p1"), w.fake.Enable("p1"), w.fake.Disable("p2"))
	if _, err := w.s.Apply(t.Context(), w.s.PendingDiff().Digest, unused(t)); !errors.Is(err, ErrNotPending) {
		t.Fatal(err)
	}
	if got := w.suspended(); got != "p2" {
		t.Errorf("suspended %q", got)
	}
}
