package backup

import (
	"testing"
)

func TestBackupOpensAgain(t *testing.T) {
	w := newWard(t)
	w.fill(30)
	r := w.make()
	report := w.putBack(r.Manifest.ID)
	if report.Bodies != w.Size() || r.Files == 0 || r.Written == 0 {
		t.Errorf("of %d entries the backup has %d bodies; %+v", w.Size(), report.Bodies, r)
	}
}
