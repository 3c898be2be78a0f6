package archive

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"holdfast/archive/proof"
	"holdfast/internal/jws"
)

// The indexes of the entries by which a message's attachments came in go with
// the message: those that came before the resealing and those that came while
// it went on; and no other's does.
func TestDisposeOfLateAttachments(t *testing.T) {
	w := newWard(t)
	w.o.LogFileLeaves = 16
	w.reopen(t)
	w.nextMonth(t)
	cm := ClassMonth{"general", w.month()}
	bids := []string{jws.EncodeB64(bytes.Repeat([]byte{'p'}, 16)), jws.EncodeB64(bytes.Repeat([]byte{'q'}, 16))}
	var places []uint64 // in the relay's stream
	var seqs []uint64
	for _, bid := range append(bids, jws.EncodeB64(bytes.Repeat([]byte{'r'}, 16))) {
		w.relay++
		e := withAttachment(t, w.relay, bid, []byte(bid), BlobPending)
		e.Class = "general"
		seqs, places = append(seqs, w.put(t, e)), append(places, w.relay)
	}
	w.nextMonth(t)
	late := func(place uint64, bid, status string) uint64 {
		w.say(t, "longest", 30)
		body, err := json.Marshal(BlobBody{Epoch: "e1", RelaySeq: place, BID: bid, Status: status})
		if err != nil {
			t.Fatal(err)
		}
		return w.put(t, Entry{Kind: proof.KindBlob, Class: proof.ClassControl, Body: body})
	}
	other := late(places[2], jws.EncodeB64(bytes.Repeat([]byte{'r'}, 16)), BlobStored) // of a message that stays
	given := late(places[1], bids[1], BlobMissing)
	first := late(places[0], bids[0], BlobStored)
	r, err := w.Reseal(t.Context(), cm, ResealOptions{Keep: func(r Record) (bool, error) { return !slices.Contains(seqs[:2], r.Leaf.Seq), nil }})
	if err != nil {
		t.Fatal(err)
	}
	since := late(places[1], bids[1], BlobStored)
	b := intent("intent")
	if _, err := w.Switch(t.Context(), []*Resealed{r}, b); err != nil {
		t.Fatal(err)
	}
	d, err := w.Destroy(t.Context(), []ClassMonth{cm}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []uint64{seqs[0] / 16, seqs[1] / 16, first / 16, since / 16}
	if slices.Sort(want); !slices.Equal(d.IndexFiles, slices.Compact(want)) {
		t.Errorf("indexes %v went, not %v", d.IndexFiles, want)
	}
	if slices.Contains(d.IndexFiles, other/16) || slices.Contains(d.IndexFiles, given/16) {
		t.Errorf("the index of another one went: %v", d.IndexFiles)
	}
}
