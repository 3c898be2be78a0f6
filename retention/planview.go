package retention

import (
	"slices"

	"holdfast/archive/proof"
)

// view returns the plan's text as others see it.
func (t *planText) view() *Plan {
	p := &Plan{
		Kind: t.Kind, AsOf: t.AsOf, Through: t.Through, Schedule: t.Schedule, By: t.By, At: t.AsOf, Reason: t.Reason,
		Class: t.Class, Lines: []PlanLine{}, Total: t.Total,
	}
	for i := range t.Lines {
		p.Lines = append(p.Lines, t.Lines[i].PlanLine)
	}
	return p
}

// planView returns a plan as it stands. mu is held for reading.
func (b *Book) planView(s *planState) *Plan {
	p := s.text.view()
	p.Seq, p.At, p.Request, p.Digest, p.Intent = s.seq, s.at, s.request, s.digest, s.intent
	p.State = b.planStanding(s)
	if i := b.disposal.intent(s.intent); i != nil {
		for _, l := range i.lines {
			if l.newest != 0 {
				p.Certificates = append(p.Certificates, l.newest)
			}
		}
	}
	return p
}

// planStanding says where a plan stands. mu is held for reading.
func (b *Book) planStanding(s *planState) PlanState {
	if s.intent != 0 {
		i := b.disposal.intent(s.intent)
		switch {
		case i == nil:
			return PlanDone // a reclassification
		case len(i.open()) > 0:
			return PlanRunning
		case slices.ContainsFunc(i.lines, func(l *intentLine) bool { return l.certified != 0 }):
			return PlanDone
		}
		return PlanAbandoned
	}
	r, ok := b.options.Requests.Request(s.request)
	if !ok || r.Act != ActDisposition || r.Digest != s.digest {
		return PlanExpired // it was asked for in a way that gives nobody anything
	}
	switch r.Status {
	case "pending":
		return PlanWaiting
	case "approved":
		return PlanApproved
	case "denied":
		return PlanDenied
	case "executed":
		return PlanEmpty
	}
	return PlanExpired
}

// Plan returns the plan whose entry has that seq.
func (b *Book) Plan(seq uint64) (*Plan, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := b.disposal.plan(seq)
	if s == nil {
		return nil, false
	}
	return b.planView(s), true
}

// Plans returns every plan, newest first.
func (b *Book) Plans() []Plan {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := []Plan{}
	for _, s := range slices.Backward(b.disposal.plans) {
		out = append(out, *b.planView(s))
	}
	return out
}

// reclassifiedIn reports whether an entry received in that month was given
// another class.
func (b *Book) reclassifiedIn(month string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.disposal.months[month]
}

// view returns a certificate with the number of the newest about the same. mu
// is held for reading.
func (b *Book) certificateView(s *certificateState) *Certificate {
	c := &Certificate{Seq: s.seq, Statement: s.says, JWS: s.jws}
	if i := b.disposal.intent(s.intent); i != nil {
		for _, l := range i.lines {
			if l.Class == s.says.Class && l.Month == s.says.Month && l.newest != s.seq {
				c.Continued = l.newest
			}
		}
	}
	return c
}

// Certificate returns the certificate whose entry has that seq.
func (b *Book) Certificate(seq uint64) (*Certificate, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := b.disposal.certificate(seq)
	if s == nil {
		return nil, false
	}
	return b.certificateView(s), true
}

// Certificates returns every certificate, newest first.
func (b *Book) Certificates() []Certificate {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := []Certificate{}
	for _, s := range slices.Backward(b.disposal.certs) {
		out = append(out, *b.certificateView(s))
	}
	return out
}

// CertificateFor returns the newest certificate that names the entry with that
// seq and leaf; false when it was not disposed of, or its certificate is not
// written yet.
func (b *Book) CertificateFor(seq uint64, leaf proof.Leaf) (*Certificate, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	month := leaf.Month()
	for _, i := range b.disposal.intents {
		for _, l := range i.lines {
			if l.Class == leaf.Class && l.Month == month && l.newest != 0 && l.spans.has(seq) {
				return b.certificateView(b.disposal.certificate(l.newest)), true
			}
		}
	}
	return nil, false
}
