package retention

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/jws"
)

// certify appends a certificate for each class-month of an intent, all in one
// batch. A crash before it leaves an intent whose keys are gone: the next call
// finds out the same from the archive and goes on.
func (b *Book) certify(ctx context.Context, i *intentState, cms []archive.ClassMonth) error {
	after, err := b.options.Log.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("sign the checkpoint after: %w", err)
	}
	var batch archive.Batch
	for _, cm := range cms {
		// It is done, and says what went of this one alone.
		gone, err := b.options.Log.Destroy(ctx, []archive.ClassMonth{cm}, nil)
		if err != nil {
			return fmt.Errorf("ask what was destroyed of %s: %w", cm, err)
		}
		s, err := b.state(i, cm, gone, string(after))
		if err != nil {
			return err
		}
		e, err := b.signed(s)
		if err != nil {
			return err
		}
		batch.Entries = append(batch.Entries, e)
	}
	return b.appendAll(ctx, batch)
}

// state says what was destroyed of a class-month.
func (b *Book) state(i *intentState, cm archive.ClassMonth, gone *archive.Destruction, after string) (*Statement, error) {
	from, to, err := b.options.Log.MonthRange(cm.Month)
	if err != nil {
		return nil, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	l := i.line(cm)
	id := b.options.Identity
	s := &Statement{
		V: 1, Archive: id.ArchiveID, Origin: id.Origin, Class: cm.Class, Month: cm.Month, Kind: i.plan.text.Kind,
		First: l.First, Last: l.Last, Count: l.Count, Ranges: l.Ranges, RangesDigest: l.spans.digest(), LeafRange: LeafRange{from, to},
		Keys: gone.Keys, Method: Method, Schedule: i.plan.text.Schedule, Plan: i.plan.seq, Request: i.body.Request, Intent: i.seq,
		Planner: i.plan.text.By, Approver: i.body.Approver, Runner: i.body.By, Before: i.body.Checkpoint, After: after,
		Survivors: l.Survivors, Files: gone.Files, Blobs: gone.Blobs, Keyring: gone.Keyring, Media: media, Tool: b.options.Tool,
	}
	return s, b.dateCopies(s)
}

// dateCopies states the copies that are known now. mu is held for reading.
func (b *Book) dateCopies(s *Statement) error {
	now := b.options.Log.Now()
	start, end, err := monthOf(s.Month)
	if err != nil {
		return err
	}
	s.At = now.Format("2006-01-02T15:04:05.000Z")
	s.Copies = remaining(b.disposal.copies, s.Keyring)
	if s.Class != proof.ClassAudit {
		s.Copies = append(s.Copies, recipients(b.options.Log.RecipientKeys(), start, end)...)
	}
	s.Complete = len(s.Copies) == 0
	return nil
}

// remaining returns the known copies that hold a keyring older than the
// generation from which on the keys are gone. A backup without any keyring holds
// none: what could open it is named by itself.
func remaining(copies []*Copy, keyring uint64) []Remaining {
	out := []Remaining{}
	for _, c := range copies {
		if c.Gone == nil && !c.Keyless && c.Keyring < keyring {
			out = append(out, Remaining{What: c.What, Where: c.Where, ID: c.ID})
		}
	}
	return out
}

// recipients returns the HPKE keys under which messages received from start to
// end may have come sealed: whoever kept the envelopes can open them with
// these.
func recipients(keys []archive.RecipientKey, start, end time.Time) []Remaining {
	var out []Remaining
	for _, k := range keys {
		until := k.NotAfter.Add(archive.RelayBuffering)
		if k.Made.Before(end) && !start.After(until) {
			out = append(out, Remaining{What: CopyRecipient, Where: "the archive's keyring", ID: k.KID, Until: &until})
		}
	}
	slices.SortFunc(out, func(a, b Remaining) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// signed returns the entry of a statement.
func (b *Book) signed(s *Statement) (archive.Entry, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return archive.Entry{}, err
	}
	compact, err := jws.Sign(CertificateType, b.options.Signer, text)
	if err != nil {
		return archive.Entry{}, fmt.Errorf("sign the certificate: %w", err)
	}
	return controlEntry(proof.KindCertificate, certificateBody{Version: 1, Intent: s.Intent, JWS: string(compact)})
}

// appendAll makes entries durable and applies them.
func (b *Book) appendAll(ctx context.Context, batch archive.Batch) error {
	if len(batch.Entries) == 0 {
		return nil
	}
	placed, err := b.options.Log.Append(ctx, batch)
	if err != nil {
		return fmt.Errorf("record it: %w", err)
	}
	return b.options.CatchUp(context.WithoutCancel(ctx), placed[len(placed)-1].Seq+1)
}

// Complete issues a further certificate wherever the newest one is not true
// any more about copies: the last that could open what was destroyed has gone,
// or one that was not known has come up. The daemon calls it daily.
func (b *Book) Complete(ctx context.Context) error {
	if !b.disposal.running.TryLock() {
		return ErrRunning
	}
	defer b.disposal.running.Unlock()
	if err := b.options.CatchUp(ctx, b.options.Log.Size()); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	outdated, err := b.outdated()
	if err != nil {
		return err
	}
	for part := range slices.Chunk(outdated, completeBatch) {
		var batch archive.Batch
		for _, s := range part {
			e, err := b.signed(s)
			if err != nil {
				return err
			}
			batch.Entries = append(batch.Entries, e)
		}
		if err := b.appendAll(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// completeBatch bounds the certificates of one batch, each of which may be long.
const completeBatch = 16

// outdated returns the statements that are due in place of others.
func (b *Book) outdated() ([]*Statement, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []*Statement
	for _, i := range b.disposal.intents {
		for _, l := range i.lines {
			if l.newest == 0 {
				continue
			}
			s := b.disposal.certificate(l.newest).says
			was := s.Complete
			s.Of = l.certified
			if err := b.dateCopies(&s); err != nil {
				return nil, err
			}
			if s.Complete != was {
				out = append(out, &s)
			}
		}
	}
	return out, nil
}
