package retention

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/jws"
)

// memLog is a log in memory that disposes of bodies as the archive does:
// generations, switches, keys. Its time is that of a bubble (testing/synctest).
// It is for one goroutine at a time.
type memLog struct {
	id      *proof.Identity
	key     ed25519.PrivateKey
	log     note.Signer
	suspect bool

	recs    []archive.Record
	gens    map[archive.ClassMonth]*memGen
	left    map[*archive.Resealed]map[uint64]bool
	gone    map[uint64]bool // by seq: no key opens its body any more
	damaged map[uint64]bool
	keyring uint64
	keys    []archive.RecipientKey
	months  map[string][2]uint64 // by month: its first seq and the one after its last

	// attachment reads the attachment of a message, and shared is what Reseal was told of attachments, by the entry that goes.
	attachment func(archive.Record) (bid string, sum [32]byte)
	shared     map[uint64]bool

	// fault, if set, may fail a call before or after it took effect.
	fault func(step string) error
}

type memGen struct {
	live, highest   uint32
	missing, former map[uint64]bool // what the live file lacks, and what the former lacks
	pending         bool
	switched        uint64
	done            archive.Destruction
}

func newMemLog(t testing.TB) *memLog {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	origin := proof.Origin("ward.test", pub)
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	l := &memLog{
		id:  &proof.Identity{Version: 1, ArchiveID: "ward.test", Origin: origin, IdentityKey: jws.EncodeB64(pub), LogKey: vkey},
		key: key, log: signer, keyring: 1,
		gens: map[archive.ClassMonth]*memGen{}, left: map[*archive.Resealed]map[uint64]bool{}, gone: map[uint64]bool{},
		damaged: map[uint64]bool{}, months: map[string][2]uint64{},
	}
	l.put(archive.Entry{Kind: proof.KindGenesis, Class: proof.ClassControl, Body: []byte("{}")})
	return l
}

func (l *memLog) at(step string) error {
	if l.fault == nil {
		return nil
	}
	return l.fault(step)
}

// around calls do between the two faults of a step.
func around[T any](l *memLog, step string, do func() (T, error)) (T, error) {
	var none T
	if err := l.at("before " + step); err != nil {
		return none, err
	}
	out, err := do()
	if err == nil {
		err = l.at("after " + step)
	}
	return out, err
}

func (l *memLog) put(e archive.Entry) uint64 {
	seq := uint64(len(l.recs))
	leaf := proof.Leaf{Seq: seq, Kind: e.Kind, Class: e.Class, Received: time.Now().UnixMilli(), BodyLen: proof.RoundBody(len(e.Body))}
	l.recs = append(l.recs, archive.Record{Leaf: leaf, Note: e.Note, Body: e.Body})
	month := leaf.Month()
	span, ok := l.months[month]
	if !ok {
		span[0] = seq
	}
	span[1] = seq + 1
	l.months[month] = span
	cm := archive.ClassMonth{Class: e.Class, Month: month}
	if l.gens[cm] == nil {
		l.gens[cm] = &memGen{live: 1, highest: 1, missing: map[uint64]bool{}}
	}
	return seq
}

// date makes the newest entry, of which nothing depends on its time yet, one
// that was received then.
func (l *memLog) date(seq uint64, at time.Time) {
	leaf := &l.recs[seq].Leaf
	delete(l.months, leaf.Month())
	leaf.Received = at.UnixMilli()
	span, ok := l.months[leaf.Month()]
	if !ok {
		span[0] = seq
	}
	span[1] = seq + 1
	l.months[leaf.Month()] = span
	cm := archive.ClassMonth{Class: leaf.Class, Month: leaf.Month()}
	if l.gens[cm] == nil {
		l.gens[cm] = &memGen{live: 1, highest: 1, missing: map[uint64]bool{}}
	}
}

// once has something happen when a step is next come to.
func (l *memLog) once(step string, do func()) {
	l.fault = func(at string) error {
		if at == step {
			l.fault = nil
			do()
		}
		return nil
	}
}

func (l *memLog) Identity() *proof.Identity { return l.id }
func (l *memLog) Size() uint64              { return uint64(len(l.recs)) }
func (l *memLog) Now() time.Time            { return time.Now().UTC().Truncate(time.Millisecond) }

