package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/docket"
	"holdfast/internal/role"
)

var _ Docket = (*docket.Book)(nil)

// cabinet is the town's docket: M-1 made production 90 and asked some of it back
// with 95, M-2 made 91, and 92 was for no matter. Entry 1 is tagged by both.
// Rules are the book's to test. It keeps its trace of what changes something.
type cabinet struct{ w *town }

func (f cabinet) SetTag(_ context.Context, _ role.Principal, c docket.TagChange) error {
	f.w.did("tag %v %s for %s, remove %v", c.Seqs, c.Tag, c.Matter, c.Remove)
	return f.w.err
}

func (f cabinet) TagHistory(uint64) []docket.Tagged {
	f.w.did("tags")
	canary := role.Principal{Name: "canary", Person: bo}
	return []docket.Tagged{
		{Tag: docket.Privileged, Matter: "M-1", Basis: "counsel", By: role.Principal{Name: "Cy"}, Reason: "advice"},
		{Tag: docket.Privileged, Matter: "M-2", Basis: "canary", Description: "canary", By: canary, Reason: "canary"},
		{Tag: docket.Part2, Matter: "M-2", Basis: "canary", By: canary, Reason: "canary", Removed: &docket.Untagged{By: canary, Reason: "canary"}},
	}
}

func (f cabinet) TaggedBy(matter string, t docket.Tag, after uint64, _ int) ([]uint64, uint64) {
	f.w.did("tagged %s by %s after %d", t, matter, after)
	return []uint64{4, 7}, 2
}

func made(seq uint64, matter string) docket.Production {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	p := docket.Production{Seq: seq, State: docket.StateMade, Began: at, Ended: &at, By: role.Principal{Name: "Bo", Person: bo}, Made: &docket.Made{First: 3, Last: 9}}
	p.NewProduction = docket.NewProduction{Matter: matter, Query: "canary", Recipient: docket.Recipient{Name: "Smith & Roe", Address: "1 Main St"},
		Purpose: docket.Purpose{Category: docket.Litigation}}
	p.Bates = &docket.Range{Prefix: "ABC", First: 1, Count: 9, Digits: 7}
	return p
}

func (f cabinet) Productions() []docket.Production {
	out := []docket.Production{made(90, "M-1"), made(91, "M-2"), made(92, "")}
	out[0].Clawbacks = []uint64{95}
	return out
}

func (f cabinet) Production(seq uint64) (*docket.Production, bool) {
	for _, p := range f.Productions() {
		if p.Seq == seq {
			return &p, true
		}
	}
	return nil, false
}

func (f cabinet) Disclosures(_ context.Context, q docket.Accounting) (*docket.Account, error) {
	f.w.did("disclosures since %s, all %v", q.Since.Format(time.DateOnly), q.All)
	return &docket.Account{Left: 2, Unfinished: []uint64{97}, Disclosures: []docket.Disclosure{
		{Production: 90, Matter: "M-1", Recipient: docket.Recipient{Name: "court"}}, {Production: 91, Matter: "M-2", Recipient: docket.Recipient{Name: "agency"}},
	}}, f.w.err
}

func (f cabinet) Claw(_ context.Context, who role.Principal, n docket.NewClawback) (*docket.Clawback, error) {
	f.w.did("claw %s..%s for %s", n.From, n.To, n.Matter)
	return f.Clawbacks()[0], f.w.err
}

func (f cabinet) Clawbacks() []*docket.Clawback {
	return []*docket.Clawback{
		{Seq: 95, Matter: "M-1", Prefix: "ABC", First: 1, Last: 3, Digits: 7, Productions: []docket.Clawed{{Production: 90, First: 3, Last: 3}}, Entries: 4, Reason: "advice"},
		{Seq: 96, Matter: "M-2", Prefix: "ABC", First: 1, Last: 3, Digits: 7, Productions: []docket.Clawed{{Production: 91, First: 1, Last: 3}}, Reason: "canary"},
	}
}

