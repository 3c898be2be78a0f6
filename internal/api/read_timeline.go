package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/ingest/envelope"
	"holdfast/retention"
)

// limits is what no timeline can show.
var limits = []string{
	"A receipt is the word of the reader's device. Where there is none, the message may have been read all the same: on a notification, over a shoulder, or by a device that sent none.",
	"Whether somebody who joined later was shown what was said before is the app's doing, and is not in the log.",
	"Times are those that the devices claimed; \"received\" is when the archive got it.",
}

const limitUnsurveyed = "Who joined or left the conversation afterwards is not known yet: the entries are still being surveyed. Ask again in a while."

func (s *Server) timeline(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req TimelineRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	var err error
	if req.Matter, err = s.matter(r.Context(), c, req.Matter); err != nil {
		return err
	}
	var resp *TimelineResponse
	access := audit.Access{Action: audit.ActionShow, Target: "timeline", Principal: c.who, Reason: req.Reason, Matter: req.Matter, Seqs: []uint64{req.Seq}}
	err = s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		var hits []Hit
		if resp, hits, err = s.tell(ctx, c, req.Seq); err != nil {
			return audit.Outcome{}, err
		}
		o := audit.Outcome{Total: 1, Shown: uint64(len(hits)), Through: resp.Through}
		s.whose(&o, c.who, partiesOf(hits))
		return o, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// tell makes the timeline of a message, and returns the messages that it tells of.
func (s *Server) tell(ctx context.Context, c *caller, seq uint64) (*TimelineResponse, []Hit, error) {
	b, err := s.bind(ctx, c, s.everything)
	if err != nil {
		return nil, nil, err
	}
	through := max(s.Ledger.Size(), 1) - 1
	entries, err := s.Show.Show(ctx, []uint64{seq})
	if err != nil {
		return nil, nil, err
	}
	if len(entries) != 1 {
		return nil, nil, &archive.SeqError{Seq: seq, Err: archive.ErrNotFound}
	}
	e := &entries[0]
	switch why, err := s.mayNotShow(ctx, c, b, e); {
	case err != nil:
		return nil, nil, err
	case why == outOfScope:
		return nil, nil, errOutOfScope
	case why != "" || e.Message == nil:
		return nil, nil, errNoTimeline
	}
	m := *e.Message
	m.Followers = m.within(s.scopeOf(c, b))
	m.fill()
	sees, err := s.keeping(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	if m.Kept, err = s.kept(ctx, sees, seq); err != nil {
		return nil, nil, err
	}
	t := telling{at: map[string]int{}, out: &TimelineResponse{
		Seq: seq, Message: &m, People: []Witness{}, Events: []Event{}, Through: through, Limits: slices.Clone(limits),
		NotInScope: m.NotInScope, Unopened: m.Unopened,
	}}
	t.message(&m)
	more, err := s.anchors(ctx, b, s.scopeOf(c, b), &m, &t)
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(t.out.Events, func(x, y Event) int { return cmp.Compare(x.Seq, y.Seq) })
	return t.out, append([]Hit{m}, more...), nil
}

var (
	errOutOfScope = &Problem{Title: "that entry is outside your scope", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
		Hint: "ask somebody whose role is not narrowed"}
	errNoTimeline = &Problem{Title: "that entry is not a message that can be read", Status: http.StatusConflict, Code: CodeState, Exit: ExitUsage,
		Hint: "a timeline is of a message; `holdfast show` says what the entry is"}
)

// anchors tells who came and went in the message's conversation since.
func (s *Server) anchors(ctx context.Context, b *bound, scope *query.Query, m *Hit, t *telling) ([]Hit, error) {
	if m.ConversationID == "" {
		return nil, nil
	}
	if s.Anchors == nil {
		t.out.Limits = append(t.out.Limits, limitUnsurveyed)
		return nil, nil
	}
	seqs, err := s.Anchors(ctx, m.ConversationID)
	if errors.Is(err, retention.ErrSurveying) {
		t.out.Limits = append(t.out.Limits, limitUnsurveyed)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	seqs = slices.DeleteFunc(slices.Clone(seqs), func(seq uint64) bool { return seq <= m.Seq })
	var told []Hit
	for part := range slices.Chunk(seqs, audit.MaxSeqs) {
		entries, err := s.Show.Show(ctx, part)
		if err != nil {
			return nil, err
		}
		for i := range entries {
			switch a := entries[i].Message; {
			case a == nil:
			case scope != nil && !covers(b.query, &entries[i]):
				t.out.NotInScope++
			default:
				t.anchor(a)
				told = append(told, *a)
			}
		}
	}
	return told, nil
}

// telling makes a timeline.
type telling struct {
	out     *TimelineResponse
	members map[string]string // the conversation's as of what was told, usr to name
	at      map[string]int    // where somebody stands among the people
}

// word says by whose word a message says something.
func word(from, assurance string) string {
	key := "whose key nobody enrolled"
	switch assurance {
	case string(envelope.Enrolled):
		key = "whose key was enrolled"
	case string(envelope.RelayAsserted):
		key = "whose key the relay vouches for"
	}
	return "signed by " + from + "'s device, " + key
}

// message tells of the message and of what hangs at it.
func (t *telling) message(m *Hit) {
	says := word(m.From, m.Assurance)
	t.event(Event{Seq: m.Seq, What: "sent", At: m.Sent, Received: m.Received, Who: m.From, WhoUsr: m.FromUsr, Basis: says})
	t.witness(Participant{m.FromUsr, m.From}, "sender", Basis{Seq: m.Seq, Says: says})
	for i, usr := range m.ToUsrs {
		name := usr
		if i < len(m.To) {
			name = m.To[i]
		}
		t.witness(Participant{usr, name}, "recipient", Basis{Seq: m.Seq, Says: "the message's list of recipients, " + says})
	}
	t.members = map[string]string{}
	for _, p := range m.Members {
		t.members[p.Usr] = p.Name
		t.witness(p, "member", Basis{Seq: m.Seq, Says: "the conversation's members as the message has them, " + says})
	}
	for f := range m.each() {
		t.follower(&f)
	}
}

// follower tells of one entry that is about the message.
func (t *telling) follower(f *Follower) {
	what := map[string]string{
		envelope.TypEdit: "edited", envelope.TypRecall: "recalled", envelope.TypReaction: "reaction", envelope.TypExpiry: "expired", envelope.TypReceipt: f.Status,
	}[f.Typ]
	at := cmp.Or(f.At, f.Sent)
	t.event(Event{
		Seq: f.Seq, What: cmp.Or(what, f.Typ), At: at, Received: f.Received, Who: f.From, WhoUsr: f.FromUsr, Basis: word(f.From, f.Assurance), Text: f.Text,
	})
	if f.Typ != envelope.TypReceipt {
		return
	}
	w := t.of(Participant{f.FromUsr, f.From})
	if len(w.Basis) == 0 { // on no list, and yet it was there
		w.As, w.Basis = append(w.As, "reader"), append(w.Basis, Basis{Seq: f.Seq, Says: "a receipt, " + word(f.From, f.Assurance)})
	}
	to := map[string]*string{"delivered": &w.Delivered, "read": &w.Read, "acknowledged": &w.Acknowledged}[f.Status]
	if to != nil && (*to == "" || at < *to) { // RFC 3339 in UTC with milliseconds throughout (ingest/AMX.md §2): in the order of the text
		*to = at
	}
}

// anchor tells of a later entry about the conversation's members, or of its end.
func (t *telling) anchor(a *Hit) {
	says := word(a.From, a.Assurance)
	e := Event{Seq: a.Seq, At: a.Sent, Received: a.Received, Basis: "the conversation's members from then on, " + says}
	if a.Typ == envelope.TypClose {
		e.What, e.Who, e.WhoUsr, e.Basis = "closed", a.From, a.FromUsr, says
		t.event(e)
		return
	}
	now := map[string]string{}
	for _, p := range a.Members {
		now[p.Usr] = p.Name
		if _, was := t.members[p.Usr]; was {
			continue
		}
		e.What, e.Who, e.WhoUsr = "joined", p.Name, p.Usr
		t.event(e)
		w := t.witness(p, "member", Basis{Seq: a.Seq, Says: e.Basis})
		w.Left = nil
		if !slices.Contains(w.As, "sender") && !slices.Contains(w.As, "recipient") {
			w.Joined = &Basis{Seq: a.Seq, Says: e.Basis, At: a.Sent}
		}
	}
	for i := range t.out.People {
		w := &t.out.People[i]
		if _, was := t.members[w.Usr]; !was {
			continue
		}
		if _, is := now[w.Usr]; is {
			continue
		}
		e.What, e.Who, e.WhoUsr = "left", w.Name, w.Usr
		t.event(e)
		w.Left = &Basis{Seq: a.Seq, Says: e.Basis, At: a.Sent}
	}
	t.members = now
}

func (t *telling) event(e Event) { t.out.Events = append(t.out.Events, e) }

// witness notes that somebody could see the message, and why that is said.
func (t *telling) witness(p Participant, as string, why Basis) *Witness {
	w := t.of(p)
	if !slices.Contains(w.As, as) {
		w.As = append(w.As, as)
	}
	w.Basis = append(w.Basis, why)
	return w
}

// of returns what is told of somebody; it is good until the next call.
func (t *telling) of(p Participant) *Witness {
	i, ok := t.at[p.Usr]
	if !ok {
		i = len(t.out.People)
		t.at[p.Usr] = i
		t.out.People = append(t.out.People, Witness{Participant: p, As: []string{}, Basis: []Basis{}})
	}
	return &t.out.People[i]
}
