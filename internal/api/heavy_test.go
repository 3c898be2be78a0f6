package api

import (
	"bytes"
	"testing"

	"holdfast/archive/audit"
	"holdfast/archive/proof"
)

// However large entries are and however often one is asked for, what is held
// to show them is bounded; a single one is always shown.
func TestShownEntriesAreBoundedInBytes(t *testing.T) {
	w, r := newWard(t)
	large := w.entry(proof.KindQuarantine, bytes.Repeat([]byte{0}, maxShown/3), nil)
	giant := w.entry(proof.KindQuarantine, bytes.Repeat([]byte{0}, maxShown+1), nil)
	small := w.entry(proof.KindQuarantine, []byte{0}, nil)
	many := make([]uint64, audit.MaxSeqs)
	for i := range many {
		many[i] = large
	}
	for name, tt := range map[string]struct {
		seqs []uint64
		ok   bool
	}{
		"three": {many[:3], true}, "four": {many[:4], false}, "many": {many, false}, "one giant": {[]uint64{giant}, true},
		"a giant after another": {[]uint64{small, giant}, false}, "many small": {[]uint64{small, small, small, small}, true},
	} {
		entries, err := r.Show(t.Context(), tt.seqs)
		switch {
		case tt.ok && (err != nil || len(entries) != len(tt.seqs)):
			t.Errorf("%s: %d, %v", name, len(entries), err)
		case !tt.ok && (len(entries) > 0 || problem(t, err).Code != CodeTooLarge):
			t.Errorf("%s: %d, %v", name, len(entries), err)
		}
	}
}
