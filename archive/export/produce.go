package export

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
)

// A producer makes one production. It goes over the seqs once to render them
// and once for the proofs; before that once where units, custodians or
// redactions want to know what else there is. What it keeps grows with the
// directory entries that the records name, with what is withheld, covered or
// attached, by some sixty bytes a file, and, where units are conversations or
// custodians', by 32 bytes an entry.
type producer struct {
	log     Log
	req     *Request
	sink    Sink
	known   *known
	entries entryReader
	created time.Time
	key     ed25519.PublicKey // identity key
	id      *proof.Identity
	signed  []byte // checkpoint
	point   proof.Checkpoint
	format  render.Format
	lines   bool // the format is JSONL
	unit    render.UnitKind
	zone    *time.Location
	done    uint64 // entries written, over all passes
	passes  uint64

	cover   cover
	crowd   crowd
	planned []planned
	owners  []string // custodians' names, the first of which is nobody's
	day     int32    // of the unit that is being made

	tally
	list      listing
	volumes   []volume
	hashes    map[uint64]rendered   // by ordinal, of units that cannot be rendered again from proofs alone
	attached  map[uint64][]attached // by seq
	rests     map[uint64]struct{}   // evidence
	loose     []loose               // rows without a proof, in order
	privilege []member              // what is withheld by somebody's word
	redacted  []loose               // entries with covered text
	first     [sha256.Size]byte     // of what was rendered, in the first pass
	check     hash.Hash             // likewise, in the pass that is under way
	buf       []byte
	unlisted  map[uint64]struct{} // of JSON lines, what has no proof
	number    uint64              // the next Bates number
	files     []File              // as listed
	annexHash string
	near      uint64 // rows of near.csv
}

// tally counts what becomes of entries.
type tally struct {
	produced    uint64
	rows        uint64
	hanging     uint64
	unproven    uint64
	withheld    map[string]uint64 // by kind
	tagged      map[string]uint64 // by tag
	excluded    map[string]uint64 // by reason
	contents    uint64            // attachments produced
	unavailable uint64            // attachments that were to be there and could not be read
	usrs, mrns  map[string]bool   // of what was written
	spans       []Span
}

// volume is one part of a production that is split.
type volume struct {
	prefix string // of its files' names; "" where it is the only one
	owner  int
	from   uint64 // ordinal of its first unit
}

// rendered is what a format made of a unit.
type rendered struct {
	size uint64
	sum  [sha256.Size]byte
}

// loose is an entry that is written of again, apart from the rest.
type loose struct {
	member
	bates  uint64
	volume int
}

// Produce writes a production of the entries in req to sink. A production is
// whole once manifest.json is; after an error what is there is to be deleted.
func Produce(ctx context.Context, src Source, req Request, sink Sink) (*Summary, error) {
	p, err := prepare(ctx, src, &req)
	if err != nil {
		return nil, err
	}
	p.sink = sink
	return p.run(ctx)
}

