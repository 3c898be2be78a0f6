package ldapsync

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestMissing: a group that gives a role and goes away waits for approval; once
// that is approved, synchronisation goes on without the group. The status names
// it for as long as it is not there, and one line of the log tells of it.
func TestMissing(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Mapped = []string{"officers", "auditors"} }, staff(5)...)
	w.group("officers", "p0")
	w.group("auditors", "p1")
	w.sync()
	want := func(missing ...string) {
		t.Helper()
		if got := w.s.Status().Missing; !slices.Equal(got, missing) {
			t.Errorf("missing %q, want %q", got, missing)
		}
	}
	want()
	w.do(w.fake.Delete("officers"))
	r, err := w.s.Sync(t.Context())
	if !errors.Is(err, ErrRefused) || len(r.Rails) != 1 || r.Rails[0].Code != RailGroupMissing {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, remedy := range []string{"restore", "take it out of [[directory.role]]", "approve"} {
		if !strings.Contains(r.Rails[0].Text, remedy) {
			t.Errorf("%q does not say %q", r.Rails[0].Text, remedy)
		}
	}
	want("officers")
	_, err = w.s.Apply(t.Context(), w.s.PendingDiff().Digest, execution)
	w.do(err)
	for range 3 {
		w.do(w.fake.Set("p2", "title", "Dr."))
		w.sync()
		want("officers")
	}
	if n := strings.Count(w.lines.String(), "is not in the directory"); n != 1 {
		t.Errorf("told of %d times:\n%s", n, w.lines)
	}
	if strings.Contains(w.lines.String(), "officers") {
		t.Error("the log's lines name a group")
	}
	w.do(w.fake.Set("p2", "title", "Prof."))
	if got := w.sync(); got != "change p2 title" {
		t.Errorf("%q", got)
	}
	w.group("officers", "p3")
	w.sync()
	want()
}
