package backup

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What a drill with the kit makes of the keyring is in no account of copies: it
// is overwritten, and not only unlinked.
func TestDrillErasesItsKeyring(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(1)
	w.make()
	o := w.drill()
	o.Live, o.Recovery = "", w.recovery
	held := map[string]*os.File{}
	o.Progress = func(what string, _, _ int64) {
		for _, name := range []string{"keyring", "keyring.recovery"} {
			if f, err := os.Open(filepath.Join(o.Temp, name)); err == nil && held[name] == nil {
				held[name] = f
			} else if err == nil {
				check(t, f.Close())
			}
		}
	}
	_, err := Drill(t.Context(), o)
	check(t, err)
	if len(held) != 2 {
		t.Fatalf("the drill had %d keyrings", len(held))
	}
	for name, f := range held {
		b := make([]byte, 4096)
		n, err := f.ReadAt(b, 0)
		if n == 0 {
			t.Fatal(err)
		}
		if len(bytes.Trim(b[:n], "\x00")) > 0 {
			t.Errorf("%s can still be read", name)
		}
		check(t, f.Close())
	}
}
