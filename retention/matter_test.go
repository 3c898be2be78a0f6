package retention

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/people"
	"holdfast/internal/role"
	"holdfast/retention/hold"
)

func TestAMattersLife(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		m, ok := w.book.Matter("m")
		if !ok || m.ID != "M" || m.State != StateOpen || !slices.Equal(m.Members, []string{second.ID(), officer.ID()}) || len(m.Holds)+len(m.Custodians) != 0 {
			t.Fatalf("%+v", m)
		}
		h := w.place(hold.Scope{Custodians: []string{string(ann), "usr:guest"}})
		m, _ = w.book.Matter("M")
		if !slices.Equal(m.Custodians, []string{string(ann), "usr:guest"}) || !slices.Equal(m.Holds, []uint64{h}) {
			t.Errorf("%+v", m)
		}
		if err := w.book.CloseMatter(w.ctx(), officer, "M", "done"); !errors.Is(err, ErrMatterHeld) {
			t.Errorf("closed with a hold: %v", err)
		}
		w.release(h, nil)
		if err := w.book.CloseMatter(w.ctx(), officer, "M", "done"); !errors.Is(err, ErrMatterHeld) {
			t.Errorf("closed in the grace period: %v", err)
		}
		pass(DefaultGrace)
		w.no(w.book.CloseMatter(w.ctx(), second, "M", "done"))
		w.reopen()
		if m, _ = w.book.Matter("M"); m.State != StateClosed || m.Closed == nil || len(m.Holds) != 1 {
			t.Errorf("closed: %+v", m)
		}
		if _, err := w.book.OpenMatter(w.ctx(), officer, NewMatter{ID: "m", Reason: "again"}); !errors.Is(err, ErrMatterExists) {
			t.Errorf("an id used again: %v", err)
		}
		if _, err := w.book.PlaceHold(w.ctx(), officer, NewHold{Matter: "M", Scope: hold.Scope{All: true}, Reason: "r"}); !errors.Is(err, ErrMatterClosed) {
			t.Errorf("placed in a closed matter: %v", err)
		}
		if len(w.book.Matters()) != 1 || len(w.book.Faults()) != 0 {
			t.Error("matters or faults")
		}
	})
}

func TestOnlyMembersWorkOnAMatter(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		h := w.place(hold.Scope{Conversations: []string{"c"}})
		c, ctx := hold.Scope{Conversations: []string{"d"}}, w.ctx()
		for what, err := range map[string]error{
			"place":  second1(w.book.PlaceHold(ctx, stranger, NewHold{Matter: "M", Scope: c, Reason: "r"})),
			"widen":  second1(w.book.WidenHold(ctx, stranger, h, c, "r")),
			"ask":    third(w.book.AskRelease(ctx, stranger, h, nil, "r")),
			"close":  w.book.CloseMatter(ctx, stranger, "M", "r"),
			"join":   w.book.SetMember(ctx, stranger, "M", stranger.ID(), true, "r"),
			"notice": w.book.Notice(ctx, stranger, h, Notice{Custodian: "usr:x", State: NoticeSent, Text: "t"}),
		} {
			if err == nil || what != "notice" && !errors.Is(err, ErrNotMember) {
				t.Errorf("%s by a stranger: %v", what, err)
			}
		}
		w.no(w.book.SetMember(ctx, officer, "M", stranger.ID(), true, "r"))
		w.no(w.book.SetMember(ctx, stranger, "M", officer.ID(), false, "r"))
		w.no(w.book.SetMember(ctx, stranger, "M", second.Person, false, "r")) // a bare objectGUID is its person
		if err := w.book.SetMember(ctx, stranger, "M", stranger.ID(), false, "r"); !errors.Is(err, ErrLastMember) {
			t.Errorf("the last left: %v", err)
		}
		if _, err := w.book.WidenHold(ctx, officer, h, c, "r"); !errors.Is(err, ErrNotMember) {
			t.Errorf("widened by who left: %v", err)
		}
	})
}

