package daemon

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/archive/proof"
	"holdfast/internal/api"
)

// said is a conversation with what can happen in one.
const said = `{"user":"ann","name":"Ann Adams"}
{"user":"bob","name":"Bob Brown"}
{"user":"cyd","name":"Cyd Cole"}
{"user":"dan","name":"Dan Drew"}
{"conv":"c1","kind":"group","name":"Ward 3","members":["ann","bob","cyd"]}
{"conv":"c2","kind":"direct","members":["ann","bob"]}
{"id":"m1","time":"2026-03-02T07:00:00.000Z","from":"ann","in":"c1","text":"potassium first"}
{"id":"m2","time":"2026-03-02T07:01:00.000Z","from":"bob","in":"c1","text":"second"}
{"id":"r1","time":"2026-03-02T07:02:00.000Z","from":"bob","in":"c1","typ":"receipt","ref":"m1","status":"read"}
{"id":"x1","time":"2026-03-02T07:03:00.000Z","from":"bob","in":"c2","text":"elsewhere"}
{"id":"m3","time":"2026-03-02T06:00:00.000Z","from":"cyd","in":"c1","text":"third, of a slow clock"}
{"id":"e1","time":"2026-03-02T07:05:00.000Z","from":"ann","in":"c1","typ":"edit","ref":"m1","text":"sodium, I meant"}
{"id":"k1","time":"2026-03-02T07:06:00.000Z","from":"ann","in":"c1","typ":"member","members":["ann","bob","dan"]}
{"id":"m4","time":"2026-03-02T07:07:00.000Z","from":"dan","in":"c1","text":"fourth"}
{"id":"d1","time":"2026-03-02T07:08:00.000Z","from":"bob","in":"c1","typ":"recall","ref":"m2"}
`

// talked is a ward in which that was said.
func talked(t *testing.T) *ward {
	w := newWard(t)
	w.start()
	path := w.path("said.jsonl")
	if err := os.WriteFile(path, []byte(said), 0o600); err != nil {
		t.Fatal(err)
	}
	w.loadFile(path)
	w.acked()
	return w
}

// one is the seq of the one message that a query finds.
func (w *ward) one(query string) uint64 {
	w.t.Helper()
	r := w.search(query, 10)
	if r.Total != 1 || len(r.Hits) != 1 {
		w.t.Fatalf("%s finds %d", query, r.Total)
	}
	return r.Hits[0].Seq
}

func numbersOf(hits []api.Hit) (out []uint64) {
	for _, h := range hits {
		out = append(out, h.Seq)
	}
	return out
}

func TestHitsSayWhatHangsAtThem(t *testing.T) {
	w := talked(t)
	r := w.search("potassium", 10)
	cp, err := w.client.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := proof.ParseLogKey([]byte(cp.LogKey))
	if err != nil {
		t.Fatal(err)
	}
	against, err := proof.OpenCheckpoint([]byte(r.Checkpoint.Note), key)
	if err != nil || against.Size != r.Checkpoint.Size || r.Through != against.Size-1 || !bytes.Contains([]byte(r.Checkpoint.Note), []byte("\n"+r.Checkpoint.Root+"\n")) {
		t.Errorf("run against %+v, through %d, %v", r.Checkpoint, r.Through, err)
	}
	m := r.Hits[0]
	edit := w.one("sodium")
	if len(m.Edits) != 1 || m.Edits[0].Seq != edit || m.Edits[0].Text != "sodium, I meant" || m.Receipts == nil || m.Receipts.Read != 1 || m.Receipts.Of[0].From != "Bob Brown" {
		t.Errorf("hit %+v", m.Followers)
	}
	if e := w.search("sodium", 10).Hits[0]; e.Of != m.Seq || e.Typ != "edit" {
		t.Errorf("edit %+v", e)
	}
	if second := w.search("second", 10).Hits[0]; len(second.Recalls) != 1 || second.Recalls[0].FromUsr != "bob" {
		t.Errorf("recalled %+v", second.Followers)
	}
}

// Each order, read page by page, is what it is in one.
func TestPagesEndToEnd(t *testing.T) {
	w := talked(t)
	for _, order := range []string{api.SortSeq, api.SortSent} {
		ask := api.SearchRequest{Query: "NOT zzzz", Reason: "test", Sort: order}
		whole, err := w.client.Search(t.Context(), ask)
		if err != nil || whole.Cursor != "" || whole.Total != 6 {
			t.Fatalf("%s: %+v, %v", order, whole, err)
		}
		var got []uint64
		ask.Limit = 2
		for page := 0; page == 0 || ask.Cursor != ""; page++ {
			r, err := w.client.Search(t.Context(), ask)
			if err != nil || r.Total != 6 || page > 3 {
				t.Fatalf("%s: %+v, %v", order, r, err)
			}
			got, ask.Cursor = append(got, numbersOf(r.Hits)...), r.Cursor
		}
		if !slices.Equal(got, numbersOf(whole.Hits)) {
			t.Errorf("%s: pages %v, whole %v", order, got, numbersOf(whole.Hits))
		}
		if oldest := whole.Hits[5].Seq; (order == api.SortSent) != (oldest == w.one("third")) {
			t.Errorf("%s: the oldest is %d", order, oldest)
		}
	}
}

