package ingest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// ProvisionState says how a provision request stands.
type ProvisionState string

// The states. Accepted is the end; from the others a request may be wanted again.
const (
	ProvisionWanted    ProvisionState = "wanted"    // to be sent, and sent again until there is an answer
	ProvisionAccepted  ProvisionState = "accepted"  // by the relay
	ProvisionRefused   ProvisionState = "refused"   // by the relay, or by the plan: Code says why
	ProvisionWithdrawn ProvisionState = "withdrawn" // the reason for it went away before it was sent
)

// provisionBody is the body of a KindProvision entry (archive/FORMAT.md section 6).
type provisionBody struct {
	V int `json:"v"` // 1
	ProvisionRequest
	State ProvisionState `json:"state"`
	Code  string         `json:"code,omitempty"`
}

// Provision is a request as the log has it.
type Provision struct {
	ProvisionRequest
	State ProvisionState
	Code  string    // why it was refused, or CodeOverridden
	Seq   uint64    // of the newest entry about it
	At    time.Time // received time of that entry
}

// ProvisionBook holds every provision request with its newest state: a state.Applier of KindProvision. It is safe for concurrent use.
type ProvisionBook struct {
	mu    sync.RWMutex
	byID  map[string]Provision
	order []string // ids, by first entry
}

// NewProvisionBook returns the book of an empty log.
func NewProvisionBook() *ProvisionBook { return &ProvisionBook{byID: map[string]Provision{}} }

// Apply takes in a KindProvision entry.
func (b *ProvisionBook) Apply(rec archive.Record) error {
	var body provisionBody
	if err := ijson.Unmarshal(rec.Body, &body); err != nil {
		return err
	}
	if body.V != 1 {
		return errors.New("not a provision entry of version 1")
	}
	if err := body.onWire("", time.Time{}).Check(); err != nil {
		return err
	}
	switch body.State {
	case ProvisionWanted, ProvisionAccepted, ProvisionRefused, ProvisionWithdrawn:
	default:
		return errors.New("a state that no provision request has")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old, known := b.byID[body.ID]
	if known && old.ProvisionRequest != body.ProvisionRequest {
		return fmt.Errorf("its id is that of the other request of entry %d", old.Seq)
	}
	if !known {
		b.order = append(b.order, body.ID)
	}
	if old.State != ProvisionAccepted {
		b.byID[body.ID] = Provision{body.ProvisionRequest, body.State, body.Code, rec.Leaf.Seq, rec.Leaf.ReceivedTime()}
	}
	return nil
}

// List returns every request, in the order in which they were first wanted or refused.
func (b *ProvisionBook) List() []Provision {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]Provision, 0, len(b.order))
	for _, id := range b.order {
		out = append(out, b.byID[id])
	}
	return out
}

// Wanted returns the requests that wait for the relay's answer, in that order.
func (b *ProvisionBook) Wanted() []Provision {
	var out []Provision
	for _, p := range b.List() {
		if p.State == ProvisionWanted {
			out = append(out, p)
		}
	}
	return out
}

// Get returns one request.
func (b *ProvisionBook) Get(id string) (Provision, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p, ok := b.byID[id]
	return p, ok
}

// Changes returns what brings the book in line with a plan: what is newly wanted or refused, and what is wanted no more. What the relay
// refused stays refused, and what two people let go ahead goes ahead. The same book and plan give nothing the second time.
func (b *ProvisionBook) Changes(plan []ProvisionDecision) []ProvisionDecision {
	var out []ProvisionDecision
	planned := map[string]bool{}
	for _, d := range plan {
		if planned[d.ID] {
			continue
		}
		planned[d.ID] = true
		old, known := b.Get(d.ID)
		switch {
		case !known:
		case old.State == d.State && old.Code == d.Code, old.State == ProvisionAccepted:
			continue
		case old.State == ProvisionRefused && !planCode(old.Code):
			continue
		case old.State == ProvisionWanted && old.Code == CodeOverridden, old.State == ProvisionWanted && d.State == ProvisionWanted:
			continue
		}
		out = append(out, d)
	}
	for _, p := range b.Wanted() {
		if !planned[p.ID] {
			out = append(out, ProvisionDecision{p.ProvisionRequest, ProvisionWithdrawn, ""})
		}
	}
	return out
}

// entry returns the decision's entry.
func (d ProvisionDecision) entry() archive.Entry {
	return control(proof.KindProvision, provisionBody{V: 1, ProvisionRequest: d.ProvisionRequest, State: d.State, Code: d.Code})
}
