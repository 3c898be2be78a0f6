package archive

import (
	"errors"
	"testing"
)

// On a full disk without a reserve the destruction of keys is refused before it
// begins, and goes on when there is room.
func TestDestroyOnAFullDisk(t *testing.T) {
	w, cm, seqs := threeMonths(t)
	r, left := w.reseal(t, cm, seqs[0])
	w.mustSwitch(t, r, left)
	was := *w.disk
	w.disk.dir, w.disk.reserve, w.disk.have = "/proc", 0, 0 // a file system without a free byte
	if _, err := w.Destroy(t.Context(), []ClassMonth{cm}, nil); !errors.Is(err, ErrDiskFull) || errors.Is(err, ErrFailed) {
		t.Fatalf("destroyed: %v", err)
	}
	*w.disk = was
	if err := w.certainKeys([]ClassMonth{cm}); err != nil {
		t.Fatalf("it cannot be switched back: %v", err)
	}
	w.mustDestroy(t, cm)
	w.mustAudit(t)
}
