package export

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
)

// A producer makes one production. It goes over the seqs once for the records,
// once for the proofs, and once more for the annex if anything was excluded;
// what it keeps grows with the directory entries that the records name, not
// with the records.
type producer struct {
	log     Log
	req     *Request
	sink    Sink
	known   *known
	created time.Time
	key     ed25519.PublicKey // identity key
	id      *proof.Identity
	signed  []byte // checkpoint
	point   proof.Checkpoint
	done    uint64 // entries written, over both passes

	produced  uint64
	rows      uint64
	withheld  map[string]uint64 // by kind
	excluded  map[string]uint64 // by reason
	usrs      map[string]bool   // who sent or got what was written
	files     []File            // as listed
	annexHash string
}

// Produce writes a production of the entries in req to sink. A production is
// whole once manifest.json is; after an error what is there is to be deleted.
func Produce(ctx context.Context, src Source, req Request, sink Sink) (*Summary, error) {
	p := &producer{
		log: src.Log, req: &req, sink: sink, created: clock(),
		withheld: map[string]uint64{}, excluded: map[string]uint64{}, usrs: map[string]bool{},
	}
	if err := req.check(src.Log.Size()); err != nil {
		return nil, err
	}
	if err := p.anchor(ctx); err != nil {
		return nil, err
	}
	p.known = newKnown(ctx, src, req.At, p.id.ArchiveID)
	for _, step := range []func(context.Context) error{p.writeRecords, p.writeProofs, p.writeCustody, p.writeAnnex, p.writeSums} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return p.writeManifest(ctx)
}

// anchor takes the checkpoint that everything is proven against.
func (p *producer) anchor(ctx context.Context) error {
	var err error
	if p.id, err = proof.ParseIdentity(p.log.IdentityJSON()); err != nil {
		return err
	}
	if p.key, err = p.id.Key(); err != nil {
		return err
	}
	if !p.key.Equal(p.log.IdentitySigner().Public()) {
		return fmt.Errorf("%w: the archive's identity key is not the one in its identity.json", ErrRequest)
	}
	verifier, err := p.id.LogVerifier()
	if err != nil {
		return err
	}
	if p.signed, err = p.log.Checkpoint(ctx); err != nil {
		return fmt.Errorf("checkpoint for the production: %w", err)
	}
	if p.point, err = proof.OpenCheckpoint(p.signed, verifier); err != nil {
		return err
	}
	if p.point.Size < p.req.At {
		return fmt.Errorf("%w: the checkpoint covers %d of %d entries", ErrRequest, p.point.Size, p.req.At)
	}
	return nil
}

// An item is one seq of the request with what becomes of it.
type item struct {
	rec    archive.Record
	row    Row
	device uint64 // of a message: the seq of its sender's device.add entry
	line   []byte // of records.jsonl; nil if the entry has no row
	reason string // why its data is not produced; "" if it is
}

// each decides on every seq of the request in order. The same log gives the
// same items each time.
func (p *producer) each(ctx context.Context, visit func(*item) error) error {
	next := p.req.First
	for seq, err := range p.req.Seqs {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if seq < next || seq > p.req.Last {
			return fmt.Errorf("%w: seq %d is out of order, repeated, or outside the range examined", ErrRequest, seq)
		}
		next = seq + 1
		it, err := p.decide(ctx, seq)
		if err != nil {
			return err
		}
		if err := visit(it); err != nil {
			return err
		}
	}
	return nil
}

// decide reads one entry and says whether and how it is produced.
func (p *producer) decide(ctx context.Context, seq uint64) (*item, error) {
	rec, err := p.log.Record(ctx, seq)
	switch {
	case errors.Is(err, archive.ErrDisposed):
		return p.exclude(ctx, seq, ReasonDisposed)
	case errors.Is(err, archive.ErrNoBody):
		return p.exclude(ctx, seq, ReasonNoBody)
	case errors.Is(err, archive.ErrDamaged):
		return p.exclude(ctx, seq, ReasonDamaged)
	case err != nil:
		return nil, fmt.Errorf("read entry %d: %w", seq, err)
	}
	it := &item{rec: rec}
	if !outward(rec.Leaf.Kind) {
		it.reason = ReasonInternal
		return it, nil
	}
	p.known.err = nil
	if it.row, err = RowOf(rec, p.known); err == nil && rec.Leaf.Kind == proof.KindMessage {
		it.device = p.known.device(it.row.Device, rec.Leaf)
	}
	if err = errors.Join(err, p.known.err); err == nil {
		it.line, err = it.row.line()
	}
	switch {
	case errors.Is(err, errUnreadable):
		it.line, it.reason = nil, ReasonUnreadable
	case errors.Is(err, errNoEvidence):
		it.line, it.reason = nil, ReasonEvidence
	case errors.Is(err, errTooLarge):
		it.line, it.reason = nil, ReasonTooLarge
	case err != nil:
		return nil, err
	case it.row.Withheld != "":
		it.reason = it.row.Withheld
	}
	return it, nil
}

