package api

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/role"
)

// Whatever is sent to whichever endpoint, over either way, the answer is a
// success or a problem with a hint that repeats nothing of it, no look goes
// unrecorded, and nothing panics.
func FuzzRequests(f *testing.F) {
	names := slices.Sorted(maps.Keys(bodies))
	for i, name := range names {
		f.Add(uint8(i), true, []byte(bodies[name]))
		f.Add(uint8(i), false, []byte(strings.Replace(bodies[name], `"r"`, `"zebra-zebra"`, 1)))
	}
	for i := range names {
		for _, odd := range []string{
			`{"query":"zebra-zebra OR (b","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"}`, `{"seqs":[1,2,3],"matter":"\u0000"}`, `null`, `[]`, `{"who":"zebra-zebra","reason":"\ud800"}`,
			`{"digest":"zebra-zebra","reason":"r"}`, `{"name":"zebra-zebra","password":""}`, `{"kid":"zebra-zebra","fingerprint":"x","reason":"r"}`,
			`{"since":"zebra-zebra"}`, `{"matter":"M-1","scope":{"query":"zebra-zebra OR (b"},"reason":"r"}`, `{"matter":"M-1","scope":{"custodians":["zebra-zebra"]},"reason":"r"}`,
			`{"seq":50,"scope":{"all":true,"from":"zebra-zebra"},"reason":"r"}`, `{"seq":50,"keep":{"groups":["zebra-zebra"]},"reason":"r"}`, `{"id":"zebra-zebra","reason":"r"}`,
			`{"matter":"zebra-zebra","scope":{"custodians":["usr:zebra-zebra"],"query":"hold:zebra-zebra"},"reason":"r"}`, `{"text":"zebra-zebra","reason":"r"}`, `{"custodian":"zebra-zebra","officer":"x","reason":"r"}`, `{"seq":18446744073709551615,"reason":"r"}`,
		} {
			f.Add(uint8(i), false, []byte(odd))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, socket bool, body []byte) {
		name := names[int(which)%len(names)]
		w := furnished(t)
		every := []role.Grant{}
		for _, r := range role.All() {
			every = append(every, role.Grant{Role: r})
		}
		w.grants["token-every"] = every
		s := w.server()
		p := s.Parts
		p.Auth, p.Registry, p.Log = everybody{p.Auth, every}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
		s, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		w.furnish(t, s, &caller{who: role.Principal{Person: cy}})
		method, path, _ := strings.Cut(name, " ")
		e, token := end{via: role.ViaHTTPS, address: "192.0.2.1"}, "token-every"
		if socket {
			e, token = end{via: role.ViaSocket, uid: 1000, name: "account"}, ""
		}
		a := as(s.Handler(), e, token, method, path, string(body))
		if a.Code != http.StatusOK {
			p, err := parseProblem(a.Body.Bytes())
			if err != nil || p.Hint == "" || a.Code >= 500 || p.Status != a.Code {
				t.Errorf("%s %q: %d %s", name, body, a.Code, a.Body)
			}
			if strings.Contains(a.Body.String(), "zebra-zebra") {
				t.Errorf("%s %q: the problem repeats it: %s", name, body, a.Body)
			}
		}
		recorded := false
		for _, did := range w.traced() {
			verb, _, _ := strings.Cut(did, " ")
			switch verb {
			case "append":
				recorded = recorded || did == "append access"
			case "find", "matters", "login", "logout", "break", "ticket", "reset": // these the Auth records; who is meant, and for which matter, is found before
			case "anchored?", "paused?", "restored?": // how the machine stands: these show nobody's messages, and are no look
			default:
				if !recorded {
					t.Errorf("%s %q: %q unrecorded", name, body, w.traced())
				}
			}
		}
	})
}

// everybody holds every role.
type everybody struct {
	Auth
	grants []role.Grant
}

func (e everybody) Local(uid uint32, name string) (role.Principal, []role.Grant) {
	who, _ := e.Auth.Local(uid, name)
	return who, e.grants
}
