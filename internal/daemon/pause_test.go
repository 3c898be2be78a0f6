package daemon

import (
	"slices"
	"testing"

	"holdfast/archive/proof"
	"holdfast/internal/api"
)

// A pause holds over a restart; what the relay kept meanwhile comes when it is
// resumed.
func TestPauseHoldsOverARestart(t *testing.T) {
	w := newWard(t)
	w.start()
	w.load(lines(20))
	w.acked()
	for range 2 { // the second changes nothing
		st, err := w.client.PauseIngest(t.Context(), api.PauseRequest{Reason: "the disk is moved"})
		if err != nil || !st.Paused || st.Entry == 0 || !slices.Equal(st.Reasons, []string{"paused"}) {
			t.Fatalf("%+v, %v", st, err)
		}
	}
	w.stop()
	w.start()
	before, err := w.relay.Status()
	if err != nil {
		t.Fatal(err)
	}
	w.load(lines(30)[20:])
	st, err := w.client.Ingest(t.Context())
	if err != nil || !st.Paused {
		t.Fatalf("after the restart: %+v, %v", st, err)
	}
	if s, err := w.relay.Status(); err != nil || s.Acked != before.Acked || s.High == before.High {
		t.Fatalf("the relay was asked: %+v, %v", s, err)
	}
	if st, err = w.client.ResumeIngest(t.Context(), api.PauseRequest{Reason: "the disk is back"}); err != nil || st.Paused || len(st.Reasons) > 0 {
		t.Fatalf("%+v, %v", st, err)
	}
	w.acked()
	w.stop()
	a := w.open()
	var pauses int
	for seq := range a.Size() {
		leaf, err := a.Leaf(seq)
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Kind == proof.KindPause {
			pauses++
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if pauses != 2 {
		t.Errorf("%d entries about pauses", pauses)
	}
}
