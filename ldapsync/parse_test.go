package ldapsync

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"holdfast/internal/adtest"
)

func TestRangeOf(t *testing.T) {
	for name, want := range map[string]struct {
		s       span
		is, bad bool
	}{
		"member":                            {},
		"memberOf;range=0-1":                {},
		"member;range=0-1499":               {s: span{0, 1499, false}, is: true},
		"Member;Range=1500-2999":            {s: span{1500, 2999, false}, is: true},
		"member;range=3000-*":               {s: span{low: 3000, last: true}, is: true},
		"member;range=0-0":                  {is: true},
		"member;range=":                     {is: true, bad: true},
		"member;binary":                     {is: true, bad: true},
		"member;range=5-4":                  {is: true, bad: true},
		"member;range=*-4":                  {is: true, bad: true},
		"member;range=-1-4":                 {is: true, bad: true},
		"member;range=01-4":                 {is: true, bad: true},
		"member;range=0-1e3":                {is: true, bad: true},
		"member;range=0-99999999999999999":  {is: true, bad: true},
		"member;range=0-1499;range=0-1499 ": {is: true, bad: true},
	} {
		s, is, err := rangeOf(name, "member")
		if is != want.is || (err != nil) != want.bad || err == nil && s != want.s {
			t.Errorf("%s: %+v, %v, %v", name, s, is, err)
		}
	}
}

func TestSubCode(t *testing.T) {
	for _, c := range []string{"525", "52e", "530", "531", "532", "533", "701", "773", "775"} {
		if got := subCode(adtest.SubCodeText(c)); got != c {
			t.Errorf("%s: %q", c, got)
		}
	}
	for diagnostic, want := range map[string]string{
		"": "", "data 52e, v1": "", "x, data 52E, v1": "52e", "x, data 52e": "", "x, data , v1": "", "x, data 123456789, v1": "",
		"x, data 52e; name=Jane, v1": "", "x, data Jane, v1": "",
	} {
		if got := subCode(diagnostic); got != want {
			t.Errorf("%q: %q, want %q", diagnostic, got, want)
		}
	}
}

