package archive

import (
	"path/filepath"
	"sync"
	"testing"
)

// Whoever closes other files than the one that is copied, as each class-month of
// a disposition does before it is resealed, keeps nobody from a backup.
func TestCopyStaysBesideOtherFiles(t *testing.T) {
	t.Parallel()
	a, s, f := bulky(t)
	id, err := parseBodyName(bodyFileName.FindStringSubmatch(f.body + ".db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, closes := range map[string]func() error{
		"another class-month is swept":      func() error { return a.sweep(ClassMonth{Class: "general", Month: "2001-01"}) },
		"the class-month itself is swept":   func() error { return a.sweep(id.ClassMonth) },
		"another file is removed":           func() error { return a.removeBodyFile(bodyName("2001-01", "general", 1)) },
		"the file of another class is shut": func() error { return a.closeBody(bodyName(id.Month, "other", 1)) },
	} {
		done := make(chan error, 1)
		ctx := underWay{t.Context(), &sync.Once{}, func() {
			a.mu.RLock()
			go func() { done <- closes() }()
			a.locked(t)
		}}
		_, err := s.spoolBody(ctx, f.body, filepath.Join(s.spool, "copying.db"))
		a.mu.RUnlock()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
