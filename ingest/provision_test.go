package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// desk is a Provisioner with everything around it in memory.
type desk struct {
	t       *testing.T
	mu      sync.Mutex
	records []archive.Record
	failLog func() error
	book    *ProvisionBook
	through int
	plan    []ProvisionDecision
	answer  func(r ProvisionRequest) error
	asked   []ProvisionRequest
	events  []string // in order: what was recorded and what was asked
}

func newDesk(t *testing.T) *desk {
	return &desk{t: t, book: NewProvisionBook(), answer: func(ProvisionRequest) error { return nil }}
}

func (d *desk) Append(_ context.Context, b archive.Batch) ([]archive.Placed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failLog != nil {
		if err := d.failLog(); err != nil {
			return nil, err
		}
	}
	var names []string
	for _, e := range b.Entries {
		d.records = append(d.records, archive.Record{Leaf: proof.Leaf{Seq: uint64(len(d.records)), Kind: e.Kind}, Body: e.Body})
		names = append(names, e.Kind.String())
	}
	d.events = append(d.events, strings.Join(names, "+"))
	return nil, nil
}

func (d *desk) Size() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return uint64(len(d.records))
}

func (d *desk) catchUp(_ context.Context, size uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; d.through < int(size); d.through++ {
		if rec := d.records[d.through]; rec.Leaf.Kind == proof.KindProvision {
			if err := d.book.Apply(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *desk) Provision(_ context.Context, r ProvisionRequest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, r)
	d.events = append(d.events, "asked")
	return d.answer(r)
}

// restart forgets everything but the log.
func (d *desk) restart() {
	d.book, d.through = NewProvisionBook(), 0
}

func (d *desk) provisioner(change ...func(*ProvisionerOptions)) *Provisioner {
	d.t.Helper()
	o := ProvisionerOptions{
		Relay: d, Log: d, Book: d.book, CatchUp: d.catchUp,
		Plan: func(context.Context) ([]ProvisionDecision, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return slices.Clone(d.plan), nil
		},
	}
	for _, f := range change {
		f(&o)
	}
	p, err := NewProvisioner(o)
	check(d.t, err)
	return p
}

func (d *desk) states() string {
	var out []string
	for _, p := range d.book.List() {
		out = append(out, strings.TrimSuffix(string(p.State)+"/"+p.Code, "/"))
	}
	return strings.Join(out, " ")
}

var kidA, kidB = jws.EncodeB64(make([]byte, 32)), jws.EncodeB64([]byte(strings.Repeat("b", 32)))

func disable(usr string) ProvisionRequest { return newProvision(wire.OpUserDisable, usr, "", "", 7) }
func wipeOf(usr string) ProvisionRequest {
	return newProvision(wire.OpDeviceWipe, usr, "phone", kidA, 7)
}

func problem(status int, code string) error { return &wire.Problem{Status: status, Code: code} }

func TestProvisioningIsRecordedBeforeItIsAsked(t *testing.T) {
	d := newDesk(t)
	d.plan = []ProvisionDecision{want(disable("ann")), want(wipeOf("ann")), want(wipeOf("ann"))}
	p := d.provisioner()
	for range 3 {
		check(t, p.Round(t.Context()))
	}
	if got := strings.Join(d.events, " "); got != "provision+provision asked provision asked provision" || d.states() != "accepted accepted" {
		t.Errorf("%s: %s", got, d.states())
	}
	for _, rec := range d.records {
		if strings.Contains(string(rec.Body), `"name"`) {
			t.Errorf("a name in %s", rec.Body)
		}
	}
	// Departed again is asked again; accepted requests that the plan has no more are not withdrawn.
	d.plan = []ProvisionDecision{want(newProvision(wire.OpUserDisable, "ann", "", "", 90))}
	check(t, p.Round(t.Context()))
	if len(d.asked) != 3 || d.states() != "accepted accepted accepted" {
		t.Errorf("%d asked: %s", len(d.asked), d.states())
	}
}

// Each write fails once; whatever it left, the next start comes to the same end, and asks under the same id.
func TestProvisioningSurvivesEveryFailure(t *testing.T) {
	broken := errors.New("broken")
	for at := range 4 {
		d := newDesk(t)
		d.plan = []ProvisionDecision{want(disable("ann")), want(wipeOf("ann"))}
		writes := 0
		d.failLog = func() error {
			if writes++; writes == at+1 {
				return broken
			}
			return nil
		}
		err := d.provisioner().Round(t.Context())
		if (at < 3) != errors.Is(err, broken) {
			t.Fatalf("write %d: %v", at, err)
		}
		d.restart()
		check(t, d.provisioner().Round(t.Context()))
		ids := map[string]bool{}
		for _, r := range d.asked {
			ids[r.ID] = true
		}
		if d.states() != "accepted accepted" || len(ids) != 2 {
			t.Errorf("write %d failed: %s, ids %v", at, d.states(), ids)
		}
	}
}

func TestTheRelayRefusesForGood(t *testing.T) {
	for code, answer := range map[string]error{
		wire.CodeUnknownUser: problem(404, wire.CodeUnknownUser), wire.CodeUnknownDevice: problem(404, wire.CodeUnknownDevice),
		wire.CodeIDReused: problem(409, wire.CodeIDReused), wire.CodeNotSupported: problem(501, "whatever"), wire.CodeBadRequest: problem(400, "x"),
	} {
		d := newDesk(t)
		d.plan = []ProvisionDecision{want(disable("ann")), want(wipeOf("ann"))}
		d.answer = func(r ProvisionRequest) error {
			if r.Op == wire.OpUserDisable {
				return answer
			}
			return nil
		}
		p := d.provisioner()
		for range 2 {
			check(t, p.Round(t.Context()))
		}
		// The refusal and its alarm are there together, and what comes behind is asked all the same.
		if got := strings.Join(d.events, " "); got != "provision+provision asked provision+alarm asked provision" || d.states() != "refused/"+code+" accepted" {
			t.Errorf("%s: %s, %s", code, got, d.states())
		}
		alarm := alarmOf(t, d.records[3])
		if alarm.Name != AlarmProvision || alarm.Facts["code"] != code || alarm.Facts["request"] != disable("ann").ID || strings.Contains(fmt.Sprint(alarm.Facts), "ann") {
			t.Errorf("alarm %+v", alarm)
		}
	}
}

func TestProvisioningWaitsForAnAnswer(t *testing.T) {
	for name, answer := range map[string]error{
		"unreachable": errors.New("no route"), "slow down": &wire.Problem{Status: 503, RetryAfter: 20 * time.Minute}, "refused": problem(403, wire.CodeBadSignature),
		"no such endpoint": problem(http.StatusNotFound, wire.CodeNotFound), "another answer": wire.CheckAccepted([]byte(`{}`), "x"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				d.plan = []ProvisionDecision{want(disable("ann")), want(wipeOf("ann"))}
				d.answer = func(ProvisionRequest) error { return answer }
				p := d.provisioner()
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- p.Run(ctx) }()
				check(t, sleep(ctx, 2*time.Hour))
				d.mu.Lock()
				tries := len(d.asked)
				d.answer = func(ProvisionRequest) error { return nil }
				d.mu.Unlock()
				most := 30
				if name == "slow down" {
					most = 7
				}
				if tries < 5 || tries > most {
					t.Errorf("%d tries in two hours", tries)
				}
				check(t, sleep(ctx, time.Hour))
				if d.states() != "accepted accepted" {
					t.Errorf("afterwards: %s", d.states())
				}
				cancel()
				check(t, <-done)
				alarms := 0
				for _, rec := range d.records {
					if rec.Leaf.Kind == proof.KindAlarm {
						alarms++
						if a := alarmOf(t, rec); a.Name != AlarmProvisionStall || a.Facts["waiting"] != "2" || a.Facts["class"] == "" {
							t.Errorf("%+v", a)
						}
					}
				}
				if alarms != 1 {
					t.Errorf("%d alarms", alarms)
				}
			})
		})
	}
}

func TestWakeBeginsARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		p := d.provisioner()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		d.mu.Lock()
		d.plan = []ProvisionDecision{want(disable("ann"))}
		d.mu.Unlock()
		began := time.Now()
		p.Wake()
		p.Wake()
		synctest.Wait()
		if d.states() != "accepted" || time.Since(began) != 0 {
			t.Errorf("%s after %v", d.states(), time.Since(began))
		}
		d.mu.Lock()
		d.plan = append(d.plan, want(wipeOf("ann")))
		d.mu.Unlock()
		check(t, sleep(ctx, 5*time.Minute+time.Second))
		if d.states() != "accepted accepted" {
			t.Errorf("nobody called: %s", d.states())
		}
		cancel()
		check(t, <-done)
	})
}

// Between wanting and asking the world may change: the plan is made anew before each round.
func TestAPlanThatChangesStopsWhatWaits(t *testing.T) {
	d := newDesk(t)
	d.answer = func(ProvisionRequest) error { return errors.New("down") }
	d.plan = []ProvisionDecision{want(disable("ann")), want(wipeOf("ann")), want(wipeOf("bob"))}
	p := d.provisioner()
	if err := p.Round(t.Context()); err == nil {
		t.Fatal("no error")
	}
	asked := len(d.asked)
	d.answer = func(ProvisionRequest) error { return nil }
	d.plan = []ProvisionDecision{{wipeOf("ann"), ProvisionRefused, CodeTailOpen}}
	for range 2 {
		check(t, p.Round(t.Context()))
	}
	if d.states() != "withdrawn refused/hold_tail_open withdrawn" || len(d.asked) != asked {
		t.Errorf("%s, %d asked", d.states(), len(d.asked)-asked)
	}
	// The tail came, and Bob left after all.
	d.plan = []ProvisionDecision{want(wipeOf("ann")), want(wipeOf("bob"))}
	check(t, p.Round(t.Context()))
	if d.states() != "withdrawn accepted accepted" {
		t.Errorf("%s", d.states())
	}
}