// run writes everything, once it is decided on.
func (p *producer) run(ctx context.Context) (*Summary, error) {
	steps := []func(context.Context) error{
		p.writeRendered, p.writeNatives, p.writeProofs, p.writeUnproven, p.writePrivilege, p.writeRedactions, p.writeCustodians,
		p.writeList, p.writeAnnex, p.writeAbout, p.writeCertificate, p.writeCustody, p.writeSums,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return p.writeManifest(ctx)
}

// Numbers returns how many Bates numbers the production would take, so that
// they can be set apart before it is made.
func Numbers(ctx context.Context, src Source, req Request) (uint64, error) {
	if req.Bates.Prefix == "" {
		return 0, nil
	}
	p, err := prepare(ctx, src, &req)
	if err != nil {
		return 0, err
	}
	p.begin()
	begun := p.number
	err = p.eachUnit(ctx, func(*item) {}, func(u *unit) error {
		for _, it := range u.items {
			if err := p.attach(ctx, it); err != nil {
				return err
			}
			p.numbered(it)
		}
		return nil
	})
	return p.number - begun, err
}

// prepare decides on everything that must be known before the first file.
func prepare(ctx context.Context, src Source, req *Request) (*producer, error) {
	p := &producer{
		log: src.Log, req: req, created: clock(), passes: 2,
		tally:  tally{withheld: map[string]uint64{}, tagged: map[string]uint64{}, excluded: map[string]uint64{}, usrs: map[string]bool{}, mrns: map[string]bool{}},
		hashes: map[uint64]rendered{}, attached: map[uint64][]attached{}, rests: map[uint64]struct{}{}, unlisted: map[uint64]struct{}{},
	}
	if err := req.check(src.Log.Size()); err != nil {
		return nil, err
	}
	if !req.Created.IsZero() {
		p.created = req.Created.UTC()
	}
	p.lines, p.unit, p.zone = req.Format == JSONL, req.Unit, req.Zone
	p.format, _ = formatOf(req.Format)
	if err := p.anchor(ctx); err != nil {
		return nil, err
	}
	p.entries.log = src.Log
	p.known = newKnown(ctx, src, req.At, p.id.ArchiveID)
	if err := p.seekCover(ctx); err != nil {
		return nil, err
	}
	return p, p.plan(ctx)
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
	p.signed = p.req.Anchor
	if p.signed == nil {
		if p.signed, err = p.log.Checkpoint(ctx); err != nil {
			return fmt.Errorf("checkpoint for the production: %w", err)
		}
	}
	if p.point, err = proof.OpenCheckpoint(p.signed, verifier); err != nil {
		return err
	}
	if p.point.Size < p.req.At || p.point.Size > p.log.Size() {
		return fmt.Errorf("%w: the checkpoint covers %d of %d entries", ErrRequest, p.point.Size, p.req.At)
	}
	return nil
}

// begin begins a pass over what is rendered.
func (p *producer) begin() { p.check, p.number = sha256.New(), p.req.Bates.Start }

// passed notes that the pass has come to an item of a unit. The second pass has
// to come to the same.
func (p *producer) passed(it *item) {
	if p.lines && !it.proven() {
		return
	}
	p.buf = it.rec.Leaf.AppendTo(p.buf[:0]) // a leaf that was read is well formed
	p.check.Write(p.buf)
	if p.lines {
		return
	}
	fmt.Fprintf(p.check, "%d %q %q %q\n", it.row.Seq, it.row.Unproven, it.row.Withheld, it.row.Bates)
}

// count tells what became of one seq; once for each.
func (p *producer) count(it *item) {
	if p.lines && !it.proven() {
		p.unlisted[it.seq] = struct{}{}
	}
	if it.reason == "" {
		p.produced++
	} else {
		p.withheld[it.rec.Leaf.Kind.String()]++
		if it.withheld == nil {
			p.excluded[it.reason]++
		}
	}
	if it.withheld != nil {
		p.tagged[it.withheld.Tag]++
		p.privilege = append(p.privilege, it.member)
	}
	if it.hangs() {
		p.hanging++
	}
	p.step()
}

// shown remembers what has to be known later of a unit's items.
func (p *producer) shown(u *unit) {
	bates := u.bates
	for _, it := range u.items {
		p.rows++
		if it.row.Redacted {
			p.redacted = append(p.redacted, loose{it.member, bates, u.volume})
		}
		if !it.proven() {
			p.loose = append(p.loose, loose{it.member, bates, u.volume})
		} else {
			if it.device != 0 {
				p.rests[it.device] = struct{}{}
			}
			it.row.eachRest(func(seq uint64) { p.rests[seq] = struct{}{} })
		}
		if it.row.Unproven != "" {
			p.unproven++
		}
		if it.usrs == nil {
			it.usrs = it.row.people()
		}
		for _, usr := range it.usrs {
			p.usrs[usr] = true
		}
		if p.req.Patient != nil && it.reason == "" {
			p.mrns[p.req.Patient.MRN] = true
		}
		if s := it.row.Subject; s != nil && s.MRN != "" {
			p.mrns[s.MRN] = true
		}
		if n := it.numbers(); n > 0 {
			p.span(it.row.Seq, bates, n)
			bates += n
		}
	}
}

// numbers returns how many Bates numbers the item has.
func (it *item) numbers() uint64 {
	if it.row.Bates == "" {
		return 0
	}
	n := uint64(1)
	for _, a := range it.row.Attachments {
		if a.Bates != "" {
			n++
		}
	}
	return n
}

// span notes which numbers an entry has, beside those of the entry before it.
func (p *producer) span(seq, bates, n uint64) {
	if last := len(p.spans) - 1; last >= 0 && n == 1 {
		s := &p.spans[last]
		if s.Count == s.Entries && s.Seq+s.Entries == seq && s.Bates+s.Count == bates {
			s.Entries++
			s.Count++
			return
		}
	}
	p.spans = append(p.spans, Span{Seq: seq, Entries: 1, Bates: bates, Count: n})
}

func (p *producer) step() {
	p.done++
	if p.req.Progress != nil {
		p.req.Progress(p.done, max(p.passes*p.req.Total, p.done))
	}
}

// writeSums writes the checksums of everything so far that is outward, as
// sha256sum does.
func (p *producer) writeSums(context.Context) error {
	f, err := writeFile(p.sink, fileSums, func(w *fileWriter) (uint64, error) {
		for f := range p.list.all {
			if _, err := fmt.Fprintf(w, "%s  %s\n", f.SHA256, f.Path); err != nil {
				return 0, err
			}
		}
		_, err := w.Write(sums(p.files))
		return 0, err
	})
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
	m, err := p.manifest(ctx)
	if err != nil {
		return nil, err
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
	s := &Summary{
		Manifest: *m, Excluded: p.excluded, Digest: hex.EncodeToString(digest[:]), Bates: m.Numbers, Redacted: m.Counts.Redacted, WithheldBy: p.tagged, Near: p.near,
		Usrs: slices.Sorted(maps.Keys(p.usrs)), MRNs: slices.Sorted(maps.Keys(p.mrns)), Spans: p.spans,
	}
	s.Files, s.Bytes = m.Rendered.Files+uint64(len(m.Files))+2, m.Rendered.Bytes+uint64(len(b)+len(sig))
	for _, f := range m.Files {
		s.Bytes += f.Size
	}
	return s, nil
}

// manifest makes the manifest of all that was written.
func (p *producer) manifest(ctx context.Context) (*Manifest, error) {
	m := &Manifest{
		V: Version, Format: p.req.Format, Origin: p.id.Origin, Tool: p.req.Tool, Created: envelope.FormatTime(p.created),
		Checkpoint: string(p.signed), At: p.req.At, First: p.req.First, Last: p.req.Last, Through: p.req.Through, Scoped: len(p.req.Scope) > 0,
		Counts: Counts{
			Produced: p.produced, Matched: p.produced, Withheld: p.withheld, Hanging: p.hanging, Redacted: uint64(len(p.redacted)), Unproven: p.unproven,
			WithheldBy: p.tagged, Attachments: p.contents, Unavailable: p.unavailable,
		},
		Files: p.files, AnnexHash: p.annexHash,
		Unit: string(p.unit), Zone: p.zone.String(), Legend: p.req.Legend, Recipient: p.req.Recipient, Patient: p.req.access(),
		Rendered: &Rendered{Volumes: uint64(len(p.volumes)), Files: uint64(len(p.list.files)), Bytes: p.list.bytes},
	}
	if p.req.Split != (Split{}) {
		m.Split = &p.req.Split
	}
	if p.req.Bates.Prefix != "" {
		m.Bates, m.Numbers = &p.req.Bates, &BatesRange{}
		if p.number > p.req.Bates.Start {
			m.Numbers = &BatesRange{First: p.req.Bates.format(p.req.Bates.Start), Last: p.req.Bates.format(p.number - 1)}
		}
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
	return m, nil
}
