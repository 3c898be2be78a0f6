package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"holdfast/archive"
	"holdfast/archive/docket"
	"holdfast/archive/export"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// withholding is what is kept back from a production by its tags: the tagged
// entries, and all that is of one family with them. A version says what its
// message says.
type withholding struct {
	by   map[uint64]docket.Withheld
	seqs []uint64 // ascending
}

func (w withholding) why(seq uint64) (export.Withheld, bool) {
	by, ok := w.by[seq]
	return export.Withheld{Tag: string(by.Tag), Basis: by.Basis, Description: by.Description, By: by.By}, ok
}

// withheld finds what the production keeps back.
func (w *work) withheld(ctx context.Context) (withholding, error) {
	out := withholding{by: map[uint64]docket.Withheld{}}
	var include []docket.Tag
	for _, tag := range w.req.Asked.Include {
		include = append(include, docket.Tag(tag))
	}
	for _, seq := range w.docket.AllTagged() {
		if seq >= w.at {
			continue
		}
		by, ok := w.docket.Withheld(w.req.Asked.Matter, seq, include...)
		if !ok {
			continue
		}
		out.by[seq] = by
		family, err := w.relatives(ctx, seq)
		if err != nil {
			return out, err
		}
		for _, of := range family {
			if _, tagged := out.by[of]; !tagged {
				out.by[of] = by
			}
		}
	}
	out.seqs = slices.AppendSeq([]uint64{}, maps.Keys(out.by))
	slices.Sort(out.seqs)
	return out, nil
}

// relatives returns everything that is of one family with an entry: the message
// that it goes back to, its versions, and all that hangs at any of them.
func (w *work) relatives(ctx context.Context, seq uint64) ([]uint64, error) {
	first, passed := seq, map[uint64]bool{seq: true}
	for range maxVersions {
		m, err := w.read(ctx, first)
		if err != nil || m == nil || m.payload.Ref == nil {
			if err != nil {
				return nil, err
			}
			break
		}
		ref, ok := digestOf(m.payload.Ref)
		if !ok {
			break
		}
		of, found, err := kin{w.parts}.Target(ctx, ref)
		switch {
		case err != nil:
			return nil, err
		case !found && w.index.Lag() > maxTail:
			return nil, errIncomplete // it may be there, and be what must not leave
		}
		if !found || passed[of] {
			break
		}
		first, passed[of] = of, true // before it or behind: what refers may have come first
	}
	all, err := w.below(ctx, first)
	return append(all, first), err
}

// maxVersions bounds how far an entry is followed back to the message that it
// goes back to.
const maxVersions = 1000

// below returns what hangs at an entry, and at that, and so on, ascending.
func (w *work) below(ctx context.Context, seq uint64) ([]uint64, error) {
	seen := map[uint64]bool{seq: true}
	for next := []uint64{seq}; len(next) > 0; {
		var digests [][32]byte
		for _, at := range next {
			m, err := w.read(ctx, at)
			if err != nil {
				return nil, err
			}
			if m != nil {
				digests = append(digests, m.digest)
			}
		}
		found, err := w.index.Followers(ctx, digests, w.at)
		if err != nil {
			return nil, searchProblem(err)
		}
		next = nil
		for _, seqs := range found {
			for _, at := range seqs {
				if !seen[at] {
					seen[at] = true
					next = append(next, at)
				}
			}
		}
	}
	delete(seen, seq)
	return slices.Sorted(maps.Keys(seen)), nil
}

// read reads a message; nil when it is none, or cannot be read any more.
func (w *work) read(ctx context.Context, seq uint64) (*message, error) {
	leaf, err := w.archive.Leaf(seq)
	if err != nil || leaf.Kind != proof.KindMessage {
		return nil, err
	}
	m, err := w.message(ctx, leaf)
	if lost(err) {
		return nil, nil
	}
	return m, err
}

// lost reports whether an entry cannot be read, and never will be.
func lost(err error) bool {
	return errors.Is(err, archive.ErrDisposed) || errors.Is(err, archive.ErrNoBody) || errors.Is(err, archive.ErrDamaged)
}

