package doctor

import (
	"bytes"
	"strings"
	"testing"
)

func report(findings ...Finding) *Report { return NewReport(now, "v1", findings) }

// What --json writes is relied on by scripts: members are added alone.
func TestJSONIsStable(t *testing.T) {
	var b bytes.Buffer
	r := report(fine("a", "well").with("n_bytes", 3), fatal("b", "bad", "do it"))
	started := now
	r.Running, r.Started = "v0", &started
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	const want = `{
  "v": "1",
  "at": "2026-05-04T12:00:00Z",
  "severity": "critical",
  "installed": "v1",
  "running": "v0",
  "started": "2026-05-04T12:00:00Z",
  "findings": [
    {
      "id": "a",
      "severity": "ok",
      "text": "well",
      "figures": {
        "n_bytes": 3
      }
    },
    {
      "id": "b",
      "severity": "critical",
      "text": "bad",
      "fix": "do it"
    }
  ]
}
`
	if b.String() != want {
		t.Errorf("got %s", b.String())
	}
}

func TestNagios(t *testing.T) {
	for _, c := range []struct {
		r    *Report
		exit int
		want string
	}{
		{report(fine("a", "x").with("n", 1.5)), 0, "HOLDFAST OK - all is well: 1 checks | 'a_n'=1.5\n"},
		{report(fine("a", "x"), warn("b", "late | by\nmuch", "run it")), 1,
			"HOLDFAST WARNING - 0 critical, 1 warnings, 1 well: b\nWARNING: b: late / by much - run it\n"},
		{report(warn("b", "late", "f").with("n", 1e12), fatal("c", "gone", "g")), 2,
			"HOLDFAST CRITICAL - 1 critical, 1 warnings, 0 well: c, b | 'b_n'=1000000000000\nCRITICAL: c: gone - g\nWARNING: b: late - f\n"},
	} {
		var b bytes.Buffer
		if err := c.r.WriteNagios(&b); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.want || c.r.Exit() != c.exit {
			t.Errorf("exit %d\n%s", c.r.Exit(), b.String())
		}
	}
}

func TestTextPutsTheWorstFirst(t *testing.T) {
	var b bytes.Buffer
	if err := report(fine("a", "x"), warn("b", "y\x1b[2J", "f"), fatal("c", "z", "g")).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = "CRITICAL  c: z\n          do: g\nWARNING   b: y [2J\n          do: f\nOK        a: x\n1 critical, 1 warnings, 1 well\n"
	if b.String() != want || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%s", b.String())
	}
}

func TestVersion(t *testing.T) {
	if f := Version("v1", "v2"); f.Severity != Warning || !strings.Contains(f.Fix, "systemctl restart") {
		t.Errorf("%+v", f)
	}
	if f := Version("v1", "v1"); f.Severity != OK {
		t.Errorf("%+v", f)
	}
	if f := Down("x", ""); f.Severity != Critical || !strings.Contains(f.Fix, "systemctl start") {
		t.Errorf("%+v", f)
	}
	if f := Ailing("it is locked", "run `holdfastd unlock`"); f.Severity != Critical || !strings.Contains(f.Fix, "unlock") {
		t.Errorf("%+v", f)
	}
	if f := Unasked("no"); f.Severity != Warning || f.Fix == "" {
		t.Errorf("%+v", f)
	}
}
