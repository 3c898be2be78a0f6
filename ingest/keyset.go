package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
)

// keysetTick is how often the keys are looked at for a change.
const keysetTick = time.Minute

// publishKeyset keeps the archive's public keys at the relay: at the start, whenever they change, and again long before they expire.
//
// The version is received time in Unix milliseconds, so that it rises across restarts without anything being stored, and a clock that is
// wrong for an hour leaves no version behind that is refused for a year afterwards. Received time lags when the archive was closed for long
// and nobody has released the clock yet: a version that is refused is followed by one of the clock's. One that is refused as well is an
// alarm and not repaired here: a keyset from the past is what clients must refuse.
func (c *Client) publishKeyset(ctx context.Context) error {
	pause, refused := c.newBackoff(), 0
	var version uint64
	var published time.Time
	var last string // kids of the set published
	for {
		offered := c.offered(time.Now())
		kids := kidsOf(offered)
		if len(offered) == 0 {
			// An empty set would be one that clients accept and cannot seal to; the last one published says the same when it expires.
			c.watchKeys(ctx, offered)
			if err := sleep(ctx, keysetTick); err != nil {
				return err
			}
			continue
		}
		if !published.IsZero() && kids == last && time.Since(published) < c.o.KeysetEvery {
			if err := sleep(ctx, keysetTick); err != nil {
				return err
			}
			continue
		}
		c.watchKeys(ctx, offered)
		keys, err := publicKeys(offered)
		if err == nil {
			now := time.Now()
			at := c.o.Keys.Now()
			if refused > 0 {
				at = now
			}
			version = max(version+1, uint64(max(at.UnixMilli(), 0))) // #nosec G115 -- not negative
			err = c.putKeyset(ctx, wire.Keyset{Arc: c.arc, Version: version, Expires: now.Add(keysetLife), Keys: keys, Time: now})
		}
		if err == nil {
			published, last, refused = time.Now(), kids, 0
			pause.reset()
			c.alarms.clear(AlarmKeysetRefused, "")
			c.o.Logger.Info("keyset published", "keys", len(keys))
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		class := classOf(err)
		c.o.Logger.Warn("the keyset was not published", "class", class)
		switch class {
		case classNetwork, classTLS, classStalled, classSlowDown: // told by other alarms, and tried again
		default:
			if refused++; refused >= 2 {
				c.alarms.raise(ctx, AlarmKeysetRefused, "", map[string]string{"class": class, "version": decimal(version)})
			}
		}
		if err := sleep(ctx, pause.pause(err)); err != nil {
			return err
		}
	}
}

// keySteps are how long before the end of the last key it is told of, most urgent first.
var keySteps = []struct {
	left             time.Duration
	detail, severity string
}{{0, "none", critical}, {7 * 24 * time.Hour, "7d", critical}, {30 * 24 * time.Hour, "30d", warning}}

// watchKeys raises an alarm when the last of the keys that senders may seal to ends soon, or none is left.
func (c *Client) watchKeys(ctx context.Context, offered []archive.RecipientKey) {
	now := time.Now()
	facts := map[string]string{"keys": decimal(uint64(len(offered)))}
	var left time.Duration
	if len(offered) > 0 {
		last := slices.MaxFunc(offered, func(a, b archive.RecipientKey) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
		left = last.Sub(now)
		facts["not_after"] = envelope.FormatTime(last)
	}
	due := false
	for _, step := range keySteps {
		switch {
		case left > step.left:
			c.alarms.clear(AlarmKeysEnding, step.detail)
		case !due:
			due = true // the most urgent alone is told
			c.alarms.raiseAs(ctx, step.severity, AlarmKeysEnding, step.detail, facts)
		}
	}
}

func (c *Client) putKeyset(ctx context.Context, k wire.Keyset) error {
	compact, err := k.Sign(c.o.Keys.IdentitySigner())
	if err != nil {
		return err
	}
	return c.relay.keyset(ctx, compact)
}

// offered returns the keys that senders may seal to: neither those past their not_after, which only open what is still under way, nor
// those of a suite that the site has not opted in to.
func (c *Client) offered(now time.Time) []archive.RecipientKey {
	return slices.DeleteFunc(c.o.Keys.RecipientKeys(), func(r archive.RecipientKey) bool {
		return !r.NotAfter.After(now) || envelope.KEM(r.KEM) == envelope.X25519 && !c.o.AllowX25519
	})
}

func publicKeys(offered []archive.RecipientKey) ([]wire.KeysetKey, error) {
	out := make([]wire.KeysetKey, 0, len(offered))
	for _, r := range offered {
		key, err := envelope.NewPrivateKey(envelope.KEM(r.KEM), r.Private)
		if err != nil {
			return nil, fmt.Errorf("keyset: %w", err)
		}
		out = append(out, wire.KeysetKey{Kid: key.KID(), KEM: r.KEM, PK: key.Public().Bytes, NotAfter: r.NotAfter})
	}
	return out, nil
}

func kidsOf(keys []archive.RecipientKey) string {
	kids := make([]string, 0, len(keys))
	for i := range keys {
		kids = append(kids, keys[i].KID)
	}
	slices.Sort(kids)
	return strings.Join(kids, " ")
}
