package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
)

// brokenLog is a log of which some entries read otherwise.
type brokenLog struct {
	*archive.Archive
	fail   map[uint64]error
	change map[uint64]func(r *archive.Record)
	reads  int
}

func (b *brokenLog) Record(ctx context.Context, seq uint64) (archive.Record, error) {
	b.reads++
	if err := b.fail[seq]; err != nil {
		return archive.Record{}, err
	}
	r, err := b.Archive.Record(ctx, seq)
	if f := b.change[seq]; f != nil {
		f(&r)
	}
	return r, err
}

func (b *brokenLog) RecordOf(ctx context.Context, leaf proof.Leaf) (archive.Record, error) {
	return b.Record(ctx, leaf.Seq)
}

func exclusionsOf(t *testing.T, f fs.FS) []Exclusion {
	t.Helper()
	b, err := fs.ReadFile(f, fileAnnex)
	must(t, err)
	var annex struct{ Exclusions []Exclusion }
	must(t, json.Unmarshal(b, &annex))
	return annex.Exclusions
}

func TestEveryExclusionIsNamed(t *testing.T) {
	w := furnish(t)
	huge := w.send("anna", strings.Repeat("\u202e", 140_000), func(p *envelope.Payload) {
		p.Subject = nil
	})
	log := &brokenLog{Archive: w.a, fail: map[uint64]error{
		6: archive.ErrNoBody, 7: &archive.SeqError{Seq: 7, Err: archive.ErrDamaged}, 5: archive.ErrDamaged,
	}, change: map[uint64]func(r *archive.Record){
		8:    func(r *archive.Record) { r.Note = []byte("{") },
		huge: func(r *archive.Record) { r.Body = bytes.Repeat([]byte{'x'}, MaxLine+1) },
		11:   func(r *archive.Record) { r.Body = bytes.Repeat([]byte{'x'}, MaxLine+1) },
		16:   func(r *archive.Record) { r.Body = []byte{0xff} },
	}}
	req := request(all(w.a.Size()))
	req.Exclusions = func(yield func(Exclusion, error) bool) {
		yield(Exclusion{Seq: 3, Kind: proof.KindMessage, Reason: "out-of-role"}, nil)
	}
	sink := newSink()
	s, err := Produce(t.Context(), Source{Log: log, Places: w}, req, sink)
	must(t, err)
	got := exclusionsOf(t, sink.files)
	want := []Exclusion{
		{Seq: 5, Kind: proof.KindDirectory, Reason: ReasonDamaged}, {Seq: 6, Kind: proof.KindMessage, Reason: ReasonNoBody}, {Seq: 7, Kind: proof.KindMessage, Reason: ReasonDamaged},
		{Seq: 8, Kind: proof.KindMessage, Reason: ReasonUnreadable}, {Seq: 10, Kind: proof.KindQuarantine, Reason: ReasonQuarantined}, {Seq: 11, Kind: proof.KindRelay, Reason: ReasonTooLarge},
		{Seq: 14, Kind: proof.KindMessage, Reason: ReasonEvidence}, {Seq: 15, Kind: proof.KindAccess, Reason: ReasonInternal}, {Seq: 16, Kind: proof.KindBlob, Reason: ReasonUnreadable},
		{Seq: huge, Kind: proof.KindMessage, Reason: ReasonUnreadable}, {Seq: 3, Kind: proof.KindMessage, Reason: "out-of-role"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("exclusions:\n got %v\nwant %v", got, want)
	}
	c := s.Manifest.Counts
	if c.Withheld["message"] != 6 || c.Matched != 19 || c.Produced != 8 {
		t.Errorf("counts: %+v", c)
	}
	v, err := Verify(t.Context(), sink.files, VerifyKeys{Log: w.logKey()}, nil)
	must(t, err)
	if !v.OK() || v.Excluded != 10 {
		t.Errorf("%s, %d excluded: %v", v.Result, v.Excluded, v.Findings)
	}
}

// A to of 5,000 people with long names is refused before it is rendered.
func TestARowThatCannotFitIsNotRendered(t *testing.T) {
	row := Row{To: make([]Person, 5000)}
	name := strings.Repeat("x", 60<<10)
	for i := range row.To {
		row.To[i].Name = name
	}
	if n := testing.AllocsPerRun(1, func() {
		if _, err := row.line(); !errors.Is(err, errTooLarge) {
			t.Error(err)
		}
	}); n > 4 {
		t.Errorf("%v allocations for a row that cannot fit", n)
	}
}

func TestRequestsThatCannotBeMade(t *testing.T) {
	w := furnish(t)
	size := w.a.Size()
	for name, change := range map[string]func(r *Request){
		"no seqs":       func(r *Request) { r.Seqs = nil },
		"past the log":  func(r *Request) { r.At = size + 1 },
		"range past at": func(r *Request) { r.At, r.Last = 8, 8 },
		"empty range":   func(r *Request) { r.First, r.Last = 9, 8 },
		"nobody":        func(r *Request) { r.Principal = "" },
		"no reason":     func(r *Request) { r.Reason, r.Matter = "", "" },
		"descending":    func(r *Request) { r.Seqs = these(8, 7) },
		"repeated":      func(r *Request) { r.Seqs = these(7, 7) },
		"before first":  func(r *Request) { r.First, r.Seqs = 7, these(6) },
		"after last":    func(r *Request) { r.Last, r.Seqs = 7, these(8) },
		"odd exclusion": func(r *Request) {
			r.Exclusions = exclusion(Exclusion{Kind: proof.KindMessage, Reason: "Other matter: Smith"})
		},
		"kindless": func(r *Request) { r.Exclusions = exclusion(Exclusion{Reason: "x"}) },
	} {
		req := request(all(size))
		change(&req)
		sink := newSink()
		if _, err := Produce(t.Context(), w.source(), req, sink); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
		if sink.files[fileManifest] != nil {
			t.Errorf("%s: a manifest was written", name)
		}
	}
}

func exclusion(x Exclusion) iter.Seq2[Exclusion, error] {
	return func(yield func(Exclusion, error) bool) { yield(x, nil) }
}

func TestEntriesThatChangeMeanwhile(t *testing.T) {
	w := furnish(t)
	pass := 0
	req := request(func(yield func(uint64, error) bool) {
		pass++
		_ = yield(6, nil) && (pass == 1 || yield(7, nil))
	})
	sink := newSink()
	if _, err := Produce(t.Context(), w.source(), req, sink); !errors.Is(err, ErrChanged) || sink.files[fileManifest] != nil {
		t.Errorf("another seq the second time: %v", err)
	}
	pass = 0
	req = request(func(yield func(uint64, error) bool) {
		pass++
		_ = yield(6, nil) && (pass == 3 || yield(15, nil))
	})
	if _, err := Produce(t.Context(), w.source(), req, newSink()); !errors.Is(err, ErrChanged) {
		t.Errorf("fewer exclusions the third time: %v", err)
	}
	log := &brokenLog{Archive: w.a}
	req = request(all(w.a.Size()))
	req.Progress = func(done, _ uint64) {
		if done == w.a.Size() {
			log.fail = map[uint64]error{13: archive.ErrNoBody}
		}
	}
	if _, err := Produce(t.Context(), Source{Log: log, Places: w}, req, newSink()); !errors.Is(err, ErrChanged) {
		t.Errorf("a body that goes between the passes: %v", err)
	}
}

// Each step of each file fails once: an error, and never a manifest.
func TestASinkThatFails(t *testing.T) {
	w := furnish(t)
	full := errors.New("no space left")
	for _, name := range Names() {
		for _, step := range []string{"create", "write", "close"} {
			sink := newSink()
			sink.fail = func(s, n string) error {
				if s == step && n == name {
					return full
				}
				return nil
			}
			if _, err := Produce(t.Context(), w.source(), request(all(w.a.Size())), sink); !errors.Is(err, full) {
				t.Errorf("%s %s: %v", step, name, err)
			}
			if sink.open != "" {
				t.Errorf("%s %s: %s is left open", step, name, sink.open)
			}
			if name != fileManifest && sink.files[fileManifest] != nil {
				t.Errorf("%s %s: there is a manifest", step, name)
			}
		}
	}
}

func TestReadFailuresAndEndedContexts(t *testing.T) {
	w := furnish(t)
	broken := errors.New("input/output error")
	log := &brokenLog{Archive: w.a, fail: map[uint64]error{7: broken}}
	if _, err := Produce(t.Context(), Source{Log: log, Places: w}, request(all(w.a.Size())), newSink()); !errors.Is(err, broken) {
		t.Errorf("a record that cannot be read: %v", err)
	}
	log.fail = map[uint64]error{2: broken}
	if _, err := Produce(t.Context(), Source{Log: log, Places: w}, request(these(6)), newSink()); !errors.Is(err, broken) {
		t.Errorf("evidence that cannot be read: %v", err)
	}
	seqs := request(func(yield func(uint64, error) bool) { yield(0, broken) })
	if _, err := Produce(t.Context(), w.source(), seqs, newSink()); !errors.Is(err, broken) {
		t.Errorf("seqs that cannot be had: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req := request(all(w.a.Size()))
	req.Progress = func(done, total uint64) {
		if done == 3 {
			cancel()
		}
	}
	if _, err := Produce(ctx, w.source(), req, newSink()); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	_, files := produce(t, w, request(all(w.a.Size())))
	if _, err := Verify(ctx, files, VerifyKeys{Log: w.logKey()}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("verify after its context ended: %v", err)
	}
}

func TestEscaping(t *testing.T) {
	for r := range rune(0x3000) {
		in := fmt.Sprintf("a%cb", r)
		b, err := marshalLine(in)
		must(t, err)
		var out string
		must(t, json.Unmarshal(b, &out))
		if out != in || bytes.ContainsFunc(b, render.Unsafe) {
			t.Errorf("%U: %s", r, b)
		}
	}
}