// exclude makes the item of an entry that cannot be read: its leaf still says
// of what kind it is.
func (p *producer) exclude(ctx context.Context, seq uint64, reason string) (*item, error) {
	for leaf, err := range p.log.Scan(ctx, seq, seq+1) {
		if err != nil {
			return nil, fmt.Errorf("read leaf %d: %w", seq, err)
		}
		return &item{rec: archive.Record{Leaf: leaf}, reason: reason}, nil
	}
	return nil, fmt.Errorf("read leaf %d: %w", seq, archive.ErrNotFound)
}

// outward reports whether entries of kind k may leave the house: what the
// relay sent and what became of it. Entries about the archive's own running
// and about who looked at what are work product.
func outward(k proof.Kind) bool {
	return k.FromRelay() || k == proof.KindBlob || k == proof.KindEpoch
}

func (p *producer) writeRecords(ctx context.Context) error {
	f, err := writeFile(p.sink, fileRecords, func(w *fileWriter) (uint64, error) {
		err := p.each(ctx, func(it *item) error {
			if it.reason == "" {
				p.produced++
			} else {
				p.withheld[it.rec.Leaf.Kind.String()]++
				p.excluded[it.reason]++
			}
			p.step()
			if it.line == nil {
				return nil
			}
			p.rows++
			if it.row.From != nil {
				p.usrs[it.row.From.Usr] = true
			}
			for _, to := range it.row.To {
				p.usrs[to.Usr] = true
			}
			_, err := w.Write(append(it.line, '\n'))
			return err
		})
		return p.rows, err
	})
	p.files = append(p.files, f)
	return err
}

func (p *producer) step() {
	p.done++
	if p.req.Progress != nil {
		p.req.Progress(p.done, max(2*p.req.Total, p.done))
	}
}

// writeSums writes the checksums of what is listed so far, as sha256sum does.
func (p *producer) writeSums(context.Context) error {
	f, err := writeBytes(p.sink, fileSums, sums(p.files))
	p.files = append(p.files, f)
	return err
}

func sums(files []File) []byte {
	var b []byte
	for _, f := range files {
		b = fmt.Appendf(b, "%s  %s\n", f.SHA256, f.Path)
	}
	return b
}

// writeManifest signs and writes the manifest. The signature comes first: were
// we to crash between the two, there is no manifest.json and hence no
// production.
func (p *producer) writeManifest(ctx context.Context) (*Summary, error) {
	m := Manifest{
		V: Version, Format: "jsonl", Origin: p.id.Origin, Tool: p.req.Tool, Created: envelope.FormatTime(p.created),
		Checkpoint: string(p.signed), At: p.req.At, First: p.req.First, Last: p.req.Last, Through: p.req.Through, Scoped: len(p.req.Scope) > 0,
		Counts: Counts{Produced: p.produced, Matched: p.produced, Withheld: p.withheld}, Files: p.files, AnnexHash: p.annexHash,
	}
	for _, n := range p.withheld {
		m.Counts.Matched += n
	}
	for leaf, err := range p.log.Scan(ctx, p.req.First, p.req.Last+1) {
		if err != nil {
			return nil, fmt.Errorf("count the quarantined: %w", err)
		}
		if leaf.Kind == proof.KindQuarantine {
			m.Counts.Quarantined++
		}
	}
	b, err := marshalManifest(m)
	if err != nil {
		return nil, err
	}
	sig, err := signDetached(typManifest, p.log.IdentitySigner(), b)
	if err != nil {
		return nil, fmt.Errorf("sign the manifest: %w", err)
	}
	if _, err := writeBytes(p.sink, fileSignature, sig); err != nil {
		return nil, err
	}
	if _, err := writeBytes(p.sink, fileManifest, b); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(b)
	return &Summary{Manifest: m, Excluded: p.excluded, Digest: hex.EncodeToString(digest[:]), Usrs: slices.Sorted(maps.Keys(p.usrs))}, nil
}