func (f cabinet) Clawback(seq uint64) (*docket.Clawback, bool) {
	i := slices.IndexFunc(f.Clawbacks(), func(c *docket.Clawback) bool { return c.Seq == seq })
	if i < 0 {
		return nil, false
	}
	return f.Clawbacks()[i], true
}

func (f cabinet) SaveSearch(_ context.Context, _ role.Principal, s docket.SavedSearch) (*docket.SavedSearch, error) {
	f.w.did("save %s for %s in language %d", s.Name, s.Matter, s.Language)
	return &s, f.w.err
}

func (f cabinet) RemoveSearch(_ context.Context, _ role.Principal, matter, name, _ string) error {
	f.w.did("remove %s of %s", name, matter)
	return f.w.err
}

func (f cabinet) Searches(matter string) []docket.SavedSearch {
	f.w.did("searches of %s", matter)
	return []docket.SavedSearch{{Matter: matter, Name: "potassium", Query: "canary", Language: 2}}
}

// docketActs are the acts about tags, productions, clawbacks and saved searches:
// who may, their audit action, target and matter, and what they do.
var docketActs = map[string]struct {
	by             role.Role
	action         audit.Action
	target, matter string
	reason         bool
	did            string // "" for nothing
}{
	"POST /v1/tags/show":        {role.ComplianceOfficer, audit.ActionTag, "show", "", false, "tags"},
	"POST /v1/tags/list":        {role.ComplianceOfficer, audit.ActionTag, "list part2", "M-1", false, "tagged part2 by M-1 after 0"},
	"POST /v1/tags/change":      {role.ComplianceOfficer, audit.ActionTag, "add part2", "M-1", true, "tag [1] part2 for M-1, remove false"},
	"POST /v1/productions/list": {role.ComplianceOfficer, audit.ActionProduction, "list", "", false, ""},
	"POST /v1/productions/show": {role.ComplianceOfficer, audit.ActionProduction, "show 90", "M-1", false, ""},
	"POST /v1/disclosures":      {role.Auditor, audit.ActionDisclosure, "list", "", true, "disclosures since 0001-01-01, all false"},
	"POST /v1/clawbacks/list":   {role.ComplianceOfficer, audit.ActionClawback, "list", "M-1", false, ""},
	"POST /v1/clawbacks/show":   {role.ComplianceOfficer, audit.ActionClawback, "show 95", "M-1", false, ""},
	"POST /v1/clawbacks/make":   {role.ComplianceOfficer, audit.ActionClawback, "make ABC1..ABC3", "M-1", true, "claw ABC1..ABC3 for M-1"},
	"POST /v1/searches/list":    {role.ComplianceOfficer, audit.ActionSaved, "list", "M-1", false, "searches of M-1"},
	"POST /v1/searches/save":    {role.ComplianceOfficer, audit.ActionSaved, "save", "M-1", false, "save n for M-1 in language 2"},
	"POST /v1/searches/remove":  {role.ComplianceOfficer, audit.ActionSaved, "remove", "M-1", false, "remove n of M-1"},
}

