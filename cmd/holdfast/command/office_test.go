package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/role"
)

// office is what a daemon says about matters, holds, schedules and disposition,
// with the API's own types on the wire. What it says is made up; what it is
// asked it reads strictly and remembers, so that a script sees what a command
// line became.
type office struct {
	mu     sync.Mutex
	asked  string // the last request: its path and body
	hold   api.Hold
	plan   api.Plan
	wall   time.Time
	frozen bool
	none   bool // there is nothing at all
	copies []api.Copy
	chest  string // the certificate's signed form
}

var (
	jdoe  = role.Principal{Name: "jdoe", Person: jdoeGUID, Via: role.ViaHTTPS}
	aberg = role.Principal{Name: "aberg", Person: annaGUID, Via: role.ViaHTTPS}
	began = time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	ended = time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC)
	dueOn = time.Date(2033, 3, 1, 8, 30, 0, 0, time.UTC)
	anna  = api.Ref{GUID: annaGUID, Name: "Anna \u202eBerg"}
)

func newOffice() *office {
	o := &office{wall: received.Add(time.Hour), chest: "e30.e30.c2ln"}
	o.hold = api.Hold{Seq: 412, Matter: "M-7", State: "active", Placed: received, By: &jdoe, Reason: "letter of claim", Held: 31, Through: 9000,
		Scopes: []api.ScopeHeld{{Since: received, Scope: api.Scope{Custodians: []string{annaGUID, "usr:u9"}, From: &began, People: []api.Ref{anna}}}}}
	o.plan = api.Plan{Seq: 500, Kind: "cutoff", AsOf: received, Through: 9000, Schedule: 12, By: jdoe, At: received, Reason: "yearly disposition",
		Request: 501, State: planWaiting, Total: 1200, Digest: digest, Lines: []api.PlanLine{
			{Class: "general", Month: "2019-01", Entries: 1200, Due: 1231, Bytes: 1 << 20, NotDue: 4, NextDue: &dueOn, First: 3, Last: 4000, Why: "received 2019-01, kept 7 years",
				HeldBack: []api.HeldBack{{Hold: 412, Matter: "M-7", Why: "custodian", Entries: 30}, {Matter: api.Held, Entries: 1}}},
			{Class: "patient", Month: "2019-01", Due: 7, Why: "damage", HeldBack: []api.HeldBack{{Why: "damage", Entries: 7}}},
		}}
	o.copies = []api.Copy{{ID: "tape-1", What: "backup", Where: "safe \x1b[2JB", Keyring: 3, Noted: received, Seq: 88}}
	return o
}

// answers are what the office says, by path.
func (o *office) answers() map[string]func(body []byte) (any, error) {
	return map[string]func([]byte) (any, error){
		"/v1/devices/wipes":     answer(o.wipes),
		"/v1/devices/override":  answer(o.override),
		"/v1/schedule/show":     answer(o.schedule),
		"/v1/schedule/apply":    answer(o.apply),
		"/v1/schedule/approved": answer(func(api.ApplyApprovedRequest) (any, error) { return applied(77, 0), nil }),
		"/v1/matters/list":      answer(o.matters),
		"/v1/matters/show":      answer(func(api.MatterRequest) (any, error) { return matter("M-7", "open"), nil }),
		"/v1/matters/open":      answer(func(r api.OpenMatterRequest) (any, error) { return matter(r.ID, "open"), nil }),
		"/v1/matters/close":     answer(func(r api.CloseMatterRequest) (any, error) { return matter(r.ID, "closed"), nil }),
		"/v1/matters/member":    answer(func(r api.MemberRequest) (any, error) { return matter(r.ID, "open"), nil }),
		"/v1/holds/list":        answer(o.holds),
		"/v1/holds/show":        answer(func(api.HoldRequest) (any, error) { return o.hold, nil }),
		"/v1/holds/place":       answer(func(api.PlaceHoldRequest) (any, error) { return o.hold, nil }),
		"/v1/holds/widen":       answer(o.widen),
		"/v1/holds/preview":     answer(func(api.PreviewReleaseRequest) (any, error) { return preview(), nil }),
		"/v1/holds/ask":         answer(o.askRelease),
		"/v1/holds/release":     answer(o.release),
		"/v1/holds/cancel":      answer(o.cancel),
		"/v1/holds/notice":      answer(o.notice),
		"/v1/holds/explain":     answer(explain),
		"/v1/disposition/list":  answer(o.plans),
		"/v1/disposition/show":  answer(func(api.PlanRequest) (any, error) { return o.plan, nil }),
		"/v1/disposition/plan":  answer(o.planned),
		"/v1/disposition/run":   answer(o.run),
		"/v1/dispose/erase":     answer(o.erase),
		"/v1/reclassify":        answer(o.reclass),
		"/v1/requests/decide":   answer(o.decide),
		"/v1/tags/show":         answer(func(r api.TagsShowRequest) (any, error) { return o.tags(r.Seq), nil }),
		"/v1/tags/list":         answer(func(r api.TagsListRequest) (any, error) { return o.taggedBy(r), nil }),
		"/v1/tags/change":       answer(func(r api.TagRequest) (any, error) { return api.TagResponse{Matter: "M-7", Tag: r.Tag, Total: 3}, nil }),
		"/v1/productions/list":  answer(func(api.ProductionsRequest) (any, error) { return o.productions(), nil }),
		"/v1/productions/show":  answer(func(api.ProductionRequest) (any, error) { return production(), nil }),
		"/v1/disclosures":       answer(o.disclosures),
		"/v1/clawbacks/list":    answer(func(api.ClawbacksRequest) (any, error) { return o.clawbacks(), nil }),
		"/v1/clawbacks/show":    answer(func(api.ClawbackShowRequest) (any, error) { return clawback(), nil }),
		"/v1/clawbacks/make":    answer(func(api.ClawbackRequest) (any, error) { return clawback(), nil }),
		"/v1/searches/list":     answer(func(api.SearchesRequest) (any, error) { return o.savedSearches(), nil }),
		"/v1/searches/save":     answer(func(api.SaveSearchRequest) (any, error) { return o.savedSearches(), nil }),
		"/v1/searches/remove":   answer(func(api.RemoveSearchRequest) (any, error) { return o.savedSearches(), nil }),
		"/v1/certificates/list": answer(o.certificates),
		"/v1/certificates/show": answer(func(r api.CertificateRequest) (any, error) { return o.certificate(r.Seq), nil }),
		"/v1/clock/show":        answer(func(struct{}) (any, error) { return o.clock(), nil }),
		"/v1/clock/release":     answer(func(api.ReleaseClockRequest) (any, error) { o.frozen = false; return o.clock(), nil }),
		"/v1/copies/list":       answer(func(struct{}) (any, error) { return api.CopiesResponse{Copies: o.copies}, nil }),
		"/v1/copies/note":       answer(o.noteCopy),
		"/v1/copies/gone":       answer(o.copyGone),
	}
}

