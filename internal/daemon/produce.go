package daemon

import (
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"math"
	"net/http"
	"slices"
	"time"

	"holdfast/archive/docket"
	"holdfast/archive/export"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/render"
	"holdfast/archive/search"
	"holdfast/internal/api"
	"holdfast/internal/role"
)

// Produce implements api.Producer.
func (p *parts) Produce(ctx context.Context, req api.Production, sink api.Sink) (*api.Produced, error) {
	w := &work{parts: p, req: &req, at: req.At, mrns: map[string]bool{}}
	if w.at == 0 {
		w.at = p.archive.Size()
	}
	if err := w.find(ctx); err != nil {
		return nil, err
	}
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	if _, runs := p.making.LoadOrStore(w.seq, true); runs {
		return nil, errNotResumed // the end of one would be taken for the end of both
	}
	defer p.making.Delete(w.seq)
	req.Begin(api.Begun{Production: w.seq, At: w.at})
	summary, err := w.produce(ctx, handing{sink, w})
	if err == nil {
		err = w.complete(ctx, summary)
	}
	if err != nil {
		return nil, w.end(ctx, err)
	}
	c := summary.Manifest.Counts
	made := &api.Produced{Matched: c.Matched, Produced: c.Produced, Withheld: c.Matched - c.Produced, Redacted: summary.Redacted, Through: w.found.ThroughSeq - 1, Quarantined: c.Quarantined,
		Custodians: summary.Usrs, Production: w.seq, Near: summary.Near}
	if b := summary.Bates; b != nil && b.First != "" {
		made.Bates = b.First + " to " + b.Last
	}
	return made, nil
}

// work is one production on its way.
type work struct {
	*parts
	req   *api.Production
	at    uint64
	found search.Result
	seqs  []uint64 // of what matched, ascending

	seq     uint64        // of the entry that began it: its number
	bates   *docket.Range // nil: nothing is numbered
	anchor  []byte        // the checkpoint that it is proven against
	created time.Time
	apart   withholding
	near    []export.Near   // of a patient's package, ascending by seq
	handed  bool            // some of it left the house
	mrns    map[string]bool // of the messages that it has so far, or was about to have
}

// handing is a sink that notes when the first file is handed out.
type handing struct {
	api.Sink
	w *work
}

func (h handing) Create(name string) (io.WriteCloser, error) {
	h.w.handed = true
	return h.Sink.Create(name)
}

// find searches for what is to be produced.
func (w *work) find(ctx context.Context) (err error) {
	if w.found, err = w.index.Search(ctx, w.req.Query, search.SearchOptions{Limit: math.MaxInt, AsOf: w.at}); err != nil {
		return searchProblem(err)
	}
	if w.found.Unindexed > 0 {
		return errIncomplete
	}
	if err := w.state.CatchUp(ctx, w.at); err != nil {
		return err
	}
	for _, hit := range w.found.Hits {
		w.seqs = append(w.seqs, hit.Seq)
	}
	w.found.Hits = nil
	slices.Sort(w.seqs)
	if w.apart, err = w.withheld(ctx); err != nil {
		return err
	}
	return w.seekNear(ctx)
}

// begin puts into the log that the production is being made, or finds the entry
// that did.
func (w *work) begin(ctx context.Context) error {
	if r := w.req.Asked.Resume; r != nil {
		return w.resume(r.Production)
	}
	if err := w.number(ctx); err != nil {
		return err
	}
	var err error
	if w.anchor, err = w.archive.Checkpoint(ctx); err != nil {
		return err
	}
	asked := w.req.Asked
	n := docket.NewProduction{
		Matter: asked.Matter, Query: w.req.Query.String(), Language: query.Language, Format: asked.As, At: w.at,
		Recipient: docket.Recipient{Name: asked.Recipient}, Purpose: docket.Purpose{Category: docket.Category(asked.Purpose), Text: asked.About},
		Authority: asked.Authority, Access: w.req.Access, Digest: w.req.Digest, Anchor: string(w.anchor),
	}
	for _, tag := range asked.Include {
		n.Include = append(n.Include, docket.Tag(tag))
	}
	if w.bates != nil {
		n.Bates = w.bates.Seq
	}
	if w.seq, err = w.docket.Begin(ctx, w.req.Principal, n); err != nil {
		return err
	}
	return w.dated()
}

// dated takes the time of the entry that began the production for the time at
// which it was made.
func (w *work) dated() error {
	leaf, err := w.archive.Leaf(w.seq)
	w.created = leaf.ReceivedTime()
	return err
}

// number reserves Bates numbers, as many as the production will take.
func (w *work) number(ctx context.Context) error {
	if w.req.Asked.Bates == "" {
		return nil
	}
	r, err := w.request(ctx)
	if err != nil {
		return err
	}
	count, err := export.Numbers(ctx, w.source(), r)
	if err != nil {
		return err
	}
	given, err := w.docket.Reserve(ctx, w.req.Principal, docket.Numbering{Matter: w.req.Asked.Matter, Prefix: w.req.Asked.Bates, Count: max(count, 1)})
	if err != nil {
		return err
	}
	w.bates = &given
	return nil
}

// resume takes up a production that was cut off: by the one who asked for it,
// for exactly what was asked.
func (w *work) resume(seq uint64) error {
	made, ok := w.docket.Production(seq)
	if !ok || made.State != docket.StateUnfinished || made.By.ID() != w.req.Principal.ID() || made.Digest != w.req.Digest || made.At != w.at {
		return errNotResumed
	}
	w.seq, w.bates, w.anchor = seq, made.Bates, []byte(made.Anchor)
	return w.dated()
}