func second1[T any](_ T, err error) error       { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

func TestNobodyWorksOnTheirOwnMatter(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		ctx := w.ctx()
		if _, err := w.book.PlaceHold(ctx, officer, NewHold{Matter: "M", Scope: hold.Scope{Custodians: []string{officer.Person}}, Reason: "r"}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a hold on oneself: %v", err)
		}
		h := w.place(hold.Scope{Custodians: []string{second.Person}})
		if _, err := w.book.WidenHold(ctx, second, h, hold.Scope{All: true}, "r"); !errors.Is(err, ErrNotMember) {
			t.Errorf("widened by its custodian: %v", err)
		}
		if err := w.book.SetMember(ctx, officer, "M", officer.ID(), false, "r"); !errors.Is(err, ErrLastMember) {
			t.Errorf("left it to a custodian: %v", err)
		}
		if err := w.book.SetMember(ctx, officer, "M", second.ID(), true, "r"); !errors.Is(err, ErrInvalid) {
			t.Errorf("a custodian became a member: %v", err)
		}
		w.person(people.GUID(officer.Person), "olga")
		w.change(people.Change{Op: people.OpAdd, Group: &people.Group{GUID: nurses, Name: "nurses", Members: []people.GUID{people.GUID(officer.Person)}}})
		if _, err := w.book.PlaceHold(ctx, officer, NewHold{Matter: "M", Scope: hold.Scope{Groups: []string{string(nurses)}}, Reason: "r"}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a hold that leaves nobody: %v", err)
		}
		// Nobody is left who works on it: then somebody else may take one in, and only that.
		w.change(people.Change{Op: people.OpDepart, Person: &people.Person{GUID: people.GUID(officer.Person), Account: "olga", Name: "olga"}, Why: people.WhyMissing})
		if err := w.book.CloseMatter(ctx, stranger, "M", "r"); !errors.Is(err, ErrNotMember) {
			t.Errorf("closed by a stranger: %v", err)
		}
		w.no(w.book.SetMember(ctx, stranger, "M", stranger.ID(), true, "she left"))
	})
}

func TestWhatAMatterIsMadeOf(t *testing.T) {
	inTime(t, func(w *world) {
		good := NewMatter{ID: "2026-7_A.b", Reason: "r"}
		for what, spoil := range map[string]func(*NewMatter){
			"no id":       func(n *NewMatter) { n.ID = "" },
			"long id":     func(n *NewMatter) { n.ID = strings.Repeat("a", 65) },
			"slash":       func(n *NewMatter) { n.ID = "a/b" },
			"no reason":   func(n *NewMatter) { n.Reason = " " },
			"long reason": func(n *NewMatter) { n.Reason = strings.Repeat("é", MaxText+1) },
			"long name":   func(n *NewMatter) { n.Name = strings.Repeat("é", MaxText+1) },
			"a name":      func(n *NewMatter) { n.Members = []string{"olga"} },
			"a long uid":  func(n *NewMatter) { n.Members = []string{"uid:4294967296"} },
			"uid 01":      func(n *NewMatter) { n.Members = []string{"uid:01"} },
		} {
			n := good
			spoil(&n)
			if _, err := w.book.OpenMatter(w.ctx(), officer, n); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		account := role.Principal{Name: "root", UID: new(uint32(0))}
		good.Members = []string{"uid:7", "00000000-0000-0000-0000-00000000000f"}
		m, err := w.book.OpenMatter(w.ctx(), account, good)
		w.no(err)
		if !slices.Equal(m.Members, []string{officer.ID(), "uid:0", "uid:7"}) {
			t.Error(m.Members)
		}
		linked := role.Principal{Name: "Rosa", UID: new(uint32(0)), Person: string(cyd)} // the account came to be linked to its person
		w.no(w.book.SetMember(w.ctx(), linked, good.ID, "uid:8", true, "r"))
	})
}

func TestNoticesAreKept(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		h := w.place(hold.Scope{Custodians: []string{string(ann)}})
		ctx := w.ctx()
		for what, n := range map[string]Notice{
			"nobody's":     {Custodian: string(bob), State: NoticeSent, Text: "t"},
			"no text":      {Custodian: string(ann), State: NoticeSent},
			"no state":     {Custodian: string(ann), State: "read"},
			"not sent yet": {Custodian: string(ann), State: NoticeAcknowledged},
			"long":         {Custodian: string(ann), State: NoticeSent, Text: strings.Repeat("x", MaxNotice+1)},
		} {
			if err := w.book.Notice(ctx, officer, h, n); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		w.no(w.book.Notice(ctx, officer, h, Notice{Custodian: string(ann), State: NoticeSent, Text: "keep everything"}))
		w.no(w.book.Notice(ctx, second, h, Notice{Custodian: string(ann), State: NoticeReminded}))
		w.no(w.book.Notice(ctx, officer, h, Notice{Custodian: string(ann), State: NoticeAcknowledged}))
		w.reopen()
		v, _ := w.book.Hold(h)
		if len(v.Notices) != 3 || v.Notices[0].Text != "keep everything" || v.Notices[1].By.Person != second.Person || v.Notices[2].State != NoticeAcknowledged {
			t.Errorf("%+v", v.Notices)
		}
	})
}
