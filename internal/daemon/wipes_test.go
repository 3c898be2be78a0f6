package daemon

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/ingest"
	"holdfast/internal/adtest"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/relay"
	"holdfast/internal/role"
	"holdfast/retention"
	"holdfast/retention/hold"
)

// wiping is an office that provisions by a policy: it may have departed people's devices wiped, with nora and
// dan, whose devices an envelope in quarantine may be of.
func wiping(t *testing.T, policy config.Provision) (o *office, ruth, ana *api.Client) {
	t.Helper()
	o = newOffice(t, func(c *config.Config) { c.Provision = policy },
		adtest.Person{Account: "nora", Name: "Nora", Mail: "nora@ward.invalid"}, adtest.Person{Account: "dan", Name: "Dan", Mail: "dan@ward.invalid"})
	o.do(os.WriteFile(o.path("set.jsonl"), []byte(`{"user":"nora","name":"Nora","mail":"nora@ward.invalid"}
{"user":"dan","name":"Dan","mail":"dan@ward.invalid"}
{"conv":"c1","kind":"group","name":"ward","members":["nora","dan"]}
{"id":"m0","time":"2026-03-02T06:00:00.000Z","from":"nora","in":"c1","text":"more of this is on my phone"}
{"id":"m1","time":"2026-03-02T06:01:00.000Z","from":"dan","in":"c1","text":"and on mine"}
`), 0o600))
	o.loadFile(o.path("set.jsonl"))
	// Whose it is nobody can tell: what a device alone has may belong to it.
	_, err := o.relay.Submit(t.Context(), []relay.Submission{{ID: "x", Kind: "env", Data: "AMX1.no.envelope"}})
	o.do(err)
	o.acked()
	o.until("the users' match", func() bool {
		m, err := o.client.Matches(t.Context())
		return err == nil && len(m.Matched) == 2
	})
	return o, o.login("ruth.adler"), o.login("ana.costa")
}

// place opens a matter of Ruth's and holds what a person ever sent or received.
func (o *office) place(ruth *api.Client, matter, who string) *api.Hold {
	o.t.Helper()
	_, err := ruth.OpenMatter(o.t.Context(), api.OpenMatterRequest{ID: matter, Reason: "a lawsuit"})
	o.do(err)
	h, err := ruth.PlaceHold(o.t.Context(), api.PlaceHoldRequest{Matter: matter, Scope: api.ScopeRequest{Custodians: []string{who}}, Reason: "preserve"})
	o.do(err)
	return h
}

// wipe waits until the wipe of a relay user's device has come to a state.
func (o *office) wipe(c *api.Client, usr, state string) api.Wipe {
	o.t.Helper()
	var got api.Wipe
	o.until("wipe of "+usr+" "+state, func() bool {
		list, err := c.Wipes(o.t.Context())
		o.do(err)
		i := slices.IndexFunc(list.Wipes, func(w api.Wipe) bool { return w.Usr == usr && w.State == state })
		if i >= 0 {
			got = list.Wipes[i]
		}
		return i >= 0
	})
	return got
}

// wiped counts the wipes that the relay has heard of and told of.
func (o *office) wiped(id string) (n int) {
	o.t.Helper()
	s, err := o.client.Status(o.t.Context())
	o.do(err)
	for seq := range s.Size {
		r, err := o.client.Show(o.t.Context(), api.ShowRequest{Seqs: []uint64{seq}, Reason: "test"})
		o.do(err)
		if e := r.Entries[0]; e.Kind == "relay" && strings.Contains(string(e.Body), `"provision":"`+id+`"`) {
			n++
		}
	}
	return n
}

// A departed custodian's device is not wiped while a hold needs what it alone may
// have, until two people let it go ahead: then the relay is asked, once.
func TestWipeOverride(t *testing.T) {
	o, ruth, ana := wiping(t, config.Provision{Wipe: true})
	o.place(ruth, "M-1", "nora")
	o.do(o.ad.Disable("nora"))
	o.sync()
	w := o.wipe(ruth, "nora", "refused")
	if w.Code != ingest.CodeTailQuarantine || w.Person == "" || w.Request != 0 {
		t.Errorf("stopped: %+v", w)
	}
	// Who is no member of the matter learns that something is held, and asks for nothing.
	if list, err := o.login("ivo.marek").Wipes(t.Context()); err != nil || len(list.Wipes) != 1 || list.Wipes[0].Code != api.Held {
		t.Errorf("who is no member sees %+v, %v", list, err)
	}
	_, err := o.client.OverrideWipe(t.Context(), api.OverrideWipeRequest{ID: w.ID, Reason: "r"})
	refused(t, "no member", err, http.StatusForbidden)

	asked, err := ruth.OverrideWipe(t.Context(), api.OverrideWipeRequest{ID: w.ID, Reason: "the phone was imaged"})
	o.do(err)
	if strings.Contains(asked.Summary, "nora") || asked.Act != api.ActWipeOverride {
		t.Errorf("asked for %+v", asked)
	}
	if w := o.wipe(ruth, "nora", "refused"); w.Request != asked.Seq {
		t.Errorf("while it waits: %+v", w)
	}
	_, err = ruth.Decide(t.Context(), api.DecideRequest{Seq: asked.Seq, Approve: true, Reason: "r"})
	refused(t, "who asked decides", err, http.StatusForbidden)
	_, err = ana.Decide(t.Context(), api.DecideRequest{Seq: asked.Seq, Approve: true, Reason: "I have the image"})
	o.do(err)
	w = o.wipe(ruth, "nora", "accepted")
	o.acked()
	if n := o.wiped(w.ID); n != 1 {
		t.Errorf("the relay told of %d wipes", n)
	}
	if r, err := ana.Request(t.Context(), asked.Seq); err != nil || r.Status != "executed" {
		t.Errorf("the approval: %+v, %v", r, err)
	}
	_, err = ruth.OverrideWipe(t.Context(), api.OverrideWipeRequest{ID: w.ID, Reason: "again"})
	refused(t, "after it was done", err, http.StatusConflict)
}