func digestOf(ref *envelope.Ref) (digest [32]byte, ok bool) {
	b, err := jws.DecodeB64(ref.Digest)
	if err != nil || len(b) != len(digest) {
		return digest, false
	}
	return [32]byte(b), true
}

// family is what hangs at a message itself, for the production of it, and is in
// the scope of who produces.
func (w *work) family(ctx context.Context, rec archive.Record) ([]uint64, error) {
	if rec.Leaf.Kind != proof.KindMessage {
		return nil, nil
	}
	m, err := w.read(ctx, rec.Leaf.Seq)
	if err != nil || m == nil {
		return nil, err
	}
	w.note(m)
	found, err := w.index.Followers(ctx, [][32]byte{m.digest}, w.at)
	if err != nil {
		return nil, searchProblem(err)
	}
	return w.inScope(ctx, found[m.digest])
}

// note remembers whom a message that is about to be produced concerns, for the
// accounting of disclosures should the production be cut off.
func (w *work) note(m *message) {
	if _, withheld := w.apart.by[m.leaf.Seq]; !withheld && m.payload.Subject != nil && m.payload.Subject.MRN != "" {
		w.mrns[m.payload.Subject.MRN] = true
	}
}

// inScope returns the entries of which whoever produces may know.
func (w *work) inScope(ctx context.Context, seqs []uint64) ([]uint64, error) {
	if w.req.Within == nil {
		return seqs, nil
	}
	var out []uint64
	for _, seq := range seqs {
		m, err := w.read(ctx, seq)
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue // whose it was nobody can say any more
		}
		var to []string
		for _, t := range m.payload.To {
			to = append(to, t.Usr)
		}
		if w.req.MayHang(m.payload.Usr, to, m.leaf.ReceivedTime()) {
			out = append(out, seq)
		}
	}
	return out, nil
}

// redactions are what the export asked to have covered.
func (w *work) redactions() []export.Redaction {
	var out []export.Redaction
	for _, r := range w.req.Asked.Redact {
		var pattern *regexp.Regexp
		if r.Pattern != "" {
			pattern = regexp.MustCompile(r.Pattern) // the API has read it
		}
		if len(r.Seqs) == 0 {
			out = append(out, export.Redaction{Pattern: pattern, Reason: r.Reason})
		}
		for _, seq := range r.Seqs {
			out = append(out, export.Redaction{Seq: &seq, Pattern: pattern, Reason: r.Reason})
		}
	}
	return out
}

// custodians returns the names that the people of relay users had as of the
// production: the same on any later day.
func (w *work) custodians(usrs []string) []string {
	names := map[string]bool{}
	leaf, err := w.archive.Leaf(w.at - 1)
	if err != nil {
		return nil
	}
	for _, usr := range usrs {
		g, ok := w.history.PersonOf(usr)
		if !ok {
			continue
		}
		if s, ok := w.history.Person(g, leaf.ReceivedTime()); ok {
			names[nameOf(s.Person)] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// holds returns what names this matter's holds that hold an entry.
func (w *work) holds(ctx context.Context) (func(seq uint64) []string, error) {
	if w.req.Asked.Matter == "" {
		return nil, nil
	}
	var names []string
	var sets []interface{ Contains(uint64) bool }
	for _, h := range w.book.Holds() {
		if !strings.EqualFold(h.Matter, w.req.Asked.Matter) || h.Seq >= w.at {
			continue
		}
		set, _, err := w.book.HeldSet(ctx, []uint64{h.Seq})
		if err != nil {
			return nil, err
		}
		names, sets = append(names, fmt.Sprintf("%s/%d", h.Matter, h.Seq)), append(sets, set)
	}
	return func(seq uint64) []string {
		var by []string
		for i, set := range sets {
			if set.Contains(seq) {
				by = append(by, names[i])
			}
		}
		return by
	}, nil
}

// attachment opens an attachment's content.
func (w *work) attachment(_ context.Context, a *envelope.Attachment) (io.ReadCloser, error) {
	s, err := newSealed(a)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", archive.ErrDamaged, err)
	}
	return w.archive.OpenAttachment(a.BID, s.sum, s.key)
}

// fileText returns what could be read of an attachment.
func (w *work) fileText(a *envelope.Attachment) string { return w.texts.File(a).Text }
