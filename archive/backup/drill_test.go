package backup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/archive"
)

func (w *ward) drill() DrillOptions {
	return DrillOptions{From: w.to, Keys: w.keys, Temp: filepath.Join(w.t.TempDir(), "drill"), Live: w.dir, Master: w.options.Master, Sample: 50}
}

// A drill tries the newest backup beside the running archive, with its keyring
// or the kit's, and leaves nothing behind.
func TestDrill(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(3)
	w.make()
	w.fill(2)
	m := w.make().Manifest
	_, anchor := w.point()
	for name, change := range map[string]func(o *DrillOptions){
		"with the live keyring": func(*DrillOptions) {},
		"with the kit":          func(o *DrillOptions) { o.Live, o.Recovery = "", w.recovery },
		"with an anchor":        func(o *DrillOptions) { o.Anchor = anchor },
	} {
		o := w.drill()
		change(&o)
		d, err := Drill(t.Context(), o)
		check(t, err)
		if d.Manifest.ID != m.ID || d.Bodies != min(50, m.Size) || !d.Report.OK() || d.Bytes == 0 {
			t.Errorf("%s: %+v", name, d)
		}
		if left := names(t, o.Temp); len(left) > 0 {
			t.Errorf("%s: it left %v", name, left)
		}
	}
	o := w.drill()
	o.Anchor = fork(t, w)
	if _, err := Drill(t.Context(), o); !errors.Is(err, archive.ErrAnchor) {
		t.Errorf("an anchor of another log: %v", err)
	}
}

// A sample has each entry once, the last among them, and any of the others.
func TestDrawn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size uint64
		n    int
		want int
	}{{0, 5, 0}, {5, 0, 0}, {1, 1, 1}, {1, 5, 1}, {5, 1, 1}, {5, 5, 5}, {360, 1000, 360}, {1000, 999, 999}, {1 << 40, 3, 3}} {
		got := drawn(c.size, c.n)
		if len(got) != c.want || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != c.want || c.want > 0 && got[len(got)-1] != c.size-1 {
			t.Errorf("%d of %d: %v", c.n, c.size, got)
		}
	}
	drew := map[uint64]bool{}
	for range 2000 {
		drew[drawn(10, 2)[0]] = true
	}
	if len(drew) != 9 {
		t.Errorf("drawn at one time or another: %v", drew)
	}
}

// Another archive's kit is refused before anything is copied.
func TestDrillWithAnotherKit(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.make()
	o := w.drill()
	o.Live, o.Recovery = "", newWard(t).recovery
	o.Progress = func(what string, _, _ int64) { t.Errorf("it began: %s", what) }
	if _, err := Drill(t.Context(), o); !errors.Is(err, archive.ErrKit) {
		t.Error(err)
	}
}

func TestDrillFindsDamage(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(3)
	m := w.make().Manifest
	for f, err := range m.AllFiles(t.Context(), w.to) {
		check(t, err)
		o := w.drill()
		o.From = cloneDir(t, w.to)
		path := ObjectPath(o.From, f.SHA256)
		b, err := os.ReadFile(path)
		check(t, err)
		b[len(b)/2] ^= 1
		check(t, os.WriteFile(path, b, 0o600))
		if _, err := Drill(t.Context(), o); err == nil {
			t.Errorf("%s: nobody noticed", f.Path)
		}
		if left := names(t, o.Temp); len(left) > 0 {
			t.Errorf("%s: it left %d files", f.Path, len(left))
		}
	}
	o := w.drill()
	o.Keys = t.TempDir()
	if _, err := Drill(t.Context(), o); !errors.Is(err, ErrNoKeys) {
		t.Errorf("without keys: %v", err)
	}
}

// A key that is gone is damage, unless a certificate names that very key.
func TestDrillOfDestroyedKeys(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(3)
	m := w.make().Manifest
	var gone archive.KeyID
	for _, k := range m.Keys {
		if strings.Contains(k.Name, ".orders.") {
			gone = k
		}
	}
	w.disposeOf(archive.ClassMonth{Class: "orders", Month: strings.TrimPrefix(gone.Name, "bodies/")[:7]})
	w.newestKeysAlone()
	if _, err := Drill(t.Context(), w.drill()); !errors.Is(err, ErrLostKeys) {
		t.Errorf("%v", err)
	}
	o := w.drill()
	o.Sample = 200
	o.Destroyed = func(k archive.KeyID) bool { return k == gone }
	d, err := Drill(t.Context(), o)
	check(t, err)
	if d.Disposed == 0 || d.Bodies == 0 || d.Bodies+d.Disposed != m.Size {
		t.Errorf("%d opened, %d disposed of", d.Bodies, d.Disposed)
	}
	o = w.drill()
	o.Destroyed = func(k archive.KeyID) bool { return k.Name == gone.Name && k != gone }
	if _, err := Drill(t.Context(), o); !errors.Is(err, ErrLostKeys) {
		t.Errorf("another key of that name: %v", err)
	}
}
