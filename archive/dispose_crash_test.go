package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/proof"
)

// The steps of a disposition at which it is stopped, and whether what is left
// behind still stands then: before the switch is in the log, or after.
var disposeSteps = []struct {
	step  string
	begun bool
}{
	{"before key", false}, {"after key", false}, {"resealed", false}, {"renamed", false}, {"tail copied", false},
	{"before bodies", false}, {"after bodies", false}, {"after log", true},
	{"destroying", true}, {"keyring replaced", true}, {"file unlinked", true}, {"text unlinked", true}, {"blob unlinked", true}, {"unlinked", true},
}

// disposal is one disposition under test, with attachments, in a month that is
// open or over.
type disposal struct {
	*ward
	cm      ClassMonth
	left    []uint64
	bid     string
	sum     [32]byte
	attempt int
}

func newDisposal(t *testing.T, over bool) *disposal {
	t.Helper()
	d := &disposal{ward: newWard(t)}
	d.o.LogFileLeaves = 90 // the batch of the intent comes near the second file's beginning
	d.reopen(t)
	d.nextMonth(t)
	d.cm = ClassMonth{"general", d.month()}
	var seq uint64
	seq, d.bid, d.sum = d.attach(t, "general", 'x')
	d.left = []uint64{seq}
	if err := d.PutBlobText(t.Context(), d.bid, d.sum, [32]byte{}, BlobText{Status: "text", Text: "what it says"}); err != nil {
		t.Fatal(err)
	}
	d.left = append(d.left, d.say(t, "general", 50)...)
	if over {
		d.nextMonth(t)
	}
	if _, err := d.IndexKey(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	d.claims.at = nil
	return d
}

// run disposes of everything in d.left; what comes in meanwhile stays.
func (d *disposal) run(t *testing.T) error {
	ctx := context.Background()
	r, err := d.Reseal(ctx, d.cm, ResealOptions{Keep: func(r Record) (bool, error) { return !slices.Contains(d.left, r.Leaf.Seq), nil }})
	if err != nil {
		return err
	}
	if d.attempt++; d.attempt == 1 { // a tail for the switch to copy, if the month is open
		fault := d.fault
		d.fault = nil
		d.say(t, "general", 12)
		d.fault = fault
	}
	b := intent(fmt.Sprintf("intent %d", d.attempt))
	placed, err := d.Switch(ctx, []*Resealed{r}, b)
	if err != nil {
		return err
	}
	d.knows(placed, b)
	_, err = d.Destroy(ctx, []ClassMonth{d.cm}, nil)
	return err
}

// settle finishes what is pending in an archive, or begins anew, and looks at
// what is left.
func (d *disposal) settle(a *Archive) error {
	live := d.Archive
	defer func() { d.Archive = live }()
	d.Archive = a
	// The intent may be there although nobody was told.
	for seq := uint64(0); seq < a.Size(); seq++ {
		if d.bodies[seq] != nil {
			continue
		}
		r, err := a.Record(context.Background(), seq)
		if err != nil {
			return err
		}
		d.bodies[seq] = r.Body
	}
	pending := a.PendingDisposals()
	begun := len(pending) > 0
	if begun {
		for _, seq := range d.left {
			d.gone[seq] = true
		}
	}
	if err := d.audit(a); err != nil {
		return fmt.Errorf("as it was found, begun %v: %w", begun, err)
	}
	if !begun {
		return d.sound(a, 1)
	}
	first, err := a.Destroy(context.Background(), pending, nil)
	if err != nil {
		return err
	}
	again, err := a.Destroy(context.Background(), pending, nil)
	if err != nil || fmt.Sprint(first) != fmt.Sprint(again) {
		return fmt.Errorf("%+v after %+v, %w", again, first, err)
	}
	if len(first.Keys) != 2 || first.Blobs != 1 || first.Files != 1 || first.Keyring > a.keys.ring.Generation || first.IndexFiles[0] != 0 {
		return fmt.Errorf("destroyed: %+v", first)
	}
	if err := d.audit(a); err != nil {
		return fmt.Errorf("finished: %w", err)
	}
	if has, err := a.HasBlob(d.bid, d.sum); has || err != nil {
		return fmt.Errorf("the attachment is there: %w", err)
	}
	if _, err := d.BlobText(d.bid, d.sum, [32]byte{}); !errors.Is(err, ErrNoBlob) {
		return fmt.Errorf("its text is there: %w", err)
	}
	return d.sound(a, 2)
}

// sound looks for leftovers: of the class-month there is one generation, with
// its file and key, and no other.
func (d *disposal) sound(a *Archive, generation uint32) error {
	name := bodyName(d.cm.Month, d.cm.Class, generation)
	files, err := filepath.Glob(filepath.Join(a.dir, "bodies", d.cm.Month+"."+d.cm.Class+".*"))
	if err != nil || len(files) != 1 || files[0] != bodyPath(a.dir, name) {
		return fmt.Errorf("the files %v, %w", files, err)
	}
	for key := range a.keys.ring.Bodies {
		if strings.HasPrefix(key, d.cm.Month+"."+d.cm.Class+".") && key != name {
			return fmt.Errorf("the key of %s is there", key)
		}
	}
	left, err := filepath.Glob(filepath.Join(a.dir, "keyring*.*o*d"))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left over: %v", left)
	}
	return err
}

