package retention

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/internal/role"
)

// Notice records a notice to a custodian of a hold that is in force: what was
// sent, that it was acknowledged, that the custodian was reminded.
func (b *Book) Notice(ctx context.Context, who role.Principal, seq uint64, n Notice) error {
	switch {
	case !slices.Contains([]string{NoticeSent, NoticeAcknowledged, NoticeReminded}, n.State):
		return fmt.Errorf("%w: a notice is %s, %s or %s", ErrInvalid, NoticeSent, NoticeAcknowledged, NoticeReminded)
	case n.State == NoticeSent && strings.TrimSpace(n.Text) == "":
		return fmt.Errorf("%w: what was sent needs its text", ErrInvalid)
	case len(n.Text) > MaxNotice || !utf8.ValidString(n.Text):
		return fmt.Errorf("%w: a notice is text of at most %d bytes", ErrInvalid, MaxNotice)
	}
	body := holdBody{Version: 1, Op: opNotice, Of: seq, Custodian: n.Custodian, State: n.State, Text: n.Text, By: who}
	_, err := b.changeHold(ctx, &body, func(h *held, now time.Time) error {
		if h.stateAt(now) == StateReleased {
			return ErrReleased
		}
		custodians := map[string]bool{}
		for _, t := range h.terms {
			named(t.scope, b.options.People, custodians)
		}
		sent := slices.ContainsFunc(h.notices, func(was Noticed) bool { return was.Custodian == n.Custodian && was.State == NoticeSent })
		switch {
		case !custodians[n.Custodian]:
			return fmt.Errorf("%w: that is no custodian of the hold", ErrInvalid)
		case n.State != NoticeSent && !sent:
			return fmt.Errorf("%w: no notice was sent to that custodian yet", ErrInvalid)
		}
		_, err := b.workable(h.matter.id, who)
		return err
	})
	return err
}

// HeldPerson reports whether a hold in force names a person, or a group that
// the person was in at the time that counts, or everything. The caller has
// brought the Book up to the log.
func (b *Book) HeldPerson(guid string) bool {
	now := b.options.Log.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, h := range b.holds {
		for _, t := range h.terms {
			if t.lapsedAt(now) {
				continue
			}
			custodians := map[string]bool{}
			named(t.scope, b.options.People, custodians)
			if custodians[guid] || t.scope.All && (t.scope.To == nil || t.scope.To.After(now)) {
				return true
			}
		}
	}
	return false
}
