package command

import (
	"bytes"
	"strings"
	"testing"

	"holdfast/internal/api"
)

// A reading that says what the log says changes nothing and waits for nobody;
// the daemon has then applied nothing.
func TestSyncWithNothingToChange(t *testing.T) {
	h := newHouse()
	h.pending = nil
	code, out, errs := run(t, h, &Terminal{}, "directory", "sync")
	if code != 0 || !strings.Contains(out, "the log says what the directory says") || strings.Contains(out+errs, "approv") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	code, out, _ = run(t, h, &Terminal{}, "directory", "sync", "--format", "json")
	if code != 0 || !strings.Contains(out, `"applied":false`) {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// Approving a request about a diff applies nothing yet: the answer says what
// does.
func TestApprovedDiffIsStillToBeApplied(t *testing.T) {
	code, out, errs := run(t, newHouse(), &Terminal{}, "requests", "approve", "7", "--reason", "HR list")
	if code != 0 || !strings.Contains(out, "approved") || !strings.Contains(errs, "holdfast directory approve "+digest+" --reason TEXT") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	for _, args := range [][]string{{"approve", "8"}, {"deny", "7"}} {
		if _, _, errs := run(t, newHouse(), &Terminal{}, append([]string{"requests"}, append(args, "--reason", "r")...)...); strings.Contains(errs, "directory approve") {
			t.Errorf("%v: %s", args, errs)
		}
	}
}

// What waits and changes nothing is held back by something that no approval
// puts right.
func TestNothingToApprove(t *testing.T) {
	for _, c := range []struct {
		counts map[string]int
		want   string
	}{
		{map[string]int{"departed": 31}, "holdfast directory approve " + digest},
		{nil, "configuration"},
	} {
		var errs bytes.Buffer
		g := &globals{Terminal: &Terminal{Err: &errs}}
		if err := g.sayPending(&api.PendingDiff{Digest: digest, Counts: c.counts}); err != nil {
			t.Fatal(err)
		}
		if s := errs.String(); !strings.Contains(s, c.want) || (c.counts == nil) == strings.Contains(s, "approve") {
			t.Errorf("%v: %s", c.counts, s)
		}
	}
}

func TestChangeIsSaidOnce(t *testing.T) {
	for _, c := range []struct {
		change api.DirectoryChange
		want   string
	}{
		{api.DirectoryChange{Why: "disabled", Fields: []string{"disabled"}}, "disabled"},
		{api.DirectoryChange{Why: "disabled", Fields: []string{"disabled", "mail"}}, "disabled; mail"},
		{api.DirectoryChange{Why: "missing"}, "missing"},
		{api.DirectoryChange{Fields: []string{"name", "mail"}, Removed: []string{annaGUID}}, "name, mail; members +0 -1"},
	} {
		if got := changed(&c.change); got != c.want {
			t.Errorf("%+v: %q", c.change, got)
		}
	}
}