// At each step of a disposition the process is killed (a copy of the directory
// is all that is left). The month goes on, so that Switch has entries to copy.
func TestDisposeKilled(t *testing.T) {
	for _, s := range disposeSteps {
		t.Run(s.step, func(t *testing.T) {
			t.Parallel()
			d := newDisposal(t, false)
			image := ramDir(t)
			hit := 0
			d.fault = func(step string) error {
				if step != s.step {
					return nil
				}
				if hit++; hit == 1 {
					return (&patient{dir: d.dir}).copyTo(image)
				}
				return nil
			}
			if err := d.run(t); err != nil || hit == 0 {
				t.Fatalf("%d times at the step, %v", hit, err)
			}
			size := imageSize(t, d, image)
			for seq := range d.bodies { // what came after the copy was made
				if seq >= size {
					delete(d.bodies, seq)
				}
			}
			a, err := Open(t.Context(), image, d.o)
			if err != nil {
				t.Fatal(err)
			}
			if begun := len(a.PendingDisposals()) > 0; begun != s.begun {
				t.Errorf("begun: %v", begun)
			}
			d.gone = map[uint64]bool{}
			err = errors.Join(d.settle(a), a.Close())
			if err != nil {
				t.Error(err)
			}
			b, err := Open(t.Context(), image, d.o)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(d.audit(b), b.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

func imageSize(t *testing.T, d *disposal, dir string) uint64 {
	t.Helper()
	o := d.o
	o.ReadOnly = true
	a, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return a.Size()
}

// Each step fails: what follows is as after a crash there, the archive goes on
// by itself, and trying again disposes of everything.
func TestDisposeFails(t *testing.T) {
	for _, s := range disposeSteps {
		t.Run(s.step, func(t *testing.T) {
			t.Parallel()
			d := newDisposal(t, true)
			failed := false
			d.fault = func(step string) error {
				if step == s.step && !failed {
					failed = true
					return errors.New("injected")
				}
				return nil
			}
			if err := d.run(t); err == nil || !failed {
				t.Fatalf("failed %v: %v", failed, err)
			}
			d.say(t, "general", 3)
			if begun := len(d.PendingDisposals()) > 0; begun != s.begun {
				t.Fatalf("begun: %v", begun)
			}
			if !s.begun {
				d.mustAudit(t)
				if err := d.run(t); err != nil {
					t.Fatal(err)
				}
				for _, seq := range d.left {
					d.gone[seq] = true
				}
				d.mustAudit(t)
			} else if err := d.settle(d.Archive); err != nil {
				t.Fatal(err)
			}
			d.reopen(t)
			d.mustAudit(t)
		})
	}
}

// Each step of a switch back fails, or the process is killed there: either file
// counts whole.
func TestSwitchBackStopped(t *testing.T) {
	for _, step := range []string{"copied back", "before bodies", "after bodies", "after log", "switched back"} {
		for _, kill := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, killed %v", step, kill), func(t *testing.T) {
				t.Parallel()
				d := newDisposal(t, false)
				d.fault = func(step string) error {
					if step == "destroying" {
						return errors.New("injected")
					}
					return nil
				}
				if err := d.run(t); err == nil {
					t.Fatal("not stopped")
				}
				for _, seq := range d.left {
					d.gone[seq] = true
				}
				d.fault = nil
				d.say(t, "general", 9)
				d.mustAudit(t)
				image, hit := ramDir(t), 0
				d.fault = func(s string) error {
					if s != step {
						return nil
					}
					if hit++; hit > 1 {
						return nil
					}
					if kill {
						return (&patient{dir: d.dir}).copyTo(image)
					}
					return errors.New("injected")
				}
				b := Batch{Entries: []Entry{{Kind: proof.KindAbandoned, Class: proof.ClassControl, Body: []byte("held now")}}}
				_, err := d.SwitchBack(t.Context(), []ClassMonth{d.cm}, b)
				if hit == 0 || kill != (err == nil) {
					t.Fatalf("%d times at the step, %v", hit, err)
				}
				if kill {
					d.dir = image
				}
				d.fault = nil
				d.reopen(t)
				back := len(d.PendingDisposals()) == 0
				if back != (step == "after log" || step == "switched back") {
					t.Fatalf("switched back: %v", back)
				}
				if back {
					d.gone = map[uint64]bool{}
				}
				d.mustAudit(t)
				if !back {
					placed, err := d.SwitchBack(t.Context(), []ClassMonth{d.cm}, b)
					if err != nil {
						t.Fatal(err)
					}
					d.knows(placed, b)
				}
				d.gone = map[uint64]bool{}
				d.mustAudit(t)
				if err := d.sound(d.Archive, 1); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// Where the keyring's replacement failed half way, a switch back writes both
// files again before the log says that the former key counts.
func TestSwitchBackAfterFailedKeyring(t *testing.T) {
	d := newDisposal(t, true)
	d.fault = func(step string) error {
		if step != "destroying" {
			return nil
		}
		// The replacement of keyring.recovery succeeds, that of keyring does not.
		return os.MkdirAll(filepath.Join(d.dir, "keyring.tmp", "in the way"), 0o700)
	}
	if err := d.run(t); err == nil {
		t.Fatal("not stopped")
	}
	d.fault = nil
	b := Batch{Entries: []Entry{{Kind: proof.KindAbandoned, Class: proof.ClassControl, Body: []byte("held now")}}}
	if _, err := d.SwitchBack(t.Context(), []ClassMonth{d.cm}, b); err == nil {
		t.Fatal("switched back with keys that are not known to be durable")
	}
	if len(d.PendingDisposals()) != 1 {
		t.Fatal("not pending any more")
	}
	if err := os.RemoveAll(filepath.Join(d.dir, "keyring.tmp")); err != nil {
		t.Fatal(err)
	}
	d.fault = func(step string) error {
		if step != "copied back" {
			return nil
		}
		ring, err := recovered(d.ward)
		if err != nil || ring.Bodies[bodyName(d.cm.Month, d.cm.Class, 1)] == nil {
			t.Errorf("the recovery copy lacks the former key: %v", err)
		}
		return nil
	}
	placed, err := d.SwitchBack(t.Context(), []ClassMonth{d.cm}, b)
	if err != nil {
		t.Fatal(err)
	}
	d.knows(placed, b)
	d.reopen(t)
	d.mustAudit(t)
}
