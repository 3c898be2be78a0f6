package command

import (
	"context"
	"slices"
	"time"

	"holdfast/internal/role"
	"holdfast/retention"
)

// registry is the house's api.Matters.
type registry struct{ *house }

func (r registry) Matter(id string) (*retention.Matter, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.matters[id]
	return &m, ok
}

func (r registry) Matters() []retention.Matter {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []retention.Matter
	for _, m := range r.matters {
		list = append(list, m)
	}
	return list
}

func (r registry) OpenMatter(_ context.Context, who role.Principal, n retention.NewMatter) (*retention.Matter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.matters[n.ID]; ok {
		return nil, retention.ErrMatterExists
	}
	m := retention.Matter{ID: n.ID, Name: n.Name, State: retention.StateOpen, Opened: received, Members: append([]string{who.ID()}, n.Members...), Custodians: []string{}, Holds: []uint64{}}
	r.matters[n.ID] = m
	return &m, nil
}

// change changes an open matter.
func (r registry) change(id string, f func(m *retention.Matter)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.matters[id]
	switch {
	case !ok:
		return retention.ErrUnknownMatter
	case m.State != retention.StateOpen:
		return retention.ErrMatterClosed
	}
	f(&m)
	r.matters[id] = m
	return nil
}

func (r registry) CloseMatter(_ context.Context, _ role.Principal, id, _ string) error {
	at := received.Add(time.Hour)
	return r.change(id, func(m *retention.Matter) { m.State, m.Closed = retention.StateClosed, &at })
}

func (r registry) SetMember(_ context.Context, _ role.Principal, id, member string, in bool, _ string) error {
	return r.change(id, func(m *retention.Matter) {
		m.Members = slices.DeleteFunc(slices.Clone(m.Members), func(s string) bool { return s == member })
		if in {
			m.Members = append(m.Members, member)
		}
	})
}