func (l *memLog) Wait(ctx context.Context, size uint64) error {
	if l.Size() > size {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (l *memLog) Clock() archive.Clock {
	return archive.Clock{Suspect: l.suspect, Received: l.Now(), Wall: l.Now()}
}

func (l *memLog) ReleaseClock(_ context.Context, b archive.Batch) ([]archive.Placed, error) {
	if !l.suspect {
		return nil, archive.ErrClockSound
	}
	l.suspect = false
	return l.append(b)
}

func (l *memLog) unchanged(g *archive.Guard) error {
	if g == nil {
		return nil
	}
	for _, r := range l.recs[min(g.Since, l.Size()):] {
		if slices.Contains(g.Kinds, r.Leaf.Kind) {
			return &archive.SeqError{Seq: r.Leaf.Seq, Err: archive.ErrChanged}
		}
	}
	return nil
}

func (l *memLog) append(b archive.Batch) ([]archive.Placed, error) {
	if err := l.unchanged(b.Guard); err != nil {
		return nil, err
	}
	var out []archive.Placed
	for _, e := range b.Entries {
		out = append(out, archive.Placed{Seq: l.put(e), Kind: e.Kind})
	}
	return out, nil
}

func (l *memLog) Append(_ context.Context, b archive.Batch) ([]archive.Placed, error) {
	return around(l, "append "+b.Entries[len(b.Entries)-1].Kind.String(), func() ([]archive.Placed, error) { return l.append(b) })
}

func (l *memLog) Scan(ctx context.Context, from, to uint64) iter.Seq2[proof.Leaf, error] {
	return func(yield func(proof.Leaf, error) bool) {
		for seq := from; seq < min(to, l.Size()); seq++ {
			if !yield(l.recs[seq].Leaf, ctx.Err()) {
				return
			}
		}
	}
}

func (l *memLog) RecordOf(ctx context.Context, leaf proof.Leaf) (archive.Record, error) {
	return l.Record(ctx, leaf.Seq)
}

func (l *memLog) Record(_ context.Context, seq uint64) (archive.Record, error) {
	if seq >= l.Size() {
		return archive.Record{}, &archive.SeqError{Seq: seq, Err: archive.ErrNotFound}
	}
	leaf := l.recs[seq].Leaf
	switch g := l.gens[archive.ClassMonth{Class: leaf.Class, Month: leaf.Month()}]; {
	case g.missing[seq]:
		return archive.Record{Leaf: leaf}, &archive.SeqError{Seq: seq, Err: archive.ErrDisposed}
	case l.damaged[seq]:
		return archive.Record{Leaf: leaf}, &archive.SeqError{Seq: seq, Err: archive.ErrDamaged}
	}
	return l.recs[seq], nil
}

func (l *memLog) records(ctx context.Context, from, to uint64, class string) iter.Seq2[archive.Record, error] {
	return func(yield func(archive.Record, error) bool) {
		for seq := from; seq < min(to, l.Size()); seq++ {
			if class != "" && l.recs[seq].Leaf.Class != class {
				continue
			}
			if !yield(l.Record(ctx, seq)) {
				return
			}
		}
	}
}

func (l *memLog) Records(ctx context.Context, from, to uint64) iter.Seq2[archive.Record, error] {
	return l.records(ctx, from, to, "")
}

func (l *memLog) ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	return l.records(ctx, from, to, class)
}

func (l *memLog) ClassMonths(context.Context) ([]archive.Generation, error) {
	var out []archive.Generation
	for cm, g := range l.gens {
		out = append(out, archive.Generation{ClassMonth: cm, Live: g.live, Highest: g.highest, Switched: g.switched, Pending: g.pending})
	}
	slices.SortFunc(out, func(a, b archive.Generation) int {
		if a.Month != b.Month {
			return cmpText(a.Month, b.Month)
		}
		return cmpText(a.Class, b.Class)
	})
	return out, nil
}

func cmpText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

func (l *memLog) MonthRange(month string) (from, to uint64, err error) {
	span, ok := l.months[month]
	if !ok {
		return l.Size(), l.Size(), nil
	}
	return span[0], span[1], nil
}

func (l *memLog) Reseal(_ context.Context, cm archive.ClassMonth, o archive.ResealOptions) (*archive.Resealed, error) {
	return around(l, "reseal", func() (*archive.Resealed, error) {
		g := l.gens[cm]
		if g == nil || g.pending {
			return nil, archive.ErrInvalid
		}
		r := &archive.Resealed{ClassMonth: cm, From: g.live, To: g.highest + 1, Through: l.Size()}
		left := map[uint64]bool{}
		for seq, rec := range l.recs {
			if rec.Leaf.Class != cm.Class || rec.Leaf.Month() != cm.Month || g.missing[uint64(seq)] {
				continue
			}
			if l.damaged[uint64(seq)] {
				return nil, &archive.SeqError{Seq: uint64(seq), Err: archive.ErrDamaged}
			}
			keep, err := o.Keep(rec)
			if err != nil {
				return nil, err
			}
			if keep {
				r.Kept++
				continue
			}
			left[uint64(seq)] = true
			if o.Shared != nil && l.attachment != nil {
				bid, sum := l.attachment(rec)
				if bid != "" {
					l.shared[uint64(seq)] = o.Shared(bid, sum)
				}
			}
			r.Left++
		}
		l.left[r] = left
		return r, nil
	})
}

func (l *memLog) Discard(cms []archive.ClassMonth) error {
	maps.DeleteFunc(l.left, func(r *archive.Resealed, _ map[uint64]bool) bool { return slices.Contains(cms, r.ClassMonth) })
	return nil
}

func (l *memLog) Switch(_ context.Context, rs []*archive.Resealed, b archive.Batch) ([]archive.Placed, error) {
	return around(l, "switch", func() ([]archive.Placed, error) {
		for _, r := range rs {
			if g := l.gens[r.ClassMonth]; g.pending || g.live != r.From || g.highest >= r.To {
				return nil, archive.ErrChanged
			}
		}
		placed, err := l.append(b)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			g := l.gens[r.ClassMonth]
			missing := maps.Clone(g.missing)
			maps.Copy(missing, l.left[r])
			*g = memGen{live: r.To, highest: r.To, missing: missing, former: g.missing, pending: true, switched: placed[0].Seq}
			g.done.Keys = []archive.KeyID{{Name: fmt.Sprintf("bodies/%s.%s.g%d", r.Month, r.Class, r.From), ID: fmt.Sprintf("%032x", r.From)}}
		}
		return placed, nil
	})
}

