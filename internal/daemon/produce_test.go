package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/docket"
	"holdfast/archive/query"
	"holdfast/internal/api"
	"holdfast/internal/role"
)

// producing are the parts over what was said in a ward, without the daemon
// around them.
func producing(t *testing.T, said string) *parts {
	w := newWard(t)
	w.start()
	path := w.path("said.jsonl")
	if err := os.WriteFile(path, []byte(said), 0o600); err != nil {
		t.Fatal(err)
	}
	w.loadFile(path)
	w.acked()
	w.stop()
	master, err := ReadMaster(w.path("cred"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), w.config.Data, archive.Options{Master: master})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newParts(t.Context(), a, Options{Config: w.config, Logger: slog.New(slog.NewTextHandler(w.logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(p.index.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// shelf takes a production's files into memory; it fails at the file fail.
type shelf struct {
	files map[string]*bytes.Buffer
	fail  string
	err   error
}

func (s *shelf) Create(name string) (io.WriteCloser, error) {
	if s.fail != "" && strings.Contains(name, s.fail) {
		return nil, s.err
	}
	b := &bytes.Buffer{}
	s.files[name] = b
	return nopCloser{b}, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// asked is a production of what a query finds.
func (p *parts) asked(t *testing.T, text string) api.Production {
	t.Helper()
	q, err := query.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return api.Production{
		Query: q, Typed: text, Asked: &api.ExportRequest{Query: text, Reason: "r", As: api.FormatJSONL, Recipient: "court", Purpose: "subpoena"}, Digest: strings.Repeat("ab", 32),
		At: p.archive.Size(), Scope: role.Scope{All: true}, Principal: role.Principal{Name: "Ruth", Person: "p-1"}, Reason: "r",
		Begin: func(api.Begun) {}, Progress: func(uint64, uint64) {},
	}
}

const aboutPatients = `{"user":"ann","name":"Ann Adams"}
{"user":"bob","name":"Bob Brown"}
{"user":"cyd","name":"Cyd Cole"}
{"conv":"c1","kind":"group","name":"Ward 3","members":["ann","bob","cyd"]}
{"id":"m1","time":"2026-03-02T07:00:00.000Z","from":"ann","in":"c1","to":["bob"],"text":"potassium first","subject":{"mrn":"MRN-7"}}
{"id":"m2","time":"2026-03-02T07:01:00.000Z","from":"ann","in":"c1","to":["bob"],"text":"chlorine","subject":{"mrn":"MRN-8"}}
{"id":"r1","time":"2026-03-02T07:02:00.000Z","from":"cyd","in":"c1","to":["bob"],"typ":"receipt","ref":"m1","status":"read"}
{"id":"e1","time":"2026-03-02T07:05:00.000Z","from":"ann","in":"c1","to":["bob"],"typ":"edit","ref":"m1","text":"sodium, I meant"}
`

// However a production ends of which files were handed out, the accounting of
// disclosures tells of it.
func TestWhatWasHandedOutIsAccountedFor(t *testing.T) {
	p := producing(t, aboutPatients)
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		fail    string
		cut     bool
		partial bool
		state   string
	}{
		"whole":                 {"", false, false, docket.StateMade},
		"failed at its last":    {"manifest", false, true, docket.StateFailed},
		"cut off at its last":   {"manifest", true, true, docket.StateUnfinished},
		"cut off when complete": {"", true, true, docket.StateUnfinished},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		req := p.asked(t, "potassium")
		number := uint64(0)
		req.Begin = func(b api.Begun) { number = b.Production }
		s := &shelf{files: map[string]*bytes.Buffer{}, fail: tt.fail, err: broken}
		var sink api.Sink = s
		if tt.cut {
			sink = hangingUp{s, cancel}
		}
		_, err := p.Produce(ctx, req, sink)
		cancel()
		if (err != nil) != tt.partial || len(s.files) == 0 || number == 0 {
			t.Fatalf("%s: %v, %d files", name, err, len(s.files))
		}
		if made, ok := p.docket.Production(number); !ok || made.State != tt.state {
			t.Errorf("%s: %+v", name, made)
		}
		for mrn, disclosed := range map[string]bool{"MRN-7": true, "MRN-8": false} {
			account, err := p.docket.Disclosures(t.Context(), docket.Accounting{MRN: mrn})
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(account.Disclosures, func(d docket.Disclosure) bool { return d.Production == number })
			if (i >= 0) != disclosed || i >= 0 && account.Disclosures[i].Partial != tt.partial {
				t.Errorf("%s: %s: %+v", name, mrn, account)
			}
		}
	}
}

// hangingUp is a client that has all and hangs up before the end is in the log.
type hangingUp struct {
	*shelf
	hangUp func()
}

func (h hangingUp) Create(name string) (io.WriteCloser, error) {
	w, err := h.shelf.Create(name)
	if strings.Contains(name, "manifest") {
		h.hangUp()
	}
	return w, err
}

// Two who go on with one production do not end it for each other.
func TestProductionIsMadeOnceAtATime(t *testing.T) {
	p := producing(t, aboutPatients)
	req := p.asked(t, "potassium")
	number := uint64(0)
	req.Begin = func(b api.Begun) { number = b.Production }
	ctx, cancel := context.WithCancel(t.Context())
	s := &shelf{files: map[string]*bytes.Buffer{}}
	if _, err := p.Produce(ctx, req, hangingUp{s, cancel}); err == nil {
		t.Fatal("it was not cut off")
	}
	asked := *req.Asked
	asked.Resume = &api.Resume{Production: number}
	req.Asked = &asked
	var second error
	req.Begin = func(api.Begun) {
		again := req
		again.Begin = func(api.Begun) { t.Error("it began twice") }
		_, second = p.Produce(t.Context(), again, &shelf{files: map[string]*bytes.Buffer{}})
	}
	if _, err := p.Produce(t.Context(), req, &shelf{files: map[string]*bytes.Buffer{}}); err != nil || second == nil {
		t.Errorf("gone on with: %v; beside it: %v", err, second)
	}
}

// A narrowed role gets with a message what hangs at it and is theirs to read.
func TestScopedProductionsFamily(t *testing.T) {
	p := producing(t, aboutPatients)
	everything, err := query.Parse("received>=1900-01-01")
	if err != nil {
		t.Fatal(err)
	}
	for name, scoped := range map[string]bool{"scoped": true, "unscoped": false} {
		req := p.asked(t, "potassium")
		if scoped {
			req.Within = everything.Within([]query.Stay{{Usrs: []string{"ann"}, From: time.Unix(0, 0)}})
			req.Query = req.Query.Within([]query.Stay{{Usrs: []string{"ann"}, From: time.Unix(0, 0)}})
		}
		s := &shelf{files: map[string]*bytes.Buffer{}}
		made, err := p.Produce(t.Context(), req, s)
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, b := range s.files {
			all += b.String()
		}
		// The receipt goes from cyd to bob: a search of ann's messages shows that there is one, not whose.
		if !strings.Contains(all, "sodium") || slices.Contains(made.Custodians, "cyd") == scoped {
			t.Errorf("%s: %+v", name, made)
		}
	}
}
