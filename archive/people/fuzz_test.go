package people

import (
	"errors"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// Whatever bytes an entry has, it is refused and changes nothing, or it is
// taken and then says the same again: Entry, of what was read, reads the same.
func FuzzApply(f *testing.F) {
	seed := func(e archive.Entry, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(e.Kind), e.Body)
	}
	start := func(tb tb) *log {
		l := begin(tb)
		l.do(add(someone(ann, "ann")), add(someone(bob, "bob")), addGroup(nurses, "nurses", ann))
		l.do(l.depart(bob))
		return l
	}
	l := start(f)
	for _, c := range []Change{
		add(someone(cid, "cid")), l.change(ann, func(p *Person) { p.Title, p.Expires = "RN", new(monday) }), l.depart(ann), l.back(bob, func(*Person) {}),
		byHand(OpBlock, ann), byHand(OpUnblock, bob), addGroup(staff, "staff", nurses, bob), l.members(nurses, []GUID{bob}, []GUID{ann}),
		{Op: OpRemove, Group: &Group{GUID: nurses}},
	} {
		seed(c.Entry())
	}
	seed(said(OpMatch, "u", ann).Entry())
	seed(said(OpUnmatch, "u", ann).Entry())
	seed(MatchBody{Op: OpMatch, Usr: "u", GUID: bob, By: ByMail, Mail: "x"}.Entry())
	seed(SyncBody{Op: SyncApplied, Source: "dc1", Digest: "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"}.Entry())
	f.Add(byte(proof.KindGroup), []byte(`{"v":1,"op":"add","group":{"guid":"00000000-0000-0000-0000-000000000000"}}`))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		l := start(t)
		before := l.state()
		err := l.h.Apply(l.record(proof.Kind(kind), body))
		if err != nil {
			if !errors.Is(err, ErrInvalid) || l.state() != before {
				t.Fatalf("refused by %v, or not without a trace", err)
			}
			return
		}
		again, ok := rewritten(t, proof.Kind(kind), body)
		if !ok {
			t.Fatal("what was applied cannot be read")
		}
		m := start(t)
		if err := m.h.Apply(m.record(proof.Kind(kind), again.Body)); err != nil || again.Kind != proof.Kind(kind) || m.state() != l.state() {
			t.Fatalf("written again it says something else: %v\n%s\n%s", err, body, again.Body)
		}
	})
}

func rewritten(t *testing.T, kind proof.Kind, body []byte) (e archive.Entry, ok bool) {
	var err error
	switch kind {
	case proof.KindPerson, proof.KindGroup:
		var c *Change
		if c, err = parseChange(kind, body); err == nil {
			e, err = c.Entry()
		}
	case proof.KindMatch:
		var b *MatchBody
		if b, err = parseMatch(body); err == nil {
			e, err = b.Entry()
		}
	case proof.KindSync:
		var b *SyncBody
		if b, err = parseSync(body); err == nil {
			e, err = b.Entry()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return e, e.Body != nil
}