func (l *memLog) SwitchBack(_ context.Context, cms []archive.ClassMonth, b archive.Batch) ([]archive.Placed, error) {
	return around(l, "switch back", func() ([]archive.Placed, error) {
		for _, cm := range cms {
			if !l.gens[cm].pending {
				return nil, archive.ErrInvalid
			}
		}
		placed, err := l.append(b)
		for _, cm := range cms {
			g := l.gens[cm]
			g.missing, g.live, g.pending = g.former, g.live-1, false
		}
		return placed, err
	})
}

func (l *memLog) Unkept(_ context.Context, cm archive.ClassMonth) iter.Seq2[archive.Record, error] {
	return func(yield func(archive.Record, error) bool) {
		g := l.gens[cm]
		if !g.pending {
			return
		}
		for _, seq := range slices.Sorted(maps.Keys(g.missing)) {
			if !g.former[seq] && !yield(l.recs[seq], nil) {
				return
			}
		}
	}
}

func (l *memLog) Destroy(_ context.Context, cms []archive.ClassMonth, g *archive.Guard) (*archive.Destruction, error) {
	return around(l, "destroy", func() (*archive.Destruction, error) {
		todo := slices.ContainsFunc(cms, func(cm archive.ClassMonth) bool { return l.gens[cm].pending })
		if err := l.unchanged(g); err != nil && todo {
			return nil, err
		}
		if todo {
			l.keyring++
		}
		out := &archive.Destruction{IndexFiles: []uint64{0}}
		for _, cm := range cms {
			g := l.gens[cm]
			if g.pending {
				g.pending, g.done.Keyring, g.done.Files = false, l.keyring, 1
				for seq := range g.missing {
					l.gone[seq] = true
				}
			}
			out.Keys = append(out.Keys, g.done.Keys...)
			out.Files += g.done.Files
			out.Keyring = max(out.Keyring, g.done.Keyring)
		}
		return out, nil
	})
}

func (l *memLog) PendingDisposals() []archive.ClassMonth {
	var out []archive.ClassMonth
	for cm, g := range l.gens {
		if g.pending {
			out = append(out, cm)
		}
	}
	return out
}

func (l *memLog) Checkpoint(context.Context) ([]byte, error) {
	return around(l, "checkpoint", func() ([]byte, error) {
		return proof.SignCheckpoint(proof.Checkpoint{Origin: l.id.Origin, Size: l.Size()}, l.log)
	})
}

func (l *memLog) RecipientKeys() []archive.RecipientKey { return l.keys }
