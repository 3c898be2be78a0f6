package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/proof"
	"holdfast/internal/api"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
	"holdfast/retention"
)

// restoreBody is the body of a KindRestore entry (archive/FORMAT.md section 6).
// Exactly what `From` says is what two people agree to.
type restoreBody struct {
	Version int             `json:"v"` // 1
	From    json.RawMessage `json:"from"`
	Request uint64          `json:"request,omitempty"` // seq; absent when nothing was lost, and nobody was asked
	By      role.Principal  `json:"by"`
}

// restoreFrom says from what a log goes on, and what is given up.
type restoreFrom struct {
	Times  uint32        `json:"times"`            // N of the suffix /rN from here on
	Size   uint64        `json:"size"`             // entries that were brought back
	Root   string        `json:"root"`             // their tree hash, base64
	Anchor string        `json:"anchor,omitempty"` // the newest checkpoint known of the lost log, the signed note
	Lost   *archive.Lost `json:"lost,omitempty"`   // what it states and the log has not
	Relay  *restoreRelay `json:"relay,omitempty"`  // when the relay was told of more than the log has
}

// restoreRelay is what the relay was told of the lost log.
type restoreRelay struct {
	Epoch string `json:"epoch"`
	Told  uint64 `json:"told"` // relay seq
	Had   uint64 `json:"had"`  // likewise, of the restored log
}

const maxRestoreBody = 64 << 10

// Apply implements state.Applier.
func (s *salvage) Apply(rec archive.Record) error {
	var body restoreBody
	var from restoreFrom
	if len(rec.Body) > maxRestoreBody || ijson.Unmarshal(rec.Body, &body) != nil || body.Version != 1 || ijson.Unmarshal(body.From, &from) != nil {
		return fmt.Errorf("entry %d: %w: a restore that this version cannot read", rec.Leaf.Seq, archive.ErrDamaged)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, api.RestoreEntry{
		Seq: rec.Leaf.Seq, At: rec.Leaf.ReceivedTime(), Times: from.Times, Size: from.Size, Lost: from.Lost, Request: body.Request, By: body.By,
	})
	return nil
}

// from returns what there is to agree to.
func (s *salvage) from() (*restoreFrom, []byte, error) {
	mark := s.p.archive.Restored()
	if mark == nil {
		return nil, nil, archive.ErrNotRestored
	}
	out := &restoreFrom{Times: mark.Times(), Size: mark.Sizes[len(mark.Sizes)-1]}
	root, err := s.p.archive.Root(out.Size)
	if err != nil {
		return nil, nil, err
	}
	out.Root = rootText(root)
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Lost = s.lost
	var note []byte
	if s.anchor != nil {
		note = s.anchor.note
		out.Anchor = string(note)
	}
	if s.told != nil && s.told.more {
		out.Relay = &restoreRelay{Epoch: s.told.Epoch, Told: s.told.Acked, Had: s.told.had.Seq}
	}
	return out, note, nil
}

func rootText(h proof.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

// digest returns from's bytes and what a request names it by.
func (f *restoreFrom) digest() (text []byte, digest string, err error) {
	if text, err = json.Marshal(f); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(append([]byte("holdfast restore v1\x00"), text...))
	return text, hex.EncodeToString(sum[:]), nil
}

// goOnAlone lets a log go on of which nothing is lost, as far as its anchors and
// the relay tell.
func (s *salvage) goOnAlone(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	from, note, err := s.from()
	if err != nil {
		return err
	}
	text, _, err := from.digest()
	if err != nil {
		return err
	}
	return s.append(ctx, restoreBody{Version: 1, From: text, By: role.Daemon()}, note, nil)
}

// append puts the entry into the log, with others before it, and opens the
// gate.
func (s *salvage) append(ctx context.Context, body restoreBody, note []byte, before []archive.Entry) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	entries := append(before, archive.Entry{Kind: proof.KindRestore, Class: proof.ClassControl, Body: text})
	// A crash before this leaves the log waiting, and an approval that is good for one use; after it, the log goes on.
	if _, err := s.p.archive.GoOn(ctx, archive.Batch{Entries: entries}, note); err != nil {
		return err
	}
	s.mu.Lock()
	s.state = api.RestoreSettled
	s.mu.Unlock()
	close(s.over)
	s.p.gate.Open(reasonRestored)
	s.p.logger.Info("the log goes on from the restored one", "times", s.p.archive.Restored().Times())
	return nil
}

// restoreAPI returns what the API needs of it.
func (p *parts) restoreAPI() api.RestoreParts { return api.RestoreParts{Restorer: salvor{p.salvage}} }

// salvor implements api.Restorer.
type salvor struct{ *salvage }