// Each act is in the audit before it takes effect, with its matter and reason.
// What cannot be recorded is not done.
func TestDocketActsAreAudited(t *testing.T) {
	for _, rt := range newTown(t).server().docketRoutes() {
		if _, ok := docketActs[rt.name]; !ok {
			t.Errorf("%s is not tested", rt.name)
		}
	}
	for route, act := range docketActs {
		t.Run(route, func(t *testing.T) {
			w, s := keepTown(t)
			if status, body := w.post(s, act.by, route, bodies[route]); status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
			trace := slices.DeleteFunc(w.traced(), func(did string) bool { return did == "find" })
			if trace[0] != "append access" || !strings.HasPrefix(trace[len(trace)-1], "append outcome") || act.did != "" && !slices.Contains(trace, act.did) {
				t.Errorf("trace %q", trace)
			}
			a := w.accessAt(t, 1)
			if a.Action != act.action || a.Target != act.target || a.Matter != act.matter || act.reason != (a.Reason == "r") {
				t.Errorf("access %+v", a)
			}
			for failAt := 1; failAt <= 2; failAt++ {
				w, s := keepTown(t)
				w.failAt = failAt
				status, body := w.post(s, act.by, route, bodies[route])
				if status != http.StatusServiceUnavailable || !strings.Contains(body, CodeUnaudited) || strings.Contains(body, "canary") {
					t.Errorf("append %d fails: %d %s", failAt, status, body)
				}
				if trace := w.traced(); failAt == 1 && trace[len(trace)-1] != "append failed" {
					t.Errorf("unrecorded: %q", trace)
				}
			}
			if !act.reason {
				return
			}
			w, s = keepTown(t)
			status, body := w.post(s, act.by, route, strings.Replace(bodies[route], `"reason":"r"`, `"reason":" "`, 1))
			if status != http.StatusBadRequest || !strings.Contains(body, CodeNoReason) || len(w.traced()) > 0 {
				t.Errorf("without a reason: %d %s %q", status, body, w.traced())
			}
		})
	}
}

// Of another matter nobody learns more than that an entry is withheld.
func TestDocketOfOtherMatters(t *testing.T) {
	for route, body := range map[string]string{
		"POST /v1/tags/list":        `{"matter":"M-2","tag":"part2"}`,
		"POST /v1/tags/change":      `{"tag":"part2","matter":"M-2","seqs":[1],"reason":"r"}`,
		"POST /v1/productions/list": `{"matter":"M-2"}`,
		"POST /v1/productions/show": `{"seq":91}`,
		"POST /v1/clawbacks/list":   `{"matter":"M-2"}`,
		"POST /v1/clawbacks/show":   `{"seq":96}`,
		"POST /v1/clawbacks/make":   `{"matter":"M-2","from":"ABC1","to":"ABC3","reason":"r"}`,
		"POST /v1/searches/list":    `{"matter":"M-2"}`,
		"POST /v1/searches/save":    `{"matter":"M-2","name":"n","query":"potassium"}`,
		"POST /v1/searches/remove":  `{"matter":"M-2","name":"n"}`,
	} {
		w, s := keepTown(t)
		status, answer := w.post(s, role.ComplianceOfficer, route, body)
		if status != http.StatusForbidden && status != http.StatusNotFound || strings.Contains(answer, "canary") {
			t.Errorf("%s: %d %s", route, status, answer)
		}
		if did := slices.DeleteFunc(w.traced(), func(did string) bool { return did == "append access" }); len(did) > 0 {
			t.Errorf("%s did %q", route, did)
		}
		// And the same of a matter that there is not.
		other := strings.NewReplacer("M-2", "M-9", "91", "99", "96", "99").Replace(body)
		if status2, answer2 := w.post(s, role.ComplianceOfficer, route, other); status2 != status || answer2 != answer {
			t.Errorf("%s: %s of one that is there, %s of one that is not", route, answer, answer2)
		}
	}
	w, s := keepTown(t)
	_, body := w.post(s, role.ComplianceOfficer, "POST /v1/tags/show", `{"seq":1}`)
	if strings.Contains(body, "canary") || !strings.Contains(body, `{"tag":"privileged","matter":"held"}]`) || !strings.Contains(body, `"reason":"advice"`) {
		t.Errorf("tags: %s", body)
	}
	_, body = w.post(s, role.ComplianceOfficer, "POST /v1/productions/list", `{}`)
	if strings.Contains(body, `"seq":91`) || !strings.Contains(body, `"seq":90`) || !strings.Contains(body, `"seq":92`) {
		t.Errorf("productions: %s", body)
	}
	if !strings.Contains(body, `"clawed_back":[{"clawback":95,"bates":"ABC0000003"`) || !strings.Contains(body, `"bates":"ABC0000003..ABC0000009","reserved":"ABC0000001..ABC0000009"`) {
		t.Errorf("productions: %s", body)
	}
	// The accounting has every disclosure: the law asks for all of them.
	_, body = w.post(s, role.ComplianceOfficer, "POST /v1/disclosures", `{"mrn":"7","reason":"r"}`)
	if strings.Contains(body, "M-2") || !strings.Contains(body, `"agency"`) || !strings.Contains(body, `"matter":"M-1"`) ||
		!strings.Contains(body, `neither completed nor given up (97)`) || !strings.Contains(body, `"unfinished":[97]`) {
		t.Errorf("disclosures: %s", body)
	}
	_, body = w.post(s, role.ComplianceOfficer, "POST /v1/clawbacks/show", `{"seq":95}`)
	if !strings.Contains(body, "Smith \\u0026 Roe") || !strings.Contains(body, "ABC0000003") || strings.Contains(body, "advice\\n") {
		t.Errorf("notice: %s", body)
	}
}

