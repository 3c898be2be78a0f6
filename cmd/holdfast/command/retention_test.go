package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/role"
	"holdfast/retention"
)

func TestCheckWhen(t *testing.T) {
	for _, s := range []string{"", "today", "2026-01-01", "2024-02-29", "2026-01-01T08:00:00Z", "2026-01-01T08:00:00.5+01:00", "-1d", "-90d", "-6w", "-18m", "-7y", "-0d"} {
		if err := checkWhen("--from", s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"yesterday", "90d", "7y ago", "+7y", "-7", "-y", "-7Y", "-7 y", "-1y6m", "--7y", "-12345d", "2025-02-29", "2026-13-01", "2026-1-1", "2026-01-01 08:00:00",
		"2026-01-01T08:00:00", "2026", " today", "-7y\n", "-٧y"} {
		// The same for all: what was typed is part of a scope.
		if err := checkWhen("--from", s); err == nil || err.Error() != checkWhen("--from", "?").Error() {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestBetween(t *testing.T) {
	day, later := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 1, 8, 30, 0, 0, time.UTC)
	zone := day.In(time.FixedZone("", 3600)) // the same instant
	for _, tt := range []struct {
		from, to *time.Time
		want     string
	}{
		{nil, nil, "at any time"},
		{&day, nil, "from 2026-01-01 on"},
		{&zone, nil, "from 2026-01-01 on"},
		{nil, &later, "before 2026-02-01 08:30:00"},
		{&day, &later, "from 2026-01-01 on, before 2026-02-01 08:30:00"},
	} {
		if got := between(tt.from, tt.to); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// Whatever zone somebody is in, their today is today; any other day is not.
func TestSameDay(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for hours, want := range map[int]bool{-24: false, -15: false, -14: true, 0: true, 12: true, 23: true, 36: true, 37: false, 48: false, 24 * 365: false} {
		if got := sameDay(day, day.Add(time.Duration(hours)*time.Hour)); got != want {
			t.Errorf("%d hours after the day began: %v", hours, got)
		}
	}
}

func TestKeptFor(t *testing.T) {
	due := time.Date(2033, 3, 1, 8, 30, 0, 0, time.UTC)
	day := time.Date(2033, 3, 1, 0, 0, 0, 0, time.UTC)
	held := []api.HeldBy{{Hold: 412, Matter: "M-7", Why: "custodian"}, {Hold: 413, Matter: "M-7"}, {Matter: api.Held}}
	for _, tt := range []struct {
		kept   api.Kept
		want   string
		fields string
	}{
		{api.Kept{}, "", ""},
		{api.Kept{HeldBy: []api.HeldBy{}}, "no date yet", "dispose after  not known yet, or never\n"},
		{api.Kept{HeldBy: []api.HeldBy{}, DisposeAfter: &day}, "until 2033-03-01", "dispose after  2033-03-01 00:00:00 UTC\n"},
		{api.Kept{HeldBy: held, DisposeAfter: &due}, "held: M-7, held",
			"held by        M-7 (hold 412), by custodian\nheld by        M-7 (hold 413)\nheld by        held\ndispose after  2033-03-01 08:30:00 UTC, once nothing holds it\n"},
		{api.Kept{Disposed: &api.Disposed{Certificate: 520, At: due, Class: "general", Month: "2026-03"}}, "disposed of, certificate 520",
			"disposed of  2033-03-01 08:30:00 UTC, of class general, received in 2026-03\ncertificate  520: holdfast certificate show 520\n"},
	} {
		if got := keptFor(&tt.kept); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		var out bytes.Buffer
		if err := (&Terminal{Out: &out}).writeFields(keptFields(&tt.kept)); err != nil || out.String() != tt.fields {
			t.Errorf("%v, got %q, want %q", err, &out, tt.fields)
		}
	}
}

// The table of hits says how long each is kept, as far as anything is known.
func TestHitsSayHowLongTheyAreKept(t *testing.T) {
	var out bytes.Buffer
	g := &globals{Terminal: &Terminal{Out: &out}}
	list := []api.Hit{{Seq: 7, From: "a", Kept: api.Kept{HeldBy: []api.HeldBy{{Matter: "M-\u202e7"}}}}, {Seq: 6, From: "b"}}
	if err := g.writeHits(list); err != nil || !strings.Contains(out.String(), "KEPT") || !strings.Contains(out.String(), "held: M-<U+202E>7") {
		t.Errorf("%v\n%s", err, &out)
	}
	out.Reset()
	if err := g.writeHits(list[1:]); err != nil || strings.Contains(out.String(), "KEPT") {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 1 << 50: "1024.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// What stands in a command that a person may copy is one word of it, and
// steers no terminal.
func TestShellWord(t *testing.T) {
	for s, want := range map[string]string{
		"M-7": "M-7", "./a b.toml": "'./a b.toml'", "$(reboot)": "'$(reboot)'", "it's": `'it'\''s'`, "a;b": "'a;b'", "": "''", "a\x1b[2J": "'a␛[2J'", "über": "'über'",
	} {
		if got := shellWord(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	var list []uint64
	if got := numbers(list); got != "" {
		t.Errorf("got %q", got)
	}
	for i := range uint64(25) {
		list = append(list, i)
	}
	if got := numbers(list); !strings.HasSuffix(got, "18, 19, … and 5 more") {
		t.Errorf("got %q", got)
	}
}

// What was approved is said to be still to be done, and how.
func TestApprovedNext(t *testing.T) {
	for act, want := range map[string]string{
		actHoldRelease:       "holdfast hold release HOLD --request 431",
		actSchedule:          "holdfast schedule apply FILE --request 431",
		actDisposition:       "holdfast disposition run PLAN --yes",
		api.ActDirectoryDiff: "holdfast directory approve",
		api.ActLargeExport:   "",
	} {
		got := strings.Join(approvedNext(&api.ApprovalRequest{Seq: 431, Act: act, Digest: digest}), "\n")
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: %q", act, got)
		}
	}
}

// Only who means it runs a plan: planNext of every state and kind.
func TestPlanNext(t *testing.T) {
	for _, tt := range []struct {
		plan api.Plan
		want string
	}{
		{api.Plan{}, "nothing was planned"},
		{api.Plan{Seq: 5, State: planWaiting}, "holdfast disposition approve 5"},
		{api.Plan{Seq: 5, State: planApproved}, "destroyed for good"},
		{api.Plan{Seq: 5, State: planApproved, Kind: planReclass}, "not done yet"},
		{api.Plan{Seq: 5, State: planDenied}, ""},
		{api.Plan{Seq: 5, State: "done"}, ""},
	} {
		got := strings.Join(planNext(&tt.plan), "\n")
		if !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("%+v: %q", tt.plan, got)
		}
	}
}

func TestJSONFlag(t *testing.T) {
	for _, args := range [][]string{{"status", "--json"}, {"status", "--json", "--format", "json"}} {
		if code, out, errs := run(t, newHouse(), &Terminal{}, args...); code != 0 || !strings.HasPrefix(out, `{"version"`) {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
	if code, out, _ := run(t, newHouse(), &Terminal{}, "status", "--json", "--format", "table"); code != api.ExitUsage || out != "" {
		t.Errorf("exit code %d, %s", code, out)
	}
}

// status says what is held and due once that is known, and what wants a person.
func TestStatusOfRetention(t *testing.T) {
	at := time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC)
	for _, tt := range []struct {
		gauges api.Gauges
		want   string
	}{
		{api.Gauges{}, ""},
		{api.Gauges{HoldsActive: 2, OldestHold: &at, AsOf: &at, DueMessages: 12, DueBytes: 2048, NextCutoff: &at, PlansWaiting: 1, Frozen: true},
			"holds          2 active, the oldest since 2026-03-01 08:30:00 UTC\n" +
				"due            12 entries that nothing holds, 2.0 KiB, as of 2026-03-01 08:30:00 UTC\n" +
				"next due       2026-03-01 08:30:00 UTC\n" +
				"plans waiting  1 for a second person: holdfast disposition list\n" +
				"disposition    FROZEN, because the clock jumped: holdfast clock show\n"},
	} {
		var out bytes.Buffer
		if err := (&Terminal{Out: &out}).writeFields(retentionFields(&tt.gauges)); err != nil || out.String() != tt.want {
			t.Errorf("%v, got\n%s", err, &out)
		}
	}
}

// A bar says at which step a run is.
func TestRunShowsItsSteps(t *testing.T) {
	o := newOffice()
	dir, err := os.MkdirTemp("", "hf")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	stop, err := o.start(filepath.Join(dir, "o"))
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := Run(t.Context(), &Terminal{Out: &out, Err: &errs, ErrTTY: true, In: strings.NewReader("")}, []string{"--socket", filepath.Join(dir, "o"), "disposition", "run", "500", "--yes"})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if code != 0 || !strings.Contains(errs.String(), "resealing") || strings.Contains(out.String(), "resealing") {
		t.Errorf("exit code %d\n%s%s", code, &out, &errs)
	}
}

// A plan that was carried out destroys nothing any more, and a run may have
// left entries out: what it named is no count of what is gone.
func TestPlanSaysWhatItNamed(t *testing.T) {
	for _, tt := range []struct {
		plan api.Plan
		want string
	}{
		{api.Plan{Seq: 5, State: planWaiting, Total: 81}, "destroys  81 entries"},
		{api.Plan{Seq: 5, State: planApproved, Total: 81}, "destroys  81 entries"},
		{api.Plan{Total: 81}, "destroys  81 entries"},
		{api.Plan{Seq: 5, State: "done", Total: 81}, "named    81 entries"},
		{api.Plan{Seq: 5, State: planDenied, Total: 81}, "named    81 entries"},
		{api.Plan{Seq: 5, State: planWaiting, Kind: planReclass, Total: 81}, "changes  81 entries"},
	} {
		var out bytes.Buffer
		if err := (&globals{Terminal: &Terminal{Out: &out}}).writePlan(&tt.plan); err != nil || !strings.Contains(out.String(), "\n"+tt.want+"\n") {
			t.Errorf("%v, got\n%s", err, &out)
		}
	}
}

// Of the copies that keep a certificate from being complete, the archive's own
// keys are nothing that a person can note as gone.
func TestRemainingCopiesSayWhatToDo(t *testing.T) {
	until := time.Date(2028, 1, 21, 6, 28, 25, 0, time.UTC)
	key, tape := api.Remaining{What: "recipient", ID: "k1", Until: &until}, api.Remaining{What: "backup", ID: "tape-1"}
	for _, tt := range []struct {
		copies          []api.Remaining
		person, archive bool
	}{
		{[]api.Remaining{tape}, true, false},
		{[]api.Remaining{key}, false, true},
		{[]api.Remaining{tape, key}, true, true},
	} {
		var out, errs bytes.Buffer
		if err := (&globals{Terminal: &Terminal{Out: &out, Err: &errs}}).writeCertificate(&api.DispositionCertificate{Statement: retention.Statement{Copies: tt.copies}}); err != nil ||
			strings.Contains(errs.String(), "holdfast copies gone ID") != tt.person || strings.Contains(errs.String(), "the archive destroys its recipient keys itself") != tt.archive ||
			!strings.Contains(errs.String(), "another certificate says complete") {
			t.Errorf("%v, %+v: %s", err, tt, &errs)
		}
	}
}

// Whoever may not know what a hold covers cannot take its release back either.
func TestCancelIsNamedToMembers(t *testing.T) {
	for _, h := range []api.Hold{{Seq: 412, Matter: api.Held, State: "releasing"}, {Seq: 412, Matter: "M-7", State: "releasing", By: &role.Principal{}}} {
		var out, errs bytes.Buffer
		err := (&globals{Terminal: &Terminal{Out: &out, Err: &errs}}).writeHold(&h)
		if err != nil || strings.Contains(errs.String(), "holdfast hold cancel 412") != (h.By != nil) {
			t.Errorf("%v, %s: %s", err, h.Matter, &errs)
		}
	}
}

// A run that left everything out used the approval up all the same.
func TestRanSaysWhatIsNext(t *testing.T) {
	for gone, want := range map[uint64]string{0: "holdfast disposition plan", 3: ""} {
		var out, errs bytes.Buffer
		r := &api.Ran{Plan: 500, Gone: gone}
		if err := (&globals{Terminal: &Terminal{Out: &out, Err: &errs}}).writeRan(r); err != nil || !strings.Contains(errs.String(), want) || (want == "") != (errs.Len() == 0) {
			t.Errorf("%v, %d gone: %s", err, gone, &errs)
		}
	}
}