func TestReadingAConversation(t *testing.T) {
	w := talked(t)
	first, second, third, fourth, edit := w.one("potassium"), w.one("second"), w.one("third"), w.one("fourth"), w.one("sodium")
	shown, err := w.client.Show(t.Context(), api.ShowRequest{Seqs: []uint64{third}, Context: 1, Reason: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if c := shown.Entries[0].Context; !slices.Equal(numbersOf(c.Before), []uint64{second}) || !slices.Equal(numbersOf(c.After), []uint64{edit}) || c.NotInScope != 0 {
		t.Errorf("around the third: %+v", c)
	}
	now, err := w.client.Conversation(t.Context(), api.ConversationRequest{ID: "c1", Reason: "test"})
	if err != nil || !slices.Equal(numbersOf(now.Messages), []uint64{first, second, third, edit, fourth}) || now.Name != "Ward 3" || len(now.Messages[0].Edits) != 1 || len(now.Messages[1].Recalls) != 1 {
		t.Fatalf("now %+v, %v", now, err)
	}
	if len(now.Members) != 3 || !slices.Contains(now.Members, api.Participant{Usr: "dan", Name: "Dan Drew"}) {
		t.Errorf("members %+v", now.Members)
	}
	then, err := w.client.Conversation(t.Context(), api.ConversationRequest{ID: "c1", Reason: "test", AsOf: third})
	if err != nil || !slices.Equal(numbersOf(then.Messages), []uint64{first, second, third}) || len(then.Messages[0].Edits) != 0 || then.Messages[0].Receipts == nil || len(then.Messages[1].Recalls) != 0 {
		t.Errorf("as of the third %+v, %v", then, err)
	}
	at := then.Messages[2].Received
	timed, err := w.client.Conversation(t.Context(), api.ConversationRequest{ID: "c1", Reason: "test", At: &at})
	if err != nil || timed.Through < third || timed.Total < 3 {
		t.Errorf("as of when the third was received %+v, %v", timed, err)
	}
	early := at.Add(-24 * time.Hour)
	if _, err := w.client.Conversation(t.Context(), api.ConversationRequest{ID: "c1", Reason: "test", At: &early}); err == nil {
		t.Error("as of before the archive was")
	}
}

func TestTimelineEndToEnd(t *testing.T) {
	w := talked(t)
	r, err := w.client.Timeline(t.Context(), api.TimelineRequest{Seq: w.one("potassium"), Reason: "test"})
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	for _, e := range r.Events {
		events = append(events, e.What+" "+e.WhoUsr)
	}
	if want := []string{"sent ann", "read bob", "edited ann", "joined dan", "left cyd"}; !slices.Equal(events, want) {
		t.Errorf("events %q", events)
	}
	for _, p := range r.People {
		if (p.Read != "") != (p.Usr == "bob") || (p.Joined != nil) != (p.Usr == "dan") || (p.Left != nil) != (p.Usr == "cyd") {
			t.Errorf("%+v", p)
		}
	}
	if len(r.People) != 4 {
		t.Errorf("people %+v", r.People)
	}
}

func TestCountsEndToEnd(t *testing.T) {
	w := talked(t)
	for by, want := range map[string]map[string]uint64{
		api.ByConversation: {"c1": 5, "c2": 1},
		api.ByCustodian:    {"usr:ann": 6, "usr:bob": 6, "usr:cyd": 4, "usr:dan": 1},
		api.ByMonth:        {time.Now().UTC().Format("2006-01"): 6},
	} {
		r, err := w.client.Count(t.Context(), api.CountRequest{Query: "NOT zzzz", By: by, Reason: "test"})
		if err != nil || r.Total != 6 {
			t.Fatalf("%s: %+v, %v", by, r, err)
		}
		got := map[string]uint64{}
		for _, b := range r.Buckets {
			got[b.Key] = b.Count
		}
		for key, n := range want {
			if got[key] != n {
				t.Errorf("%s: %s has %d, want %d", by, key, got[key], n)
			}
		}
	}
	r, err := w.client.Count(t.Context(), api.CountRequest{Query: "potassium OR second OR first", By: api.ByTerm, Reason: "test"})
	if err != nil || len(r.Buckets) != 3 || r.Buckets[0].Count != 1 || *r.Buckets[0].Alone != 0 || *r.Buckets[1].Alone != 1 {
		t.Errorf("by term %+v, %v", r, err)
	}
}

// What a hold keeps is found by its number, with the family, and of the hold's
// matter; truth about what is not seen is told within the query's range.
func TestSearchingWhatIsHeld(t *testing.T) {
	w := talked(t)
	if _, err := w.client.OpenMatter(t.Context(), api.OpenMatterRequest{ID: "M-1", Reason: "a lawsuit"}); err != nil {
		t.Fatal(err)
	}
	h, err := w.client.PlaceHold(t.Context(), api.PlaceHoldRequest{Matter: "M-1", Scope: api.ScopeRequest{Query: "potassium"}, Reason: "a lawsuit"})
	if err != nil {
		t.Fatal(err)
	}
	first, edit := w.one("potassium"), w.one("sodium")
	for _, q := range []string{"hold:" + fmt.Sprint(h.Seq), "matter:M-1"} {
		if r := w.search(q, 10); !slices.Equal(numbersOf(r.Hits), []uint64{edit, first}) {
			t.Errorf("%s finds %v", q, numbersOf(r.Hits))
		}
	}
	if r := w.search("NOT hold:"+fmt.Sprint(h.Seq), 10); r.Total != 4 {
		t.Errorf("not held: %d", r.Total)
	}
}

func TestBetween(t *testing.T) {
	set := roaring64.BitmapOf(0, 3, 4, 9)
	for _, tt := range []struct{ lo, hi, want uint64 }{{0, 0, 0}, {0, 1, 1}, {1, 3, 0}, {1, 4, 1}, {0, 10, 4}, {4, 9, 1}, {10, 20, 0}} {
		if got := between(set, tt.lo, tt.hi); got != tt.want {
			t.Errorf("[%d, %d): %d", tt.lo, tt.hi, got)
		}
	}
}