// A narrowed role changes nothing beyond its scope, and reads no accounting.
func TestDocketOfANarrowedRole(t *testing.T) {
	for route, changes := range map[string]bool{
		"POST /v1/tags/change": true, "POST /v1/clawbacks/make": true, "POST /v1/disclosures": true,
		"POST /v1/searches/save": false, "POST /v1/productions/show": false, "POST /v1/tags/list": false,
	} {
		w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"})
		status, body := w.ask(s, route, bodies[route])
		if changes != (status == http.StatusForbidden) || !changes && status != http.StatusOK {
			t.Errorf("%s: %d %s", route, status, body)
		}
		// What was made for no matter is somebody else's.
		if _, body := w.ask(s, "POST /v1/productions/list", `{}`); strings.Contains(body, `"seq":92`) {
			t.Error("a narrowed role sees productions of others")
		}
	}
}

func TestDocketRefusals(t *testing.T) {
	for _, tt := range []struct{ route, body, want string }{
		{"POST /v1/tags/change", `{"tag":"secret","matter":"M-1","seqs":[1],"reason":"r"}`, "tags are [privileged psychotherapy part2]"},
		{"POST /v1/tags/change", `{"tag":"part2","matter":"M-1","seqs":[],"reason":"r"}`, "1 to 1000 entries"},
		{"POST /v1/tags/list", `{"matter":"","tag":"part2"}`, "names no matter"},
		{"POST /v1/clawbacks/make", `{"matter":"M-1","from":"ABC9","to":"ABC3","reason":"r"}`, "not before its begin"},
		{"POST /v1/clawbacks/make", `{"matter":"M-1","from":"ABC","to":"ABC3","reason":"r"}`, "a Bates number is"},
		{"POST /v1/disclosures", `{"mrn":"7","since":"canary","reason":"r"}`, "since is no time"},
		{"POST /v1/searches/save", `{"matter":"M-1","name":"n","query":"canary (("}`, "cannot be understood"},
	} {
		w, s := keepTown(t)
		status, body := w.post(s, role.ComplianceOfficer, tt.route, tt.body)
		if status != http.StatusBadRequest || !strings.Contains(body, tt.want) || strings.Contains(body, `canary`) && !strings.Contains(tt.want, "understood") {
			t.Errorf("%s %s: %d %s", tt.route, tt.body, status, body)
		}
	}
	for _, known := range docketErrors {
		w, s := keepTown(t)
		w.err = known.err
		_, body := w.post(s, role.ComplianceOfficer, "POST /v1/tags/change", bodies["POST /v1/tags/change"])
		if p, err := parseProblem([]byte(body)); err != nil || p.Hint == "" || p.Code != known.code || p.Exit != known.exit {
			t.Errorf("%v: %s", known.err, body)
		}
	}
}