// answer reads a request strictly and answers it.
func answer[T any](f func(T) (any, error)) func([]byte) (any, error) {
	return func(b []byte) (any, error) {
		var req T
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&req); err != nil {
			return nil, err
		}
		return f(req)
	}
}

// work is what a long task says, line by line.
type work []api.WorkLine

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, err := io.ReadAll(r.Body)
	f, ok := o.answers()[r.URL.Path]
	if err == nil && !ok {
		err = fmt.Errorf("no %s here", r.URL.Path)
	}
	o.asked = r.URL.Path + " " + string(b)
	var out any
	if err == nil {
		out, err = f(b)
	}
	var p *api.Problem
	switch {
	case errors.As(err, &p):
	case err != nil:
		p = &api.Problem{Title: "the office does not understand: " + err.Error(), Status: http.StatusBadRequest, Code: api.CodeBadRequest, Exit: api.ExitUsage}
	}
	if p != nil {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		out = p
	}
	e := json.NewEncoder(w)
	if lines, ok := out.(work); ok {
		for _, l := range lines {
			err = errors.Join(err, e.Encode(l))
		}
		return
	}
	if err := e.Encode(out); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// start serves the office at the socket path until the function that it
// returns is called.
func (o *office) start(path string) (stop func() error, err error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: o, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	return func() error {
		err := s.Close()
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return errors.Join(err, ignoreGone(os.Remove(path)))
	}, nil
}

// set has something happen.
func (o *office) set(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch what {
	case "none":
		o.none = true
	case "frozen":
		o.frozen = true
	case "ahead":
		o.wall = o.wall.AddDate(20, 0, 0)
	}
}

func (o *office) lastAsked() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (o *office) schedule(struct{}) (any, error) {
	if o.none {
		return api.ScheduleResponse{Groups: map[string]string{}}, nil
	}
	return api.ScheduleResponse{Seq: 12, Text: "version = 1\n# \u202eours\n", Groups: map[string]string{"Ward 3": bobGUID}}, nil
}

func applied(seq, request uint64) api.ScheduleApplied {
	return api.ScheduleApplied{Seq: seq, Request: request, Groups: map[string]string{"Ward \x1b3": bobGUID},
		Changes: []api.ScheduleChange{{What: "class", Name: "general", Text: "7y instead of 6y"}}}
}

