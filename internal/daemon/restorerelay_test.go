package daemon

import (
	"errors"
	"testing"

	"holdfast/archive"
	"holdfast/ingest"
	"holdfast/internal/api"
	"holdfast/internal/role"
	"holdfast/retention"
)

// That the relay was told of more than the log has is enough to wait for two
// people, where nothing was anchored. Meanwhile nothing is disposed of, by
// whichever way.
func TestRestoredOlderLogByTheRelaysWord(t *testing.T) {
	d := newDisaster(t)
	all := lines(12)
	d.start()
	d.load(all[:6])
	d.acked()
	d.stop()
	d.backup()
	d.start()
	d.load(all[6:])
	d.acked()
	d.stop()
	d.restored(nil)
	d.start()
	w := d.until("waiting", func(r *api.RestoreResponse) bool { return r.State == api.RestoreWaiting })
	if w.Lost != nil || w.Relay == nil || w.Relay.Told <= w.Relay.Had || w.Relay.Pulled {
		t.Errorf("%+v, %+v", w, w.Relay)
	}
	if in, err := d.client.Ingest(t.Context()); err != nil || len(in.Reasons) != 1 || in.Reasons[0] != reasonRestored {
		t.Errorf("ingest: %+v, %v", in, err)
	}
	if d.metric("holdfast_restored_waiting") != 1 {
		t.Error("it waits, and no metric says so")
	}
	for what, err := range map[string]error{
		"plan a disposition": second(d.client.PlanDisposition(t.Context(), api.PlanDispositionRequest{Reason: "r"}, nil)),
		"plan an erasure":    second(d.client.PlanErasure(t.Context(), api.EraseRequest{Seqs: []uint64{5}, Reason: "r"}, nil)),
		"run a plan":         second(d.client.RunDisposition(t.Context(), api.RunRequest{Plan: 5}, nil)),
	} {
		var p *api.Problem
		if !errors.As(err, &p) || p.Title != errRestored.Title {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := d.search("received>=1900-01-01", 1).Total; got != 6 {
		t.Errorf("%d messages are found", got)
	}
}

func second[T any](_ T, err error) error { return err }

func TestFurther(t *testing.T) {
	had := archive.Cursor{Epoch: "e1", Seq: 10}
	for what, c := range map[string]struct {
		said ingest.Told
		want bool
	}{
		"as far":                     {ingest.Told{Epoch: "e1", Acked: 10}, false},
		"less far":                   {ingest.Told{Epoch: "e1", Acked: 3}, false},
		"further":                    {ingest.Told{Epoch: "e1", Acked: 11}, true},
		"nothing of another epoch":   {ingest.Told{Epoch: "e2"}, false},
		"something of another epoch": {ingest.Told{Epoch: "e2", Acked: 1}, true},
	} {
		if got := further(c.said, had); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// A disposition that waits is refused before anything of it is looked at.
func TestPatientDispositions(t *testing.T) {
	s := &salvage{state: api.RestoreAsking}
	d := patientDispositions{nil, s}
	for what, err := range map[string]error{
		"plan":  second(d.PlanDisposition(t.Context(), role.Principal{}, retention.PlanOptions{})),
		"erase": second(d.PlanErasure(t.Context(), role.Principal{}, nil, "")),
		"run":   second(d.Run(t.Context(), role.Principal{}, 1, nil)),
	} {
		if !errors.Is(err, errRestored) {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.state = api.RestoreSettled
	if err := s.settled(); err != nil {
		t.Error(err)
	}
}
