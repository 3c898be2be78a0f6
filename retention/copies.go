package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// What a copy may be.
const (
	CopyKeyring   = "keyring"   // of the keyring alone
	CopyRecovery  = "recovery"  // the keyring as sealed to the recovery key
	CopyBackup    = "backup"    // of the data directory
	CopySnapshot  = "snapshot"  // of the disk or the machine
	CopyRecipient = "recipient" // in certificates alone: an HPKE key to which envelopes were sealed
)

// The acts of a KindCopy entry.
const (
	copyMade = "made"
	copyGone = "gone"
)

// Errors of copies.
var (
	// ErrCopyKnown is returned for an id that a copy has or had.
	ErrCopyKnown = errors.New("a copy has or had that id, and ids are never used again; choose another, `holdfast copies list` shows them")
	// ErrCopyUnknown is returned for an id that no copy has that is still there.
	ErrCopyUnknown = errors.New("no copy of that id is left; `holdfast copies list` shows those that are known")
)

// Copy is a copy of keys or data that somebody made, as far as it is known
// here.
type Copy struct {
	ID      string     `json:"id"` // 1..64 of A-Z a-z 0-9 . _ -, never used again
	What    string     `json:"what"`
	Where   string     `json:"where"`             // for people
	Keyring uint64     `json:"keyring"`           // generation of the keyring in it; 0: not known, and so taken to be older than any
	Keyless bool       `json:"keyless,omitempty"` // a backup that has no keyring in it: what a key opened that is gone, it cannot open
	Noted   time.Time  `json:"noted"`
	Seq     uint64     `json:"seq"`
	Gone    *time.Time `json:"gone,omitempty"`
}

// NoteCopy records that there is a copy: a certificate names it as long as it
// could open what was destroyed.
func (b *Book) NoteCopy(ctx context.Context, who role.Principal, c Copy) error {
	switch {
	case !validMatter(c.ID):
		return fmt.Errorf("%w: a copy's id is 1 to 64 of A-Z a-z 0-9 . _ -", ErrInvalid)
	case !slices.Contains([]string{CopyKeyring, CopyRecovery, CopyBackup, CopySnapshot}, c.What):
		return fmt.Errorf("%w: a copy is a keyring, recovery, backup or snapshot", ErrInvalid)
	case c.Keyless && c.What != CopyBackup:
		return fmt.Errorf("%w: only a backup is without keys", ErrInvalid)
	}
	if err := words("place", c.Where); err != nil {
		return err
	}
	body := copyBody{Version: 1, Op: copyMade, ID: c.ID, What: c.What, Where: c.Where, Keyring: c.Keyring, Keyless: c.Keyless, By: who}
	return b.changeCopy(ctx, body, func(known *Copy) error {
		if known != nil {
			return ErrCopyKnown
		}
		return nil
	})
}

// CopyGone records that a copy is gone.
func (b *Book) CopyGone(ctx context.Context, who role.Principal, id, reason string) error {
	if err := words("reason", reason); err != nil {
		return err
	}
	return b.changeCopy(ctx, copyBody{Version: 1, Op: copyGone, ID: id, By: who, Reason: reason}, func(known *Copy) error {
		if known == nil || known.Gone != nil {
			return ErrCopyUnknown
		}
		return nil
	})
}

func (b *Book) changeCopy(ctx context.Context, body copyBody, rule func(known *Copy) error) error {
	done, err := b.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = b.judged(ctx, func(time.Time) error { return rule(b.disposal.copy(body.ID)) })
	if err != nil {
		return err
	}
	e, err := controlEntry(proof.KindCopy, body)
	if err != nil {
		return err
	}
	_, err = b.write(ctx, e)
	return err
}

// Copies returns every copy that was ever noted, in that order.
func (b *Book) Copies() []Copy {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := []Copy{}
	for _, c := range b.disposal.copies {
		out = append(out, *c)
	}
	return out
}