// Restored says how the log stands.
func (r salvor) Restored(ctx context.Context) (*api.RestoreResponse, error) {
	if err := r.p.caughtUp(ctx); err != nil {
		return nil, err
	}
	out := &api.RestoreResponse{}
	if mark := r.p.archive.Restored(); mark != nil {
		out.Times, out.Size = mark.Times(), mark.Sizes[len(mark.Sizes)-1]
		root, err := r.p.archive.Root(out.Size)
		if err != nil {
			return nil, err
		}
		out.Root = rootText(root)
	}
	cursor, _ := r.p.archive.Cursor()
	r.mu.Lock()
	defer r.mu.Unlock()
	out.State, out.Lost = r.state, r.lost
	out.History = append(out.History, r.history...)
	if c := r.anchor; c != nil {
		out.Anchor = &api.RestoreAnchor{Times: c.Restored, Size: c.Size, Root: rootText(c.Root)}
	}
	if t := r.told; t != nil {
		out.Relay = &api.RestoreRelay{
			Epoch: t.Epoch, Told: t.Acked, Had: t.had.Seq, Oldest: t.Oldest,
			Pulled: cursor.Epoch == t.Epoch && cursor.Seq >= t.Acked,
		}
	}
	return out, nil
}

// waiting returns what there is to agree to, if anybody is to be asked.
func (r salvor) waiting() (*restoreFrom, []byte, error) {
	r.mu.Lock()
	state := r.state
	r.mu.Unlock()
	switch state {
	case api.RestoreWaiting:
		return r.from()
	case api.RestoreAsking:
		return nil, nil, &api.Problem{
			Title: "the relay has not yet said whether anything is missing", Status: 503, Code: api.CodeState, Exit: api.ExitTemporary,
			Hint: "see that the relay is reached: `holdfast status`; if nothing is missing the log goes on by itself",
		}
	}
	return nil, nil, &api.Problem{
		Title: "no restored log waits for anybody", Status: 409, Code: api.CodeState, Exit: api.ExitUsage, Hint: "`holdfast restore show` says how it stands",
	}
}

// AskRestore asks that the log go on.
func (r salvor) AskRestore(ctx context.Context, who role.Principal, reason string) (uint64, error) {
	from, _, err := r.waiting()
	if err != nil {
		return 0, err
	}
	_, digest, err := from.digest()
	if err != nil {
		return 0, err
	}
	summary := fmt.Sprintf("go on as restore %d from %d entries", from.Times, from.Size)
	if from.Lost != nil {
		summary += fmt.Sprintf("; entries %d to %d of the log before are lost", from.Lost.From, from.Lost.To-1)
	}
	if from.Relay != nil {
		summary += fmt.Sprintf("; relay events %d to %d are pulled again as far as the relay has them", from.Relay.Had+1, from.Relay.Told)
	}
	return r.p.requests.Ask(ctx, r.p.archive, who, approval.Ask{Act: approval.Restore, Digest: digest, Summary: summary, Reason: reason, TTL: requestLife})
}

// GoOn does what was approved.
func (r salvor) GoOn(ctx context.Context, who role.Principal, request uint64) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	from, note, err := r.waiting()
	if err != nil {
		return err
	}
	text, digest, err := from.digest()
	if err != nil {
		return err
	}
	used, done, err := r.p.requests.Executing(ctx, r.p.archive, who, request, approval.Restore, digest)
	if err != nil {
		return err
	}
	err = r.append(ctx, restoreBody{Version: 1, From: text, Request: request, By: who}, note, []archive.Entry{used})
	done(err)
	return err
}

// patientDispositions are the book's, while no restored log waits.
type patientDispositions struct {
	*retention.Book
	salvage *salvage
}

// PlanDisposition plans what is due.
func (d patientDispositions) PlanDisposition(ctx context.Context, who role.Principal, o retention.PlanOptions) (*retention.Plan, error) {
	if err := d.salvage.settled(); err != nil {
		return nil, err
	}
	return d.Book.PlanDisposition(ctx, who, o)
}

// PlanErasure plans the erasure of single entries.
func (d patientDispositions) PlanErasure(ctx context.Context, who role.Principal, seqs []uint64, reason string) (*retention.Plan, error) {
	if err := d.salvage.settled(); err != nil {
		return nil, err
	}
	return d.Book.PlanErasure(ctx, who, seqs, reason)
}

// Run carries out a plan.
func (d patientDispositions) Run(ctx context.Context, who role.Principal, plan uint64, progress func(step string, done, total uint64)) (*retention.Ran, error) {
	if err := d.salvage.settled(); err != nil {
		return nil, err
	}
	return d.Book.Run(ctx, who, plan, progress)
}
