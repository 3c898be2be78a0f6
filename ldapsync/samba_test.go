package ldapsync

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"holdfast/archive/people"
	"holdfast/internal/adtest"
)

// hospital is a real domain controller, two proxies in front of it that enforce
// Microsoft's limits, and how many cases have met it.
type hospital struct {
	dc     *adtest.DC
	one    *adtest.Proxy
	two    *adtest.Proxy
	lines  *lockedText // everything that was logged
	real   int         // cases that ran against Samba
	forged int         // cases whose answer is the proxy's own, because Samba does not give it
}

// TestSamba runs against a real Active Directory domain controller. It says how
// many cases did, so that a run in which they are missing is noticed.
func TestSamba(t *testing.T) {
	h := &hospital{dc: adtest.Samba(t), lines: new(lockedText)}
	for _, p := range []**adtest.Proxy{&h.one, &h.two} {
		proxy, err := adtest.NewProxy(t.TempDir(), h.dc, adtest.Microsoft)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		*p = proxy
	}
	start := time.Now()
	h.reading(t)
	h.faults(t)
	h.transport(t)
	h.lives(t)
	h.rails(t)
	h.logins(t)
	h.run(t, "logs name nobody", func(t *testing.T) {
		text := h.lines.String()
		for _, secret := range []string{adtest.BindPassword, adtest.Password, "p0001", "hospital.test", "Abel", "all-staff"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q stands in the log", secret)
			}
		}
		if !strings.Contains(text, "not synchronised") {
			t.Error("nothing was logged: this case sees nothing")
		}
	})
	if h.real < 100 {
		t.Errorf("only %d cases ran against the real directory", h.real)
	}
	line := fmt.Sprintf("real AD: %d cases against Samba, %d more with answers that Samba does not give, %.0f s", h.real, h.forged, time.Since(start).Seconds())
	t.Log(line)
	fmt.Println(line)
}

// run is one case against the real domain controller. The proxies are right
// when it begins.
func (h *hospital) run(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	for _, p := range []*adtest.Proxy{h.one, h.two} {
		p.Set(adtest.Fault{})
		if err := p.SetTLS(adtest.TLSRight); err != nil {
			t.Fatal(err)
		}
		p.Reset()
	}
	h.real++
	t.Run(name, f)
}

// forge is one case in which a proxy answers instead of Samba.
func (h *hospital) forge(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	h.run(t, name, f)
	h.real--
	h.forged++
}