// A hold that is released stops a wipe until its grace period has ended, and not
// after it.
func TestWipeAfterTheRelease(t *testing.T) {
	o, ruth, ana := wiping(t, config.Provision{Wipe: true})
	h := o.place(ruth, "M-1", "nora")
	o.do(o.ad.Disable("nora"))
	o.sync()
	o.wipe(ruth, "nora", "refused")
	asked, err := ruth.AskRelease(t.Context(), api.AskReleaseRequest{Seq: h.Seq, Reason: "settled"})
	o.do(err)
	_, err = ana.Decide(t.Context(), api.DecideRequest{Seq: asked.Request, Approve: true, Reason: "it is"})
	o.do(err)
	_, err = ruth.ReleaseHold(t.Context(), api.ReleaseHoldRequest{Seq: h.Seq, Request: asked.Request})
	o.do(err)
	o.stop()
	synctest.Test(t, func(t *testing.T) { // whatever its clock shows, received time goes on
		p, stop := o.reopened()
		defer stop()
		p.provision.Wipe, p.tails = true, ingest.NewTails(p.archive)
		state := func() ingest.ProvisionState {
			plan, err := p.planProvision(t.Context())
			if err != nil || len(plan) != 1 {
				t.Fatalf("%+v, %v", plan, err)
			}
			return plan[0].State
		}
		time.Sleep(retention.DefaultGrace - 24*time.Hour)
		if s := state(); s != ingest.ProvisionRefused {
			t.Errorf("in the grace period it is %s", s)
		}
		time.Sleep(25 * time.Hour)
		if s := state(); s != ingest.ProvisionWanted {
			t.Errorf("after the grace period it is %s", s)
		}
	})
}

// A hold that is placed after a wipe was planned, and before the relay is asked,
// stops it; also one on a person whom the relay user was before.
func TestHoldBetweenPlanAndWipe(t *testing.T) {
	o, _, _ := wiping(t, config.Provision{})
	o.do(o.ad.Disable("nora"))
	o.sync()
	o.stop()
	p, stop := o.reopened()
	defer stop()
	p.provision.Wipe, p.tails = true, ingest.NewTails(p.archive)
	plan, err := p.planProvision(t.Context())
	if err != nil || len(plan) != 1 || plan[0].State != ingest.ProvisionWanted {
		t.Fatalf("%+v, %v", plan, err)
	}
	officer := role.Principal{Via: role.ViaSocket, UID: new(uint32)}
	_, err = p.book.OpenMatter(t.Context(), officer, retention.NewMatter{ID: "M-1", Reason: "a lawsuit"})
	o.do(err)
	scope := hold.Scope{Custodians: []string{string(p.history.Find("nora")[0])}}
	_, err = p.book.PlaceHold(t.Context(), officer, retention.NewHold{Matter: "M-1", Scope: scope, Reason: "preserve"})
	o.do(err)
	if err := (guarded{p}).Provision(t.Context(), plan[0].ProvisionRequest); !errors.Is(err, errStopped) {
		t.Errorf("the relay was asked: %v", err)
	}
	_, err = peopleAPI{p}.Match(t.Context(), officer, "nora", string(p.history.Find("dan")[0]), "her phone was his")
	o.do(err)
	if !p.held("nora") {
		t.Error("what the device has of whom it was before is not held")
	}
}

// reopened is what the daemon that was stopped would have, without a relay.
func (o *office) reopened() (p *parts, stop func()) {
	o.t.Helper()
	master, err := ReadMaster(o.path("cred"))
	o.do(err)
	a, err := archive.Open(o.t.Context(), o.config.Data, archive.Options{Master: master})
	o.do(err)
	o.config.Relay = nil
	p, err = newParts(o.t.Context(), a, Options{Config: o.config, Logger: slog.New(slog.NewTextHandler(o.logs, nil))})
	o.do(err)
	return p, func() {
		if err := errors.Join(p.index.Close(), a.Close()); err != nil {
			o.t.Error(err)
		}
	}
}
