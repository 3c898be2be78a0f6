package api

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
)

// looks are the three looks that need a reason, each against the same house.
var looks = map[string]struct {
	call func(ctx context.Context, c *Client, dir, reason string) error
	did  string
}{
	"search": {func(ctx context.Context, c *Client, _, reason string) error {
		_, err := c.Search(ctx, SearchRequest{Query: "canary", Reason: reason, Limit: 5, Before: 9, AsOf: 11})
		return err
	}, "search canary limit 5 before 9 as of 11"},
	"show": {func(ctx context.Context, c *Client, _, reason string) error {
		_, err := c.Show(ctx, ShowRequest{Seqs: []uint64{3, 1}, Matter: reason})
		return err
	}, "show [3 1]"},
	"export": {func(ctx context.Context, c *Client, dir, reason string) error {
		_, err := c.Export(ctx, ExportRequest{Query: "canary", Reason: reason, As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, filepath.Join(dir, "out"), false, Hearing{})
		return err
	}, "produce canary"},
}

// The order of every look: access entry, the look itself, outcome entry.
func TestAccessBeforeLookBeforeOutcome(t *testing.T) {
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			c, _ := serve(t, h.server())
			if err := look.call(t.Context(), c, t.TempDir(), "complaint 12"); err != nil {
				t.Fatal(err)
			}
			if got, want := h.traced(), []string{"append access", look.did, "append outcome"}; !reflect.DeepEqual(got, want) {
				t.Errorf("trace %q, want %q", got, want)
			}
			var a audit.Access
			if err := json.Unmarshal(h.records[1].Body, &a); err != nil {
				t.Fatal(err)
			}
			me, err := user.Current()
			if err != nil {
				t.Fatal(err)
			}
			if *a.Principal.UID != uint32(os.Getuid()) || a.Principal.Name != me.Username {
				t.Errorf("principal %+v, want uid %d %s", a.Principal, os.Getuid(), me.Username)
			}
			if string(a.Action) != name || a.Reason+a.Matter != "complaint 12" || (a.Query == "" && len(a.Seqs) == 0) || a.At.IsZero() {
				t.Errorf("access %+v", a)
			}
			if o := outcomeOf(t, h.records[2]); o.Of != 1 || o.Result != audit.ResultShown || o.Total == 0 || o.Shown == 0 ||
				o.Through != map[string]uint64{"search": 7, "export": 99}[name] {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// When the access entry cannot be made durable nothing is looked at; when the
// outcome cannot, nothing is shown. Either way the client gets no content.
func TestUnauditedLooksAreRefused(t *testing.T) {
	causes := map[string]struct {
		err  error
		exit int
	}{
		"disk full":     {archive.ErrDiskFull, ExitTemporary},
		"write failed":  {archive.ErrFailed, ExitIO},
		"anything else": {errors.New("canary cause"), ExitIO},
	}
	for name, look := range looks {
		for cause, tt := range causes {
			for failAt, trace := range map[int][]string{
				1: {"append failed"},
				2: {"append access", look.did, "append failed"},
			} {
				t.Run(name+" "+cause+" "+strconv.Itoa(failAt), func(t *testing.T) {
					h := newHouse(t)
					h.failAt, h.failAs = failAt, tt.err
					c, _ := serve(t, h.server())
					dir := t.TempDir()
					p := problem(t, look.call(t.Context(), c, dir, "complaint 12"))
					if p.Code != CodeUnaudited || p.Exit != tt.exit || p.Hint == "" {
						t.Errorf("problem %+v", p)
					}
					if b, err := json.Marshal(p); err != nil || strings.Contains(string(b), "canary") {
						t.Errorf("the problem has content: %s, %v", b, err)
					}
					if got := h.traced(); !reflect.DeepEqual(got, trace) {
						t.Errorf("trace %q, want %q", got, trace)
					}
					if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
						t.Errorf("left over: %v, %v", left, err)
					}
				})
			}
		}
	}
}

func TestReasonRequired(t *testing.T) {
	for name, look := range looks {
		for _, reason := range []string{"", " \n\t", strings.Repeat("x", audit.MaxReason+1)} {
			t.Run(name+" "+strconv.Itoa(len(reason)), func(t *testing.T) {
				h := newHouse(t)
				c, _ := serve(t, h.server())
				p := problem(t, look.call(t.Context(), c, t.TempDir(), reason))
				if p.Exit != ExitUsage || p.Hint == "" || (p.Code == CodeNoReason) != (len(reason) < 10) {
					t.Errorf("problem %+v", p)
				}
				if got := h.traced(); len(got) != 0 {
					t.Errorf("trace %q", got)
				}
			})
		}
	}
}

func TestFailedLookHasAnOutcome(t *testing.T) {
	h := newHouse(t)
	h.searchErr = &archive.SeqError{Seq: 3, Err: archive.ErrDamaged}
	c, _ := serve(t, h.server())
	_, err := c.Search(t.Context(), SearchRequest{Query: "canary", Reason: "r"})
	if p := problem(t, err); p.Code != CodeDamaged || p.Exit != ExitData || p.Detail != "entry 3" {
		t.Errorf("problem %+v", p)
	}
	if o := outcomeOf(t, h.records[2]); o.Result != audit.ResultFailed || o.Code != CodeDamaged || o.Shown != 0 {
		t.Errorf("outcome %+v", o)
	}
}

// The members of a search's answer are a promise to scripts, and lists are
// never null.
func TestSearchResponseShape(t *testing.T) {
	h := newHouse(t)
	h.found = SearchResponse{Extent: Extent{Total: 2, Through: 7, Quarantined: 3}, Hits: []Hit{{Seq: 3, Sent: "2026-03-01T08:00:00.000Z", From: "Anna Berg", FromUsr: "u1", Text: "hi"}}}
	c, _ := serve(t, h.server())
	_, body := post(t, c, "POST", "/v1/search", "application/json", `{"query":"hi","reason":"r"}`)
	const want = `{"total":2,"through_seq":7,"unindexed":0,"quarantined":3,"disposed":0,"without_text":0,"checkpoint":{"size":5,"root":"root","note":"origin\n5\nroot\n\n— sig\n"},"hits":[{"seq":3,"sent":"2026-03-01T08:00:00.000Z","received":"0001-01-01T00:00:00Z","from":"Anna Berg","from_usr":"u1","to":[],"to_usrs":[],"conversation":"","conversation_id":"","text":"hi","kind":"","typ":"","assurance":"","flags":[],"attachments":[]}],"cursor":""}` + "\n"
	if body != want {
		t.Errorf("body\n%s\nwant\n%s", body, want)
	}
	h.found = SearchResponse{}
	if _, body = post(t, c, "POST", "/v1/search", "application/json", `{"query":"hi","reason":"r"}`); !strings.Contains(body, `"hits":[]`) {
		t.Errorf("body %s", body)
	}
	if trace := h.traced(); trace[1] != "search hi limit 50 before 0 as of 4" {
		t.Errorf("trace %q", trace)
	}
}

func TestBadQueryPointsAtItsColumn(t *testing.T) {
	h := newHouse(t)
	c, _ := serve(t, h.server())
	for name, call := range map[string]func() error{
		"search": func() error {
			_, err := c.Search(t.Context(), SearchRequest{Query: `canary AND "open`, Reason: "r"})
			return err
		},
		"export": func() error {
			_, err := c.Export(t.Context(), ExportRequest{Query: `canary AND "open`, Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, filepath.Join(t.TempDir(), "x"), false, Hearing{})
			return err
		},
	} {
		p := problem(t, call())
		if p.Code != CodeBadQuery || p.Exit != ExitUsage || p.Column != 12 || p.Hint == "" || strings.Contains(p.Error()+p.Hint, "canary") {
			t.Errorf("%s: problem %+v", name, p)
		}
	}
	if trace := h.traced(); len(trace) != 0 {
		t.Errorf("trace %q", trace)
	}
}

func TestAuditListsLooksAndIsOne(t *testing.T) {
	h := newHouse(t)
	c, _ := serve(t, h.server())
	for range 3 {
		if _, err := c.Search(t.Context(), SearchRequest{Query: "canary", Reason: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 {
		list, err := c.Audit(t.Context(), AuditRequest{})
		if err != nil || len(list.Accesses) != 3+round {
			t.Fatalf("round %d: %d accesses, %v", round, len(list.Accesses), err)
		}
		if a := list.Accesses[2+round]; a.Access.Query != "canary" || a.Outcome == nil || a.Outcome.Total != 1 {
			t.Errorf("oldest access %+v", a)
		}
	}
	list, err := c.Audit(t.Context(), AuditRequest{Action: "audit", Limit: 1})
	if err != nil || len(list.Accesses) != 1 || list.Accesses[0].Access.Action != audit.ActionAudit {
		t.Errorf("audits %+v, %v", list, err)
	}
	if _, err := c.Audit(t.Context(), AuditRequest{Action: "peek"}); problem(t, err).Exit != ExitUsage {
		t.Errorf("unknown action: %v", err)
	}
}

func TestAlarms(t *testing.T) {
	h := newHouse(t)
	body, err := json.Marshal(archive.AlarmBody{Name: "relay-gap", Severity: "critical", Text: "a gap", Fix: "ask the vendor", Facts: map[string]string{"from": "4"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: body}}}); err != nil {
		t.Fatal(err)
	}
	c, _ := serve(t, h.server())
	list, err := c.Alarms(t.Context(), AlarmsRequest{})
	if err != nil || len(list.Alarms) != 1 || list.Alarms[0].Ack != nil || list.Alarms[0].Facts["from"] != "4" {
		t.Fatalf("list %+v, %v", list, err)
	}
	for _, reason := range []string{"", "  ", strings.Repeat("x", audit.MaxReason+1)} {
		if _, err := c.AckAlarm(t.Context(), AckRequest{Seq: 1, Reason: reason}); problem(t, err).Exit != ExitUsage {
			t.Errorf("ack with a reason of %d: %v", len(reason), err)
		}
	}
	a, err := c.AckAlarm(t.Context(), AckRequest{Seq: 1, Reason: "vendor fixed it"})
	if err != nil || a.Ack == nil || a.Ack.Reason != "vendor fixed it" || !strings.Contains(a.Ack.Principal, "("+strconv.Itoa(os.Getuid())+")") {
		t.Fatalf("ack %+v, %v", a, err)
	}
	again, err := c.AckAlarm(t.Context(), AckRequest{Seq: 1, Reason: "me too"})
	if err != nil || again.Ack.Reason != "vendor fixed it" || h.Size() != 3 {
		t.Errorf("second ack %+v, %v, %d entries", again, err, h.Size())
	}
	if list, err := c.Alarms(t.Context(), AlarmsRequest{}); err != nil || len(list.Alarms) != 0 {
		t.Errorf("open alarms %+v, %v", list, err)
	}
	if list, err := c.Alarms(t.Context(), AlarmsRequest{All: true}); err != nil || len(list.Alarms) != 1 {
		t.Errorf("all alarms %+v, %v", list, err)
	}
	if _, err := c.Alarm(t.Context(), 0); problem(t, err).Code != CodeNotFound {
		t.Errorf("alarm 0: %v", err)
	}
	if _, err := c.AckAlarm(t.Context(), AckRequest{Seq: 77, Reason: "r"}); problem(t, err).Code != CodeNotFound {
		t.Errorf("ack 77: %v", err)
	}
}
