package setup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast/archive/seal"
	"holdfast/internal/durable"
	"holdfast/internal/ijson"
	"holdfast/internal/regular"
)

// KitFile is the name of the file, beside the master key, that says which sets
// of shares were printed. It holds no secret.
const KitFile = "holdfast.kit.json"

// KitSet is one set of shares that was printed.
type KitSet struct {
	Set    string `json:"set"`    // its id, eight hexadecimal digits
	Needed int    `json:"needed"` // shares that open the archive
	Shares int    `json:"shares"` // of so many
	Made   string `json:"made"`   // RFC 3339
}

type kitRecord struct {
	Version int      `json:"v"` // 1
	Sets    []KitSet `json:"sets"`
}

// maxKitRecord bounds KitFile, in bytes.
const maxKitRecord = 64 << 10

// Print is a set of shares on its way to paper.
type Print struct {
	KitSet
	Archive string
	shares  []seal.Share
}

// Split makes a set of shares of the recovery key.
func Split(key *seal.RecoveryKey, archiveID string, needed, shares int) (*Print, error) {
	texts, err := key.Split(needed, shares)
	if err != nil {
		return nil, fmt.Errorf("%w: kit: %w", ErrGiven, err)
	}
	p := &Print{Archive: archiveID, KitSet: KitSet{Needed: needed, Shares: shares, Made: time.Now().UTC().Format(time.RFC3339)}}
	for _, text := range texts {
		s, err := seal.ReadShare(text)
		if err != nil {
			return nil, err
		}
		p.Set, p.shares = s.Set, append(p.shares, s)
	}
	return p, nil
}

// Text is the kit as it is printed: each share says by itself what it is, so
// that the paper can be cut.
func (p *Print) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Holdfast recovery kit of archive %s\n", p.Archive)
	fmt.Fprintf(&b, "Any %d of these %d shares open keyring.recovery. Give each to another person; keep none with the backups.\n\n", p.Needed, p.Shares)
	for i, s := range p.shares {
		fmt.Fprintf(&b, "share %d of %d\n%s\n", i+1, p.Shares, s)
		fmt.Fprintf(&b, "archive %s, set %s of %s; any %d shares of this set open it: holdfastd unlock, holdfastd restore\nholder: ______________________\n\n", p.Archive, p.Set, p.Made[:10], p.Needed)
	}
	return b.String()
}

// tries is how often a share may be mistyped before nothing is made.
const tries = 3