func TestExpires(t *testing.T) {
	for _, never := range []string{"", "0", strconv.Itoa(math.MaxInt64), strconv.Itoa(math.MaxInt64 - 1)} {
		if at, err := expiresAt(never); at != nil || err != nil {
			t.Errorf("%q: %v, %v", never, at, err)
		}
	}
	// (1893456000 + 11644473600) seconds since 1601, in units of 100 ns.
	if at, err := expiresAt("135379296000000000"); err != nil || !at.Equal(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", at, err)
	}
	if at, err := expiresAt("1"); err != nil || !at.Equal(time.Date(1601, 1, 1, 0, 0, 0, 100, time.UTC)) {
		t.Errorf("%v, %v", at, err)
	}
	for _, bad := range []string{"x", "-1", "1.5", "9223372036854775808"} {
		if _, err := expiresAt(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	raw := []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if g, err := guidOf(raw); err != nil || g != "00112233-4455-6677-8899-aabbccddeeff" {
		t.Errorf("%s, %v", g, err)
	}
	for _, bad := range [][]byte{nil, raw[:15], append(raw, 0), make([]byte, 16)} {
		if g, err := guidOf(bad); err == nil {
			t.Errorf("%x is %s", bad, g)
		}
	}
	sid := []byte{1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 0xe8, 3, 0, 0, 0xd0, 7, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 0, 0}
	s, err := sidOf(sid)
	if err != nil || s != "S-1-5-21-1000-2000-4294967295-513" {
		t.Errorf("%s, %v", s, err)
	}
	if p, err := primarySID(s, "514"); err != nil || p != "S-1-5-21-1000-2000-4294967295-514" {
		t.Errorf("%s, %v", p, err)
	}
	for _, bad := range [][]byte{nil, sid[:27], append(sid, 0), {2, 0, 0, 0, 0, 0, 0, 5}, {1, 16, 0, 0, 0, 0, 0, 5}} {
		if s, err := sidOf(bad); err == nil {
			t.Errorf("%x is %s", bad, s)
		}
	}
	if _, err := primarySID(s, "4294967296"); err == nil {
		t.Error("a number of 33 bits is a group's")
	}
	n := nameOf("<GUID=00112233-4455-6677-8899-AABBCCDDEEFF>;<SID=S-1-5-21-1>;CN=a>;b,DC=x")
	if n.guid != "00112233-4455-6677-8899-aabbccddeeff" || n.dn != "CN=a>;b,DC=x" {
		t.Errorf("%+v", n)
	}
	if n := nameOf("CN=plain,DC=x"); n.guid != "" || n.dn != "CN=plain,DC=x" {
		t.Errorf("%+v", n)
	}
}

func TestAccount(t *testing.T) {
	for s, want := range map[string][2]bool{"512": {}, "514": {true, false}, "66050": {true, false}, "4096": {false, true}, "2080": {false, true}, "-2147483136": {}} {
		if disabled, machine, err := account(s); err != nil || [2]bool{disabled, machine} != want {
			t.Errorf("%s: %v %v %v", s, disabled, machine, err)
		}
	}
	for _, bad := range []string{"", "x"} {
		if _, _, err := account(bad); err == nil {
			t.Errorf("%q counts as enabled", bad)
		}
	}
}

// TestMembers reads the forms in which Active Directory gives a long list.
func TestMembers(t *testing.T) {
	values := func(n int) []string { return strings.Split(strings.Repeat("x", n), "") }
	for name, c := range map[string]struct {
		names []string
		sizes []int
		want  int
		s     span
		bad   bool
	}{
		"none":             {want: 0, s: span{last: true}},
		"short":            {names: []string{"member"}, sizes: []int{3}, want: 3, s: span{last: true}},
		"empty and ranged": {names: []string{"member", "member;range=0-1499"}, sizes: []int{0, 1500}, want: 1500, s: span{high: 1499}},
		"ranged first":     {names: []string{"member;range=0-1499", "member"}, sizes: []int{1500, 0}, want: 1500, s: span{high: 1499}},
		"last":             {names: []string{"member;range=1500-*"}, sizes: []int{7}, want: 7, s: span{low: 1500, last: true}},
		"both":             {names: []string{"member", "member;range=0-1"}, sizes: []int{1, 2}, bad: true},
		"too few":          {names: []string{"member;range=0-1499"}, sizes: []int{1499}, bad: true},
		"twice":            {names: []string{"member;range=0-0", "member;range=1-1"}, sizes: []int{1, 1}, bad: true},
	} {
		e := &ldap.Entry{}
		for i, n := range c.names {
			e.Attributes = append(e.Attributes, ldap.NewEntryAttribute(n, values(c.sizes[i])))
		}
		got, s, err := members(e)
		if (err != nil) != c.bad || err == nil && (len(got) != c.want || s != c.s) {
			t.Errorf("%s: %d, %+v, %v", name, len(got), s, err)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"member;range=0-1499", "member;range=0-*", "member", "member;range=9-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, is, err := rangeOf(name, "member")
		if err != nil || !is {
			return
		}
		high := strconv.Itoa(s.high)
		if s.last {
			high = "*"
		}
		if s.low < 0 || !s.last && s.high < s.low || !strings.EqualFold(name, "member;range="+strconv.Itoa(s.low)+"-"+high) {
			t.Errorf("%q: %+v", name, s)
		}
	})
}

func FuzzSubCode(f *testing.F) {
	f.Add(adtest.SubCodeText("52e"))
	f.Add(", data ,")
	f.Fuzz(func(t *testing.T, s string) {
		c := subCode(s)
		if len(c) > 8 || strings.Trim(c, "0123456789abcdef") != "" || c != "" && !strings.Contains(strings.ToLower(s), ", data "+c+",") {
			t.Errorf("%q: %q", s, c)
		}
	})
}

func FuzzExpires(f *testing.F) {
	for _, s := range []string{"0", "9223372036854775807", "133485408000000000", "-1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := expiresAt(s)
		if err != nil && at != nil {
			t.Errorf("%q: %v and %v", s, at, err)
		}
		if at == nil {
			return
		}
		if _, err := at.MarshalJSON(); err != nil {
			t.Errorf("%q cannot be written: %v", s, err)
		}
		n, _ := strconv.ParseInt(s, 10, 64)
		if back := (at.Unix()+expiresEpoch)*expiresTick + int64(at.Nanosecond())/100; back != n {
			t.Errorf("%q is %d again", s, back)
		}
	})
}

func FuzzIdentifiers(f *testing.F) {
	f.Add([]byte{1, 1, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0}, "513")
	f.Add(make([]byte, 16), "x")
	f.Fuzz(func(t *testing.T, raw []byte, id string) {
		if g, err := guidOf(raw); err == nil {
			back, err := g.Bytes()
			if err != nil || string(back[:]) != string(raw) {
				t.Errorf("%x: %s", raw, g)
			}
			if n := nameOf("<GUID=" + string(g) + ">;" + id); !strings.HasPrefix(id, "<") && (n.guid != g || n.dn != id) {
				t.Errorf("%q: %+v", id, n)
			}
		}
		s, err := sidOf(raw)
		if err != nil {
			return
		}
		if strings.Count(s, "-") != 2+int(raw[1]) {
			t.Errorf("%x: %s", raw, s)
		}
		if p, err := primarySID(s, id); err == nil && p != "" && strings.Count(p, "-") != strings.Count(s, "-") {
			t.Errorf("%s, %s: %s", s, id, p)
		}
	})
}

// FuzzMembers gives an entry whose attributes' names a server made up.
func FuzzMembers(f *testing.F) {
	f.Add("member", "member;range=0-1", uint8(0), uint8(2))
	f.Fuzz(func(t *testing.T, a, b string, n, m uint8) {
		e := &ldap.Entry{Attributes: []*ldap.EntryAttribute{
			ldap.NewEntryAttribute(a, make([]string, n)), ldap.NewEntryAttribute(b, make([]string, m)),
		}}
		got, s, err := members(e)
		if err == nil && !s.last && len(got) != s.high-s.low+1 {
			t.Errorf("%q %q: %d values for %+v", a, b, len(got), s)
		}
	})
}
