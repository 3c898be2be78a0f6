package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/archive/query"
	"holdfast/internal/role"
)

// Whoever widens a hold, or has somebody matched to a group's member, after an
// export was approved cannot export the more with that approval.
func TestApprovedForWhatItReached(t *testing.T) {
	held := func(seqs ...uint64) func(*Server) {
		return func(s *Server) {
			s.HeldSet = func(context.Context, []uint64) (*roaring64.Bitmap, uint64, error) {
				return roaring64.BitmapOf(seqs...), 1 << 20, nil
			}
		}
	}
	members := func(usr string, from time.Time) func(*Server) {
		return func(s *Server) {
			s.GroupStays = func(context.Context, string) ([]query.Stay, error) {
				return []query.Stay{{Usrs: []string{usr}, From: from}}, nil
			}
		}
	}
	for name, tt := range map[string]struct {
		query        string
		asked, later func(*Server)
		status       int
	}{
		"the same hold":          {"hold:50", held(0), held(0), http.StatusOK},
		"held beyond its size":   {"hold:50", held(0), held(0, 1000), http.StatusOK},
		"a wider hold":           {"hold:50", held(0), held(0, 1), http.StatusConflict},
		"a matter's wider hold":  {"matter:M-1", held(0), held(1), http.StatusConflict},
		"the same group":         {"group:Wards", members("u1", day(1)), members("u1", day(1)), http.StatusOK},
		"another member":         {"group:Wards", members("u1", day(1)), members("u2", day(1)), http.StatusConflict},
		"a member for longer":    {"group:Wards", members("u1", day(2)), members("u1", day(1)), http.StatusConflict},
		"a group beside another": {"group:Wards OR x", members("u1", day(1)), members("u2", day(1)), http.StatusConflict},
	} {
		w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer})
		w.noteSize(t, s, 10)
		s.LargeExport, w.found.Total = 1, 500
		tt.asked(s)
		const how = `"reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"`
		_, body := w.ask(s, "POST /v1/export/ask", `{"query":"`+tt.query+`",`+how+`}`)
		var asked LargeExportResponse
		if err := json.Unmarshal([]byte(body), &asked); err != nil || asked.Request.Seq == 0 {
			t.Fatalf("%s: %s, %v", name, body, err)
		}
		if _, err := (approvals{w}).Decide(t.Context(), role.Principal{Person: anna}, asked.Request.Seq, true, "r"); err != nil {
			t.Fatal(err)
		}
		tt.later(s)
		status, body := w.ask(s, "POST /v1/export/approved", `{"query":"`+tt.query+`","at":`+decimal(asked.At)+`,"request":`+decimal(asked.Request.Seq)+`,`+how+`}`)
		if status != tt.status || (w.produced() > 0) != (tt.status == http.StatusOK) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// What a narrowed role exports has at its messages what a search would show
// there, and no more.
func TestExportTellsWhatMayHang(t *testing.T) {
	for name, unscoped := range map[string]bool{"scoped": false, "unscoped": true} {
		w := newTown(t)
		w.stays = []query.Stay{{Usrs: []string{"u1"}, From: day(10), To: day(20)}}
		w.officer()
		if unscoped {
			w.officer(role.Grant{Role: role.ComplianceOfficer})
		}
		s := w.server()
		var made *Production
		inner := w.produce
		w.produce = func(ctx context.Context, p Production, sink Sink) (*Produced, error) {
			made = &p
			return inner(ctx, p, sink)
		}
		if status, body := w.ask(s, "POST /v1/export", bodies["POST /v1/export"]); status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, status, body)
		}
		for _, tt := range []struct {
			from, to string
			at       time.Time
			hangs    bool
		}{{"u1", "u2", day(15), true}, {"u2", "u1", day(15), true}, {"u2", "u5", day(15), unscoped}, {"u1", "u2", day(21), unscoped}} {
			if got := made.MayHang(tt.from, []string{tt.to}, tt.at); got != tt.hangs {
				t.Errorf("%s: from %s to %s on %s: %v", name, tt.from, tt.to, tt.at, got)
			}
		}
	}
}

// A date is the site's day wherever it is written: what a search found is what
// is exported and held.
func TestDatesAreOfTheSite(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer})
	s.Zone = zone
	s.Now = func() time.Time { return time.Date(2026, 7, 1, 2, 0, 0, 0, time.UTC) } // the evening before, there
	asked := map[string]*query.Query{}
	s.Search, s.Produce = catcher{w, asked}, catcher{w, asked}
	for typed, want := range map[string]string{
		"sent:2026-01-01": "sent=2026-01-01T05:00:00Z..2026-01-02T04:59:59Z",
		"received:today":  "received=2026-06-30T04:00:00Z..2026-07-01T03:59:59Z",
	} {
		for route, body := range map[string]string{
			"POST /v1/search": `{"query":"` + typed + `","reason":"r"}`, "POST /v1/holds/place": `{"matter":"M-1","scope":{"query":"` + typed + `"},"reason":"r"}`,
			"POST /v1/export": `{"query":"` + typed + `","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"}`,
		} {
			if status, answer := w.ask(s, route, body); status != http.StatusOK {
				t.Errorf("%s of %s: %d %s", route, typed, status, answer)
			}
		}
		placed := w.vault.scopes[len(w.vault.scopes)-1]
		if s, p := asked["search"].String(), asked["produce"].String(); s != want || p != s || placed.Query != s || placed.Language != query.Language {
			t.Errorf("%s: searched %s, produced %s, held %s", typed, s, p, placed.Query)
		}
	}
}