// options are those for the whole directory through the first proxy.
func (h *hospital) options(urls ...string) Options {
	if len(urls) == 0 {
		urls = []string{h.one.URL()}
	}
	return Options{
		URLs: urls, CA: h.dc.CAFile(), Bind: adtest.BindUPN, Password: func() (string, error) { return adtest.BindPassword, nil },
		Base: []string{adtest.StaffDN}, GroupBase: []string{adtest.GroupsDN}, Timeout: time.Minute,
		Logger: slog.New(slog.NewTextHandler(h.lines, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// department narrows options to 150 people and the groups, in 6 + 5 pages, for
// cases that need no more.
func (h *hospital) department(urls ...string) Options {
	o := h.options(urls...)
	o.Base, o.Page = departments("03"), 25
	return o
}

// departments are the bases of some departments, of 150 people each.
func departments(numbers ...string) []string {
	var out []string
	for _, n := range numbers {
		out = append(out, "OU=Department "+n+","+adtest.StaffDN)
	}
	return out
}

// syncer is a Syncer on an empty log.
func (h *hospital) syncer(t *testing.T, o Options) (*Syncer, *memory) {
	t.Helper()
	log := &memory{history: people.NewHistory()}
	o.Log, o.History, o.CatchUp = log, log.history, log.CatchUp
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

func (h *hospital) guid(t *testing.T, account string) people.GUID {
	t.Helper()
	g, err := people.ParseGUID(h.dc.GUID(account))
	if err != nil {
		t.Fatalf("%s: %v", account, err)
	}
	return g
}

func read(t *testing.T, o Options) *people.Snapshot {
	t.Helper()
	snap, _, err := Read(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func byAccount(s *people.Snapshot) map[string]people.Person {
	out := map[string]people.Person{}
	for _, p := range s.People {
		out[p.Account] = p
	}
	return out
}

func groupNamed(t *testing.T, s *people.Snapshot, account string) people.Group {
	t.Helper()
	for _, g := range s.Groups {
		if g.Account == account {
			return g
		}
	}
	t.Fatalf("no group %s", account)
	return people.Group{}
}

// reading reads the directory whole, in every way that gives the same.
func (h *hospital) reading(t *testing.T) {
	direct := read(t, h.options(h.dc.URL()))
	h.run(t, "3,000 people and 114 groups", func(t *testing.T) { h.inventory(t, direct) })
	h.run(t, "the same through Microsoft's limits", func(t *testing.T) {
		if got := read(t, h.options()); !reflect.DeepEqual(got, direct) {
			t.Errorf("read %d people and %d groups, not the same as read directly", len(got.People), len(got.Groups))
		}
	})
	part := read(t, h.department(h.dc.URL()))
	for name, change := range map[string]func(o *Options){
		"by StartTLS":                 func(o *Options) { o.URLs = []string{h.dc.StartTLSURL()} },
		"by StartTLS through a proxy": func(o *Options) { o.URLs = []string{h.one.StartTLSURL()} },
		"in pages of 7":               func(o *Options) { o.Page = 7 },
		"in pages of 1000":            func(o *Options) { o.Page = 1000 },
		"from a base twice":           func(o *Options) { o.Base = append(o.Base, o.Base[0]) },
		"bound by DN":                 func(o *Options) { o.Bind = adtest.BindDN },
		"with the groups' base twice": func(o *Options) { o.GroupBase = append(o.GroupBase, "CN=hospital,"+adtest.GroupsDN) },
	} {
		h.run(t, "the same "+name, func(t *testing.T) {
			o := h.department()
			change(&o)
			if got := read(t, o); !reflect.DeepEqual(got, part) {
				t.Errorf("read %d people and %d groups, not the same as read directly", len(got.People), len(got.Groups))
			}
		})
	}
	h.run(t, "ranged members were asked for", func(t *testing.T) {
		o := h.department()
		if n := len(groupNamed(t, read(t, o), adtest.LargestGroup).Members); n != 120 {
			t.Errorf("%d members of the department are in the largest group, want 120", n)
		}
		if c := h.one.Counts(); c.Searches != c.Pages+1 {
			t.Errorf("%d searches, %d of them pages: want one for the rest of a range", c.Searches, c.Pages)
		}
	})
	h.run(t, "a filter narrows", func(t *testing.T) {
		o := h.department()
		o.Filter = "(title=Physician)"
		if n := len(read(t, o).People); n != 50 {
			t.Errorf("%d people, want 50", n)
		}
	})
	h.run(t, "a base that is not there", func(t *testing.T) {
		o := h.department()
		o.Base = append(o.Base, "OU=Nowhere,"+adtest.BaseDN)
		h.fails(t, o, ClassBase)
	})
	h.run(t, "the domain itself as base", func(t *testing.T) {
		o := h.options(h.dc.URL())
		o.Base, o.GroupBase = []string{adtest.BaseDN}, []string{adtest.BaseDN}
		got := read(t, o)
		if len(got.People) <= adtest.SeedPeople || len(got.Groups) <= adtest.SeedGroups {
			t.Errorf("%d people and %d groups: want Samba's own too", len(got.People), len(got.Groups))
		}
		if n := len(groupNamed(t, got, "Domain Users").Members); n < adtest.SeedPeople-50 {
			t.Errorf("%d people have Domain Users as primary group", n)
		}
		if g := groupNamed(t, got, adtest.PrimaryGroup); len(g.Members) != 50 {
			t.Errorf("the primary group has %d members", len(g.Members))
		}
	})
}

// inventory checks what the seed says of itself.
func (h *hospital) inventory(t *testing.T, s *people.Snapshot) {
	t.Helper()
	if len(s.People) != adtest.SeedPeople || len(s.Groups) != adtest.SeedGroups {
		t.Fatalf("%d people and %d groups", len(s.People), len(s.Groups))
	}
	var disabled, expired int
	for g, p := range s.People {
		if p.Disabled {
			disabled++
		}
		if p.Gone(time.Now()) == people.WhyExpired {
			expired++
		}
		if p.GUID != g || p.Name == "" || p.Mail == "" || p.Department == "" || p.SID == "" || p.PrimaryGroup == "" {
			t.Errorf("a person is not whole: %+v", p)
		}
		if !strings.HasPrefix(p.Account, "p") {
			t.Errorf("%s is no person", p.Account)
		}
	}
	if disabled != adtest.SeedDisabled || expired != adtest.SeedExpired {
		t.Errorf("%d disabled and %d expired", disabled, expired)
	}
	for account, want := range map[string]int{
		adtest.LargestGroup: adtest.SeedLargest, adtest.PrimaryGroup: 50, "nobody": 0, "hospital": 2, "all-clinical": 10, "cycle-a": 2, "nest-01": 1, "dept-03": 150,
	} {
		if n := len(groupNamed(t, s, account).Members); n != want {
			t.Errorf("%s has %d members, want %d", account, n, want)
		}
	}
	who := byAccount(s)
	if got, want := who["p0097"].Name, `Kaya, "Hiroshi" <Zoë>; #0097+x=\y`; !strings.HasSuffix(got, `" <Zoë>; #0097+x=\y`) {
		t.Errorf("an awkward name is %q, want one like %q", got, want)
	}
	for _, account := range []string{"p0001", "p0097", "p3000"} {
		if g := h.guid(t, account); who[account].GUID != g {
			t.Errorf("%s has GUID %s, Samba says %s", account, who[account].GUID, g)
		}
	}
	first, nurses := who["p0101"], groupNamed(t, s, adtest.PrimaryGroup)
	if first.PrimaryGroup != nurses.SID || !slices.Contains(nurses.Members, first.GUID) {
		t.Error("a person is not in their primary group")
	}
}

// fails reads, and wants a failure of a class and nothing else.
func (h *hospital) fails(t *testing.T, o Options, classes ...Class) {
	t.Helper()
	snap, _, err := Read(t.Context(), o)
	if snap != nil || !slices.Contains(classes, classOf(err)) {
		t.Errorf("read %v: %v, want nothing and %v", snap != nil, err, classes)
	}
}

// BenchmarkSambaSync reads 3,000 people and 114 groups and finds nothing new,
// which is what a synchronisation mostly does. The first one, which appends
// them all, is measured by itself; sync/search is the whole as a multiple of
// the same searches alone.
func BenchmarkSambaSync(b *testing.B) {
	dc, err := adtest.StartSamba(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(dc.Stop)
	h := &hospital{dc: dc, lines: new(lockedText)}
	o := h.options(dc.URL())
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	log := &memory{history: people.NewHistory()}
	o.Log, o.History, o.CatchUp = log, log.history, log.CatchUp
	s, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if _, err := s.Sync(context.Background()); err != nil {
		b.Fatal(err)
	}
	first := time.Since(start)
	plain := plainly(b, &o)
	b.ReportAllocs()
	for b.Loop() {
		r, err := s.Sync(context.Background())
		if err != nil || r.People != adtest.SeedPeople || r.Groups != adtest.SeedGroups || len(r.Changes) > 0 {
			b.Fatalf("%v: %v", r, err)
		}
	}
	b.ReportMetric(first.Seconds(), "s/first")
	each := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(each, "s/sync")
	b.ReportMetric(each/plain.Seconds(), "sync/search")
}

// plainly is how long the same searches take when nothing is made of them.
func plainly(b *testing.B, o *Options) time.Duration {
	b.Helper()
	if err := o.defaults(); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	c, err := o.connect(b.Context(), target{host: strings.Split(strings.TrimPrefix(o.URLs[0], "ldaps://"), ":")[0], address: strings.TrimPrefix(o.URLs[0], "ldaps://")})
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	n := 0
	for _, q := range []*query{
		{base: adtest.StaffDN, scope: ldap.ScopeWholeSubtree, filter: peopleFilter, attributes: personAttributes},
		{base: adtest.GroupsDN, scope: ldap.ScopeWholeSubtree, filter: groupsFilter, attributes: groupAttributes, extended: true},
	} {
		r, err := c.ldap.SearchWithPaging(q.request(0), 1000)
		if err != nil {
			b.Fatal(err)
		}
		n += len(r.Entries)
	}
	if n != adtest.SeedPeople+adtest.SeedGroups {
		b.Fatalf("%d entries", n)
	}
	return time.Since(start)
}