func TestAnOverrideIsUsedUpWithTheWipe(t *testing.T) {
	d := newDesk(t)
	d.plan = []ProvisionDecision{{wipeOf("ann"), ProvisionWanted, CodeOverridden}, want(disable("bob"))}
	d.answer = func(ProvisionRequest) error { return errors.New("down") }
	refuse, uses := errors.New("not approved any more"), 0
	var told []bool
	p := d.provisioner(func(o *ProvisionerOptions) {
		o.Override = func(_ context.Context, r ProvisionRequest) (archive.Entry, func(bool), error) {
			if r != wipeOf("ann") {
				t.Errorf("override of %+v", r)
			}
			uses++
			return archive.Entry{Kind: proof.KindExecution}, func(ok bool) { told = append(told, ok) }, refuse
		}
	})
	// Without the approval nothing of Ann's is asked, and Bob's goes ahead.
	if err := p.Round(t.Context()); err == nil || d.states() != "wanted" || len(told) != 0 {
		t.Fatalf("%v: %s", err, d.states())
	}
	refuse = nil
	d.failLog = func() error { return errors.New("broken") }
	if err := p.Round(t.Context()); err == nil || !slices.Equal(told, []bool{false}) {
		t.Fatalf("%v, told %v", err, told)
	}
	d.failLog = nil
	d.events = nil
	if err := p.Round(t.Context()); err == nil || d.events[0] != "execution+provision" || !slices.Equal(told, []bool{false, true}) {
		t.Fatalf("%v, %v, told %v", err, d.events, told)
	}
	// Used once: a plan that does not know of it any more takes nothing back, and it is not used again.
	d.answer = func(ProvisionRequest) error { return nil }
	d.plan = []ProvisionDecision{{wipeOf("ann"), ProvisionRefused, CodeTailOpen}, want(disable("bob"))}
	check(t, p.Round(t.Context()))
	if d.states() != "accepted accepted" || uses != 3 {
		t.Errorf("%s, %d uses", d.states(), uses)
	}
}

// TestProvisioningEndToEnd: what is asked of the reference relay comes back through its stream.
func TestProvisioningEndToEnd(t *testing.T) {
	l := newLive(t)
	ann := l.st.join("u-ann", jws.EdDSA)
	l.st.say(ann, "goodbye")
	l.st.say(ann, "", func(p *envelope.Payload) { p.Typ, p.Body, p.Conv, p.To = envelope.TypCheckpoint, nil, nil, nil })
	l.submit()
	l.start()
	l.untilAcked(4)
	tails := NewTails(l.archive)
	book := NewProvisionBook()
	var through uint64
	plans := 0
	p, err := NewProvisioner(ProvisionerOptions{
		Relay: l.client, Log: l.archive, Book: book,
		CatchUp: func(ctx context.Context, size uint64) error {
			check(t, l.state.CatchUp(ctx, size))
			for rec, err := range l.archive.ClassRecords(ctx, proof.ClassControl, through, size) {
				check(t, err)
				if rec.Leaf.Kind == proof.KindProvision {
					check(t, book.Apply(rec))
				}
			}
			through = size
			return nil
		},
		Plan: func(ctx context.Context) ([]ProvisionDecision, error) {
			plans++
			check(t, tails.CatchUp(ctx, l.archive.Size()))
			return PlanProvision([]Departed{{"u-ann", 5}}, slices.Collect(l.state.Directory().Devices()), ProvisionPolicy{true, true, true},
				func(string) bool { return true }, tails.Tail, func(string) bool { return false }), nil
		},
	})
	check(t, err)
	for range 2 {
		check(t, p.Round(t.Context()))
	}
	l.untilAcked(6)
	check(t, p.Round(t.Context()))
	l.stop()
	for _, q := range book.List() {
		if q.State != ProvisionAccepted {
			t.Errorf("%+v", q)
		}
	}
	if n := len(book.List()); n != 3 || plans != 3 {
		t.Errorf("%d requests, %d plans", n, plans)
	}
	check(t, l.state.CatchUp(t.Context(), l.archive.Size()))
	if d := l.state.Devices(); len(d) != 1 || !d[0].Revoked {
		t.Errorf("devices %+v", d)
	}
	told := l.records(proof.KindRelay)
	if len(told) != 1 || !strings.Contains(string(told[0].Note), wire.KindWipe) || !strings.Contains(string(told[0].Body), `"usr":"u-ann"`) {
		t.Errorf("of the wipe: %+v", told)
	}
	err = l.client.Provision(t.Context(), newProvision(wire.OpUserDisable, "nobody", "", "", 1))
	var said *wire.Problem
	if !errors.As(err, &said) || said.Code != wire.CodeUnknownUser {
		t.Errorf("of nobody: %v", err)
	}
	if code, final := refusalCode(err); !final || code != wire.CodeUnknownUser {
		t.Errorf("%q, %v", code, final)
	}
}