func (o *office) apply(r api.ApplyScheduleRequest) (any, error) {
	a := applied(76, 0)
	switch {
	case r.Text == "same\n":
		return api.ScheduleApplied{Changes: []api.ScheduleChange{}, Groups: map[string]string{}}, nil
	case r.Text == "bad\n":
		return nil, &api.Problem{Title: "this is not a schedule that can be used", Detail: "line 3: unknown key \"perid\u202e\"\nline 9: no class", Status: http.StatusBadRequest, Code: api.CodeSchedule,
			Exit: api.ExitUsage, Hint: "retention/SCHEDULE.md says what each key means"}
	case r.Text == "narrower\n":
		a = applied(0, 430)
		a.Narrows = true
		a.Changes = append(a.Changes, api.ScheduleChange{What: "class", Name: "patient", Text: "8y instead of 10y", Narrows: true})
	}
	if r.Dry {
		a.Seq, a.Request = 0, 0
	}
	return a, nil
}

func matter(id, state string) api.Matter {
	m := api.Matter{ID: id, Name: "Berg v. \x1b[31mSt. Mary", State: state, Opened: &received, Members: []string{"person:" + jdoeGUID, "uid:0"}, Custodians: []string{annaGUID},
		People: []api.Ref{anna, {GUID: jdoeGUID, Name: "Jane Doe"}}, Holds: []uint64{412}}
	if state == "closed" {
		m.Closed = &received
	}
	return m
}

func (o *office) matters(r api.MattersRequest) (any, error) {
	list := api.MattersResponse{Matters: []api.Matter{}}
	if !o.none {
		list.Matters = append(list.Matters, matter("M-7", "open"), api.Matter{ID: api.Held, State: "open"})
	}
	if r.All {
		list.Matters = append(list.Matters, matter("M-1", "closed"))
	}
	return list, nil
}

func (o *office) holds(api.HoldsRequest) (any, error) {
	list := api.HoldsResponse{Holds: []api.Hold{}}
	if !o.none {
		list.Holds = append(list.Holds, o.hold, api.Hold{Seq: 300, Matter: api.Held, State: "active", Placed: received})
	}
	return list, nil
}

func (o *office) widen(api.WidenHoldRequest) (any, error) {
	o.hold.Scopes = append(o.hold.Scopes, api.ScopeHeld{Since: received.Add(time.Hour), Scope: api.Scope{Conversations: []string{"c\x079"}, Query: "potassium\u202e", Language: 1, From: &began, To: &ended}})
	return o.hold, nil
}

func preview() api.Preview {
	return api.Preview{Entries: 31, DueNow: 4, Through: 9000, ClassMonths: []api.PreviewMonth{{Class: "general", Month: "2019-01", Entries: 31, Due: 4}}}
}

func (o *office) askRelease(r api.AskReleaseRequest) (any, error) {
	a := api.AskReleaseResponse{Request: 431, Preview: preview()}
	if r.Keep != nil {
		a.Keep = &api.Scope{Custodians: []string{annaGUID}, People: []api.Ref{anna}, To: &ended}
	}
	return a, nil
}

func (o *office) release(r api.ReleaseHoldRequest) (any, error) {
	o.hold.State = "releasing"
	lapses := received.AddDate(0, 0, 30)
	o.hold.Scopes[0].Lapses = &lapses
	o.hold.Release = &api.Release{Request: r.Request, At: received, Ends: lapses, By: jdoe, Reason: "settled"}
	return o.hold, nil
}

func (o *office) cancel(api.CancelReleaseRequest) (any, error) {
	o.hold.State, o.hold.Release, o.hold.Scopes[0].Lapses = "active", nil, nil
	return o.hold, nil
}

func (o *office) notice(r api.NoticeRequest) (any, error) {
	o.hold.Notices = append(o.hold.Notices, api.HoldNotice{Custodian: annaGUID, Name: anna.Name, State: r.State, At: received, By: jdoe, Text: r.Text})
	return o.hold, nil
}

func explain(r api.ExplainRequest) (any, error) {
	if r.Seq == 9 {
		return api.Explanation{Seq: 9, Class: "general", State: "disposed", Certificate: 520, HeldBy: []api.HeldBy{}, Family: []uint64{}, Text: []string{"it went in January"}}, nil
	}
	return api.Explanation{Seq: r.Seq, Class: "general", Rule: "ward\u202es", Schedule: 12, Trigger: "received", Period: "7y", Due: &dueOn, State: "held",
		HeldBy: []api.HeldBy{{Hold: 412, Matter: "M-7", Why: "custodian"}, {Matter: api.Held}}, Family: []uint64{4700, 4711}, Plans: []uint64{},
		Text: []string{"hold 412 of matter M-7 must be released", "and it must be past 2033-03-01"}}, nil
}

func (o *office) plans(api.PlansRequest) (any, error) {
	list := api.PlansResponse{Plans: []api.Plan{}}
	if !o.none {
		p := o.plan
		p.Lines = nil
		list.Plans = append(list.Plans, p)
	}
	return list, nil
}

