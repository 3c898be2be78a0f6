package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/archive/proof"
	"holdfast/internal/api"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
	"holdfast/retention"
)

// What a KindBackup entry is about.
const (
	backupMade = "backup"
	drillMade  = "drill"
)

// backupBody is the body of a KindBackup entry (archive/FORMAT.md section 6).
type backupBody struct {
	Version    int    `json:"v"` // 1
	What       string `json:"what"`
	ID         string `json:"id,omitempty"`
	Size       uint64 `json:"size,omitempty"`
	Root       string `json:"root,omitempty"`
	To         string `json:"to,omitempty"` // last part of the folder's path
	OK         bool   `json:"ok"`
	ErrorClass string `json:"error_class,omitempty"`
	Bytes      int64  `json:"bytes,omitempty"`
	MS         int64  `json:"ms"`

	// How far the relay's stream is in a backup, so that acks can say so.
	Epoch    string `json:"epoch,omitempty"`
	RelaySeq uint64 `json:"relay_seq,omitempty"`
}

// shownBackups is how many backups and drills are remembered for people.
const shownBackups = 100

// backupBook is what the log says of backups and drills.
type backupBook struct {
	mu       sync.Mutex
	rows     []api.Backup // oldest first
	last     map[string]api.Backup
	good     map[string]api.Backup // the last that came off
	epoch    string                // of the newest backup that came off
	relaySeq uint64
}

// Apply implements state.Applier.
func (b *backupBook) Apply(rec archive.Record) error {
	var body backupBody
	if err := ijson.UnmarshalStrict(rec.Body, &body); err != nil || body.Version != 1 || body.What != backupMade && body.What != drillMade {
		return fmt.Errorf("entry %d: %w: a backup that this version cannot read", rec.Leaf.Seq, archive.ErrDamaged)
	}
	row := api.Backup{
		Seq: rec.Leaf.Seq, What: body.What, At: rec.Leaf.ReceivedTime(), ID: body.ID, Size: body.Size, Root: body.Root, To: body.To,
		OK: body.OK, ErrorClass: body.ErrorClass, Bytes: body.Bytes, MS: body.MS,
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		b.last, b.good = map[string]api.Backup{}, map[string]api.Backup{}
	}
	if b.rows = append(b.rows, row); len(b.rows) > shownBackups {
		b.rows = slices.Delete(b.rows, 0, len(b.rows)-shownBackups)
	}
	b.last[row.What] = row
	if !row.OK {
		return nil
	}
	b.good[row.What] = row
	if row.What == backupMade {
		b.epoch, b.relaySeq = body.Epoch, body.RelaySeq
	}
	return nil
}

// backedUp returns how far the relay's stream is backed up.
func (b *backupBook) backedUp() (epoch string, seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.epoch, b.relaySeq
}

// of returns the last that came off of one sort, and whether the very last did
// not.
func (b *backupBook) of(what string) (good api.Backup, failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, any := b.last[what]
	return b.good[what], any && !last.OK
}

// drillFailed reports whether a drill has failed since the last good backup:
// what that and those before it have is not to be believed.
func (b *backupBook) drillFailed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, any := b.last[drillMade]
	return any && !last.OK && last.Seq > b.good[backupMade].Seq
}

// show returns the account for people, the newest first.
func (b *backupBook) show() *api.BackupsResponse {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := &api.BackupsResponse{Backups: slices.Clone(b.rows)}
	slices.Reverse(out.Backups)
	if out.Backups == nil {
		out.Backups = []api.Backup{}
	}
	if good, any := b.good[backupMade]; any {
		out.LastBackup = &good
	}
	if good, any := b.good[drillMade]; any {
		out.LastDrill = &good
	}
	return out
}

// noteBackup puts into the log what a backup or a drill came to.
func (p *parts) noteBackup(ctx context.Context, body backupBody) error {
	body.Version = 1
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if _, err := p.archive.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindBackup, Class: proof.ClassControl, Body: text}}}); err != nil {
		return err
	}
	return p.caughtUp(ctx)
}

// copyBook keeps account of backups and keyring copies where certificates of
// disposition look.
type copyBook struct{ *parts }

// Made implements backup.Copies.
func (c copyBook) Made(ctx context.Context, n backup.Noted) error {
	if err := c.book.NoteCopy(ctx, role.Daemon(), retention.Copy{ID: n.ID, What: n.What, Where: n.Where, Keyring: n.Keyring, Keyless: n.What == backup.WhatBackup}); err != nil {
		return fmt.Errorf("note the copy: %w", err)
	}
	return c.caughtUp(ctx)
}

// Gone implements backup.Copies.
func (c copyBook) Gone(ctx context.Context, id, reason string) error {
	if err := c.book.CopyGone(ctx, role.Daemon(), id, reason); err != nil {
		return fmt.Errorf("note that a copy is gone: %w", err)
	}
	return c.caughtUp(ctx)
}

// Left implements backup.Copies.
func (c copyBook) Left() []backup.Noted {
	var out []backup.Noted
	for _, n := range c.book.Copies() {
		if n.Gone == nil {
			out = append(out, backup.Noted{ID: n.ID, What: n.What, Where: n.Where, Keyring: n.Keyring})
		}
	}
	return out
}
