package retention

import (
	"slices"
	"testing"

	"holdfast/retention/hold"
)

// Who mistypes a conversation's id would hold nothing, and not notice.
func TestAHoldSaysWhatTheArchiveHasNothingOf(t *testing.T) {
	w := newWorld(t)
	w.matter()
	w.say(msg{from: "ann", conv: "c1"})
	scope := hold.Scope{Conversations: []string{"c1", "c2"}, Custodians: []string{hold.UsrPrefix + "ann", hold.UsrPrefix + "amm"}}
	early, err := w.book.PlaceHold(w.ctx(), officer, NewHold{Matter: "M", Scope: scope, Reason: "test"})
	w.no(err)
	if len(early.Scopes[0].Unseen) > 0 {
		t.Errorf("before anything was surveyed: %v", early.Scopes[0].Unseen)
	}
	w.no(w.book.settled(w.ctx()))
	h, _ := w.book.Hold(early.Seq)
	if got := h.Scopes[0].Unseen; !slices.Equal(got, []string{"c2", "usr:amm"}) {
		t.Errorf("unseen: %v", got)
	}
	w.say(msg{from: "amm", conv: "c2"})
	w.no(w.book.settled(w.ctx()))
	if h, _ = w.book.Hold(early.Seq); len(h.Scopes[0].Unseen) > 0 {
		t.Errorf("once it came: %v", h.Scopes[0].Unseen)
	}
}
