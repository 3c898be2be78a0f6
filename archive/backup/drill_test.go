package backup

import (
	"errors"
	"os"
	"path/filepath"
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
		if d.Manifest.ID != m.ID || d.Bodies != 50 || !d.Report.OK() || d.Bytes == 0 {
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
	if d.Disposed == 0 || d.Bodies == 0 || d.Bodies+d.Disposed != 200 {
		t.Errorf("%d opened, %d disposed of", d.Bodies, d.Disposed)
	}
	o = w.drill()
	o.Destroyed = func(k archive.KeyID) bool { return k.Name == gone.Name && k != gone }
	if _, err := Drill(t.Context(), o); !errors.Is(err, ErrLostKeys) {
		t.Errorf("another key of that name: %v", err)
	}
}