// TypeBack asks for one of the shares, chosen at random, from the paper.
func (p *Print) TypeBack(ctx context.Context, d *Dialog) error {
	n := rand.N(len(p.shares)) // #nosec G404 -- which one is asked for is no secret
	if err := d.Say("\nThese shares are shown this once. Write them down, or print them, each for another person.\nTo be sure that what is on paper is right, type one of them from there."); err != nil {
		return err
	}
	for range tries {
		text, err := d.Ask(ctx, Question{Key: "a share", Text: fmt.Sprintf("share %d of %d", n+1, p.Shares)})
		if errors.Is(err, errEnded) {
			err = errEnded // which flag helps is said here
		}
		if err != nil {
			return fmt.Errorf("%w: nobody typed a share back (%w). Without a person: kit.unchecked in the answers or --non-interactive for init, --unchecked for kit rotate; then have the paper checked by `holdfastd kit check`", ErrNothing, err)
		}
		s, err := seal.ReadShare(text)
		if err == nil && s.Equal(p.shares[n]) {
			return d.Say("That share is right.")
		}
		if err == nil {
			err = fmt.Errorf("that is share %d of set %s, not share %d of set %s", s.Index, s.Set, n+1, p.Set)
		}
		if err := d.Say("  %v", err); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the share was typed wrongly %d times", ErrNothing, tries)
}

// NoteKit remembers, in the credentials folder, that a set was printed.
func NoteKit(credentials string, set KitSet) error {
	sets, err := KitSets(credentials)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(kitRecord{Version: 1, Sets: append(sets, set)}, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(credentials, KitFile), append(text, '\n'), 0o600)
}

// KitSets returns the sets that were printed, the newest last; none where
// nobody noted them.
func KitSets(credentials string) ([]KitSet, error) {
	path := filepath.Join(credentials, KitFile)
	text, err := regular.Read(path, maxKitRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sets, err := parseKit(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; it holds no secret: move it away, and the next kit makes it anew", path, err)
	}
	return sets, nil
}

func parseKit(text []byte) ([]KitSet, error) {
	var r kitRecord
	if err := ijson.UnmarshalStrict(text, &r); err != nil {
		return nil, err
	}
	bad := func(s KitSet) bool {
		_, err := time.Parse(time.RFC3339, s.Made)
		return err != nil || len(s.Set) != 8 || s.Needed < 2 || s.Shares < s.Needed || s.Shares > 255
	}
	if r.Version != 1 || slices.ContainsFunc(r.Sets, bad) {
		return nil, errors.New("it is not a list of printed kits of version 1")
	}
	return r.Sets, nil
}

// Shares are the shares in a text: a kit, or part of one. Lines that are none
// are passed over; one that was mistyped is ErrShare.
func Shares(text []byte) ([]seal.Share, error) {
	var out []seal.Share
	for i, line := range strings.Split(string(text), "\n") {
		s, err := seal.ReadShare(line)
		if err != nil && looksLikeShare(line) {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if err == nil {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: there is no share in it", seal.ErrShare)
	}
	return out, nil
}

// looksLikeShare tells a mistyped share from a kit's other lines.
func looksLikeShare(line string) bool {
	return strings.Count(line, "-") >= 10 && !strings.ContainsAny(line, ".:,;_")
}

// AskShares asks for shares until enough of one set are there.
func AskShares(ctx context.Context, d *Dialog) ([]seal.Share, error) {
	return askShares(ctx, d, false)
}

// AskSomeShares does so too, but an empty line or the input's end after one share
// leaves it at those that are there.
func AskSomeShares(ctx context.Context, d *Dialog) ([]seal.Share, error) {
	return askShares(ctx, d, true)
}

func askShares(ctx context.Context, d *Dialog, some bool) ([]seal.Share, error) {
	var shares []seal.Share
	var wrong error // what the last line was
	for len(shares) == 0 || len(shares) < shares[0].Needed {
		prompt := "a share of the recovery kit"
		if len(shares) > 0 {
			prompt = fmt.Sprintf("another share of set %s (%d of %d)", shares[0].Set, len(shares)+1, shares[0].Needed)
		}
		if len(shares) > 0 && some {
			prompt += ", or an empty line to leave it at that"
		}
		line, err := d.Secret(ctx, "a share", prompt)
		switch {
		case some && wrong != nil && errors.Is(err, errEnded):
			return nil, wrong
		case some && len(shares) > 0 && (errors.Is(err, errEnded) || err == nil && len(bytes.TrimSpace(line)) == 0):
			return shares, nil
		case err != nil:
			return nil, err
		}
		s, err := seal.ReadShare(string(line))
		switch {
		case err != nil:
		case len(shares) > 0 && s.Set != shares[0].Set:
			err = fmt.Errorf("%w: that one is of set %s; shares of different sets do not fit together", seal.ErrShare, s.Set)
		case slices.ContainsFunc(shares, func(o seal.Share) bool { return o.Index == s.Index }):
			err = fmt.Errorf("%w: share %d was given already", seal.ErrShare, s.Index)
		default:
			shares, wrong = append(shares, s), nil
			continue
		}
		wrong = err
		if err := d.Say("  %v", err); err != nil {
			return nil, err
		}
	}
	return shares, nil
}

// Combine recovers the key from shares.
func Combine(shares []seal.Share) (*seal.RecoveryKey, error) {
	texts := make([]string, len(shares))
	for i, s := range shares {
		texts[i] = s.String()
	}
	return seal.Combine(texts)
}
