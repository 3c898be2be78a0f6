package archive

import "testing"

func TestDeliveredNumbersAreKnown(t *testing.T) {
	a, _ := makeArchive(t, Options{LogFileLeaves: 8})
	var want uint64
	for n := range uint64(20) {
		e := message(n+1, "phone", n+1)
		placed := mustAppend(t, a, Batch{Entries: []Entry{e}, Cursor: &Cursor{Epoch: e.Epoch, Seq: n + 1}})
		if n == 4 {
			want = placed[0].Seq
		}
	}
	if seq, ok, err := a.Delivered("phone", 5); err != nil || !ok || seq != want {
		t.Errorf("entry %d, %v, %v; want entry %d", seq, ok, err, want)
	}
	for _, none := range []struct {
		device string
		n      uint64
	}{{"phone", 21}, {"phone", 0}, {"tablet", 5}} {
		if seq, ok, err := a.Delivered(none.device, none.n); err != nil || ok {
			t.Errorf("%v: entry %d, %v, %v", none, seq, ok, err)
		}
	}
}
