package notice

import (
	"net/netip"
	"strconv"
	"strings"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
)

// Look is an entry of class audit as its copy leaves the machine: who did what
// when, by number. Names, reasons, matters, queries, and what was found stay
// inside; whoever investigates finds them by seq with `holdfast audit`.
//
// As a log line it is a message of facility 13 (log audit) with MSGID "audit",
// the entry's received time, no text, and these as structured data.
type Look struct {
	Kind    string // access or outcome
	Action  string // of an access
	Who     string // of an access: person:GUID, uid:N, daemon, or unknown
	Via     string // socket, https, break-glass
	Address string // IP address of the other end, over HTTPS
	Code    string // why it was refused, or failed
	Count   uint64 // how many of the same it stands for, when more than one
	Of      uint64 // of an outcome: seq of its access
	Result  string // of an outcome
	Shown   uint64 // of an outcome: entries handed out
	Own     bool   // of an outcome: the person's own messages were among them
	Lost    bool   // the entry's body is gone or damaged: nothing but its place is known
}

// lookOf reads an entry of class audit.
func lookOf(rec archive.Record) Look {
	l := Look{Kind: rec.Leaf.Kind.String()}
	switch rec.Leaf.Kind {
	case proof.KindAccess:
		var a audit.Access
		if ijson.Unmarshal(rec.Body, &a) != nil {
			return Look{Kind: l.Kind, Lost: true}
		}
		l.Who, l.Via, l.Address, l.Count = whoOf(a.Principal), viaOf(a.Principal), addressOf(a.Principal), a.Count
		l.Action, l.Code = "unknown", word(a.Code)
		if a.Action.Valid() {
			l.Action = string(a.Action)
		}
	case proof.KindOutcome:
		var o audit.Outcome
		if ijson.Unmarshal(rec.Body, &o) != nil {
			return Look{Kind: l.Kind, Lost: true}
		}
		l.Of, l.Result, l.Shown, l.Own, l.Code = o.Of, word(o.Result), o.Shown, o.Own, word(o.Code)
	}
	return l
}

// whoOf returns a principal by number. Somebody who failed to log in has none.
func whoOf(p role.Principal) string {
	switch {
	case p.Person != "" && strings.Trim(p.Person, "0123456789abcdefABCDEF-") == "":
		return "person:" + p.Person
	case p.UID != nil:
		return "uid:" + strconv.FormatUint(uint64(*p.UID), 10)
	case p.Via == role.ViaDaemon:
		return role.ViaDaemon
	}
	return "unknown"
}

func viaOf(p role.Principal) string {
	switch p.Via {
	case role.ViaHTTPS, role.ViaBreakGlass, role.ViaDaemon:
		return p.Via
	}
	return role.ViaSocket
}

func addressOf(p role.Principal) string {
	a, err := netip.ParseAddr(p.Address)
	if err != nil {
		return ""
	}
	return a.WithZone("").String()
}

// pairs is the look as structured data.
func (l Look) pairs() [][2]string {
	number := func(n uint64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatUint(n, 10)
	}
	yes := func(b bool) string {
		if b {
			return "1"
		}
		return ""
	}
	out := [][2]string{
		{"kind", l.Kind}, {"action", l.Action}, {"who", l.Who}, {"via", l.Via}, {"address", l.Address}, {"code", l.Code}, {"count", number(l.Count)},
		{"of", number(l.Of)}, {"result", l.Result}, {"own", yes(l.Own)}, {"lost", yes(l.Lost)},
	}
	if l.Result != "" {
		out = append(out, [2]string{"shown", strconv.FormatUint(l.Shown, 10)})
	}
	return out
}

// severity is that of RFC 5424: a refusal, and whoever breaks the glass, stand
// out.
func (l Look) severity() int {
	switch {
	case l.Action == string(audit.ActionBreakGlass), l.Action == string(audit.ActionRefused), l.Code != "", l.Lost:
		return severityNotice
	}
	return severityInfo
}