func (o *office) planned(r api.PlanDispositionRequest) (any, error) {
	p := o.plan
	if r.Dry {
		p.Seq, p.Request, p.State = 0, 0, ""
	}
	return work{{Progress: &api.Progress{Done: 1, Total: 2}}, {Plan: &p}}, nil
}

func (o *office) erase(r api.EraseRequest) (any, error) {
	if r.Seqs[0] == 4711 {
		return nil, &api.Problem{Title: "it is held", Detail: "by hold 412", Status: http.StatusConflict, Code: api.CodeState, Exit: api.ExitUsage, Hint: "release that hold first: `holdfast hold show 412`"}
	}
	return work{{Plan: &api.Plan{Seq: 600, Kind: planErase, AsOf: received, By: jdoe, At: received, Reason: r.Reason, Request: 601, State: planWaiting, Total: 1,
		Lines: []api.PlanLine{{Class: "general", Month: "2026-03", Entries: 1, Why: "named"}}}}}, nil
}

func (o *office) reclass(r api.ReclassifyRequest) (any, error) {
	return work{{Plan: &api.Plan{Seq: 700, Kind: planReclass, Class: r.Class, AsOf: received, By: jdoe, At: received, Reason: r.Reason, Request: 701, State: planApproved, Total: 2, Lines: []api.PlanLine{}}}}, nil
}

func (o *office) decide(r api.DecideRequest) (any, error) {
	status := "denied"
	if r.Approve {
		status = "approved"
	}
	o.plan.State = planDenied
	if r.Approve {
		o.plan.State = planApproved
	}
	return api.ApprovalRequest{Seq: r.Seq, Act: actDisposition, Digest: digest, By: jdoe, At: received, Expires: received, Status: status,
		Decision: &api.Decision{Seq: 502, By: aberg, At: received, Approve: r.Approve, Reason: r.Reason}}, nil
}

func (o *office) run(r api.RunRequest) (any, error) {
	return work{{Progress: &api.Progress{Step: "resealing", Done: 1, Total: 2}}, {Ran: &api.Ran{Plan: r.Plan, Kind: "cutoff", Intent: 510, Gone: 1190, Certificates: []api.DispositionCertificate{o.certificate(520)},
		TakenOut:  []api.TakenOut{{Class: "general", Month: "2019-01", Hold: 508, Matter: "M-9", Why: "custodian", Entries: 10}},
		Abandoned: []api.PlanLine{{Class: "patient", Month: "2019-02", Entries: 3, HeldBack: []api.HeldBack{{Matter: api.Held, Entries: 3}}}}}}}, nil
}

func (o *office) certificate(seq uint64) api.DispositionCertificate {
	until := received.AddDate(1, 0, 0)
	c := api.DispositionCertificate{Seq: seq, JWS: o.chest, Continued: 530}
	c.V, c.Archive, c.Origin = 1, "st-elsewhere", "holdfast.invalid/st-elsewhere/0011223344556677"
	c.Class, c.Month, c.Kind, c.First, c.Last, c.Count, c.Survivors = "general", "2019-01", "cutoff", 3, 4000, 1190, 41
	c.Keys = []api.KeyID{{Name: "bodies/2019-01.general.g1", ID: "00112233"}}
	c.Method, c.Media = "cryptographic erase (NIST SP 800-88 Rev. 1)", "the master key was not changed"
	c.Schedule, c.Plan, c.Request, c.Intent, c.At = 12, 500, 501, 510, "2026-03-01T09:00:00.000Z"
	c.Planner, c.Approver, c.Runner = jdoe, aberg, jdoe
	c.Copies = []api.Remaining{{What: "backup", Where: "safe \x1b[2JB", ID: "tape-1"}, {What: "recipient", ID: "kid1", Until: &until}}
	return c
}

func (o *office) certificates(api.CertificatesRequest) (any, error) {
	list := api.CertificatesResponse{Certificates: []api.DispositionCertificate{}}
	if !o.none {
		list.Certificates = append(list.Certificates, o.certificate(520))
	}
	return list, nil
}

func (o *office) clock() api.ClockResponse {
	c := api.ClockResponse{Frozen: o.frozen, Received: received, Wall: o.wall}
	if o.frozen {
		c.Since = 800
	}
	return c
}

func (o *office) noteCopy(r api.NoteCopyRequest) (any, error) {
	o.copies = append(o.copies, api.Copy{ID: r.ID, What: r.What, Where: r.Where, Keyring: r.Keyring, Noted: received})
	return api.CopiesResponse{Copies: o.copies}, nil
}

func (o *office) copyGone(r api.CopyGoneRequest) (any, error) {
	for i := range o.copies {
		if o.copies[i].ID == r.ID {
			o.copies[i].Gone = &received
		}
	}
	return api.CopiesResponse{Copies: o.copies}, nil
}