// errNotResumed refuses to go on with what was not begun like this.
var errNotResumed = &api.Problem{
	Title: "no export was begun like this and is still open", Status: http.StatusConflict, Code: api.CodeState, Exit: api.ExitUsage,
	Hint: "resume with exactly the command that was cut off; if that is not it, remove the partial folder and export anew",
}

// source is where the production comes from.
func (w *work) source() export.Source { return export.Source{Log: w.archive, Places: w.state} }

// produce makes the files.
func (w *work) produce(ctx context.Context, sink api.Sink) (*export.Summary, error) {
	r, err := w.request(ctx)
	if err != nil {
		return nil, err
	}
	return export.Produce(ctx, w.source(), r, sink)
}

// request says what to produce, and how.
func (w *work) request(ctx context.Context) (export.Request, error) {
	asked := w.req.Asked
	r := export.Request{
		Seqs: func(yield func(uint64, error) bool) {
			for _, seq := range w.seqs {
				if !yield(seq, nil) {
					return
				}
			}
		},
		Exclusions: w.unseen(w.at, w.seqs),
		At:         w.at, Through: w.found.ThroughSeq - 1, Total: w.found.Total,
		Principal: w.req.Principal.String(), Tool: "holdfastd " + w.version,
		Query: w.req.Typed, Parsed: w.req.Query.String(), Matter: asked.Matter, Reason: asked.Reason,
		Names: namesOf(w.req.People), Scope: scopeOf(w.req.Scope), Progress: w.req.Progress,
		Format: asked.As, Unit: render.UnitKind(asked.Unit), Zone: w.zone, Legend: asked.Legend,
		Split: export.Split{Bytes: asked.Split.Bytes, Custodian: asked.Split.Custodian}, Recipient: asked.Recipient, Purpose: asked.Purpose,
		Anchor: w.anchor, Created: w.created,
		Family: w.family, Withhold: w.apart.why, Tagged: w.apart.seqs, Redact: w.redactions(),
		Custodians: w.custodians, Attachment: w.attachment, FileText: w.fileText,
	}
	r.Bates.Prefix = asked.Bates
	if w.bates != nil {
		r.Bates = export.Bates{Prefix: w.bates.Prefix, Start: w.bates.First, Digits: w.bates.Digits}
	}
	var err error
	r.Holds, err = w.holds(ctx)
	w.patient(&r)
	return r, err
}

// end notes that the production came to nothing, and first what of it was handed
// out all the same. One that was cut off stays open, to be gone on with. A crash
// before the first leaves a production of which the accounting says that nothing
// is known.
func (w *work) end(ctx context.Context, err error) error {
	if w.handed {
		if lost := w.docket.Disclose(context.WithoutCancel(ctx), w.seq, slices.Sorted(maps.Keys(w.mrns))); lost != nil {
			return errors.Join(err, lost) // it stays unfinished: failed would say that nothing else was handed out
		}
	}
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, w.docket.Fail(ctx, w.seq, api.CodeOf(err)))
}

// complete puts into the log what was produced, for the accounting of
// disclosures and for asking it back.
func (w *work) complete(ctx context.Context, s *export.Summary) error {
	c := s.Manifest.Counts
	made := docket.Made{Manifest: s.Digest, Files: s.Files, Bytes: s.Bytes, Matched: c.Matched, Produced: c.Produced, Withheld: c.Matched - c.Produced, Redacted: s.Redacted}
	if n := len(s.Spans); n > 0 && w.bates != nil {
		made.First, made.Last = s.Spans[0].Bates, s.Spans[n-1].Bates+s.Spans[n-1].Count-1
	}
	return w.docket.Complete(ctx, w.seq, made, rowsOf(s.Spans), s.MRNs)
}

// rowsOf tells entry by entry which numbers it has.
func rowsOf(spans []export.Span) iter.Seq[docket.Row] {
	return func(yield func(docket.Row) bool) {
		for _, s := range spans {
			for i := range s.Entries {
				row := docket.Row{Seqs: []uint64{s.Seq + i}}
				switch {
				case s.Count == 0:
				case s.Entries == 1:
					row.First, row.Last = s.Bates, s.Bates+s.Count-1
				default:
					row.First, row.Last = s.Bates+i, s.Bates+i
				}
				if !yield(row) {
					return
				}
			}
		}
	}
}

func namesOf(people []api.Named) []export.Name {
	var out []export.Name
	for _, n := range people {
		name := export.Name{Value: n.Value, Usrs: n.Usrs}
		for _, p := range n.People {
			name.People = append(name.People, p.GUID)
		}
		out = append(out, name)
	}
	return out
}

func scopeOf(s role.Scope) []string {
	var out []string
	for _, g := range s.Of {
		text := "department " + g.Department
		switch {
		case g.Department == "":
			text = g.OU
		case g.OU != "":
			text += " below " + g.OU
		}
		out = append(out, text)
	}
	return out
}

// unseen yields, as exclusions of a production, the messages that could not be
// read when they were to be indexed: whether they match nobody can say.
func (p *parts) unseen(at uint64, hits []uint64) iter.Seq2[export.Exclusion, error] {
	return func(yield func(export.Exclusion, error) bool) {
		for _, seq := range p.damage.below(at) {
			if _, hit := slices.BinarySearch(hits, seq); hit {
				continue // it was mended, and the index built anew
			}
			if !yield(export.Exclusion{Seq: seq, Kind: proof.KindMessage, Reason: export.ReasonDamaged}, nil) {
				return
			}
		}
	}
}

// errIncomplete refuses a production of which it is known that entries are
// missing from it.
var errIncomplete = &api.Problem{
	Title: "the production would not be complete", Status: 503, Code: api.CodeNotReady, Exit: api.ExitTemporary,
	Detail: "entries in its range could not be searched",
	Hint:   "wait until `holdfast status` shows the index working and caught up",
}
