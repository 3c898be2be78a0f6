package ldapsync

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/adtest"
)

// lockedText is text that several goroutines write.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// faults reads through a proxy that does something wrong: nothing may be left
// of it.
func (h *hospital) faults(t *testing.T) {
	cut := func(name string, o Options, f adtest.Fault) {
		h.run(t, fmt.Sprintf("cut at page %d of %s clean %t end %t", f.CutPage, name, f.Clean, f.CutPageEnd), func(t *testing.T) {
			h.one.Set(f)
			h.fails(t, o, ClassUnreachable)
			if h.one.Counts().Cut == 0 {
				t.Error("nothing was cut")
			}
		})
	}
	for n := 1; n <= 3+1; n++ { // of people and of groups
		cut("all", h.options(), adtest.Fault{CutPage: n, Clean: n%2 == 0})
	}
	for n := 1; n <= 6+5; n++ {
		cut("a department", h.department(), adtest.Fault{CutPage: n})
		cut("a department", h.department(), adtest.Fault{CutPage: n, Clean: true})
		cut("a department", h.department(), adtest.Fault{CutPage: n, Clean: true, CutPageEnd: true})
	}
	for _, n := range []int{1, 2, 3, 77, 151} {
		h.run(t, fmt.Sprintf("cut at message %d", n), func(t *testing.T) {
			h.one.Set(adtest.Fault{CutMessage: n, Clean: n%2 == 0})
			h.fails(t, h.department(), ClassUnreachable)
		})
	}
	for name, c := range map[string]struct {
		fault   adtest.Fault
		classes []Class
		forged  bool // Samba is not asked
	}{
		"silent from the start":     {adtest.Fault{SilentAfter: -1}, []Class{ClassTimeout}, true},
		"silent after the bind":     {adtest.Fault{SilentAfter: 1}, []Class{ClassTimeout}, false},
		"silent in a page":          {adtest.Fault{SilentAfter: 77}, []Class{ClassTimeout}, false},
		"silent before a page ends": {adtest.Fault{SilentAfter: 151}, []Class{ClassTimeout}, false},
		"too slow":                  {adtest.Fault{Delay: 60 * time.Millisecond}, []Class{ClassTimeout}, false},
		"code 1":                    {adtest.Fault{Code: 1}, []Class{ClassOther}, false},
		"code 3":                    {adtest.Fault{Code: 3}, []Class{ClassTimeLimit}, false},
		"code 4":                    {adtest.Fault{Code: 4}, []Class{ClassSizeLimit}, false},
		"code 51":                   {adtest.Fault{Code: 51}, []Class{ClassBusy}, false},
		"code 52":                   {adtest.Fault{Code: 52}, []Class{ClassBusy}, false},
		"bind refused with 51":      {adtest.Fault{BindCode: 51}, []Class{ClassBusy}, true},
		"bind refused with 52":      {adtest.Fault{BindCode: 52}, []Class{ClassBusy}, true},
		"bind refused with 49":      {adtest.Fault{BindCode: 49}, []Class{ClassBind}, true},
		"GUIDs of 15 bytes":         {adtest.Fault{ShortGUID: true}, []Class{ClassPartial}, false},
		"no paging control":         {adtest.Fault{NoPaging: true}, []Class{ClassPartial}, false},
		"the same range again":      {adtest.Fault{StaleRange: true}, []Class{ClassPartial}, false},
	} {
		run := h.run
		if c.forged {
			run = h.forge
		}
		run(t, name, func(t *testing.T) {
			o := h.department()
			if c.classes[0] == ClassTimeout {
				o.Timeout = time.Second
			}
			h.one.Set(c.fault)
			h.fails(t, o, c.classes...)
		})
	}
	h.run(t, "slow but whole", func(t *testing.T) {
		h.one.Set(adtest.Fault{Delay: 2 * time.Millisecond})
		if n := len(read(t, h.department()).People); n != 150 {
			t.Errorf("%d people", n)
		}
	})
	h.failover(t)
}

// failover reads from two domain controllers, of which the first does wrong.
func (h *hospital) failover(t *testing.T) {
	for name, fault := range map[string]adtest.Fault{
		"on a cut":           {CutPage: 1},
		"on silence":         {SilentAfter: 5},
		"on 51":              {Code: 51},
		"on 52 at the bind":  {BindCode: 52},
		"on silence at once": {SilentAfter: -1},
	} {
		h.run(t, "failover "+name, func(t *testing.T) {
			o := h.department(h.one.URL(), h.two.URL())
			if fault.SilentAfter != 0 {
				o.Timeout = 12 * time.Second // the other one has to answer within it, on whatever machine
			}
			s, _ := h.syncer(t, o)
			h.one.Set(fault)
			r, err := s.Sync(t.Context())
			if err != nil || r.People != 150 {
				t.Fatalf("%v, %v", r, err)
			}
			before := h.one.Counts().Connections
			if _, err := s.Sync(t.Context()); err != nil || h.one.Counts().Connections != before {
				t.Errorf("the one that answered is not asked first: %v", err)
			}
		})
	}
	h.run(t, "no failover on a refused password", func(t *testing.T) {
		o := h.department(h.one.URL(), h.two.URL())
		o.Password = func() (string, error) { return "not-the-passw0rd", nil }
		h.fails(t, o, ClassBind)
		if h.one.Counts().Binds != 1 || h.two.Counts().Connections != 0 {
			t.Errorf("bound %d times, the other was asked %d times", h.one.Counts().Binds, h.two.Counts().Connections)
		}
	})
	h.run(t, "both at fault", func(t *testing.T) {
		h.one.Set(adtest.Fault{Code: 51})
		h.two.Set(adtest.Fault{CutMessage: 1})
		_, _, err := Read(t.Context(), h.department(h.one.URL(), h.two.URL()))
		if !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
	h.run(t, "one that nobody listens at", func(t *testing.T) {
		gone, err := adtest.NewProxy(t.TempDir(), h.dc, adtest.Microsoft)
		if err != nil {
			t.Fatal(err)
		}
		gone.Close()
		if n := len(read(t, h.department(gone.URL(), h.two.URL())).People); n != 150 {
			t.Errorf("%d people", n)
		}
		h.fails(t, h.department(gone.URL()), ClassUnreachable)
	})
}

// transport shows wrong certificates and no TLS: no bind may be sent.
func (h *hospital) transport(t *testing.T) {
	for _, kind := range []adtest.TLSKind{adtest.TLSWrongName, adtest.TLSWrongCA, adtest.TLSExpired, adtest.TLSOld, adtest.TLSPlain} {
		for name, address := range map[string]string{"LDAPS": h.one.URL(), "StartTLS": h.one.StartTLSURL()} {
			h.forge(t, fmt.Sprintf("%s with %s", name, kind), func(t *testing.T) {
				if err := h.one.SetTLS(kind); err != nil {
					t.Fatal(err)
				}
				h.unbound(t, address)
			})
		}
	}
	h.forge(t, "StartTLS refused", func(t *testing.T) {
		h.one.Set(adtest.Fault{StartTLSCode: 52})
		h.unbound(t, h.one.StartTLSURL())
	})
	h.forge(t, "a right certificate and another CA in the configuration", func(t *testing.T) {
		other, err := adtest.NewAuthority(t.TempDir(), "other.pem")
		if err != nil {
			t.Fatal(err)
		}
		o := h.department()
		o.CA = other.File
		h.fails(t, o, ClassTLS)
		if c := h.one.Counts(); c.Binds+c.PlainBinds != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// unbound reads and logs in at an address that is not to be trusted.
func (h *hospital) unbound(t *testing.T, address string) {
	t.Helper()
	o := h.department(address)
	o.Timeout = 2 * time.Second
	s, _ := h.syncer(t, o)
	_, err := s.Sync(t.Context())
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("reading: %v", err)
	}
	if _, err := s.Authenticate(t.Context(), "p0003", adtest.Password); !errors.Is(err, ErrUnavailable) {
		t.Errorf("logging in: %v", err)
	}
	if c := h.one.Counts(); c.Binds != 0 || c.PlainBinds != 0 || c.Connections == 0 {
		t.Errorf("bind requests: %+v", c)
	}
	raw := h.one.Raw()
	for _, secret := range []string{adtest.BindPassword, adtest.Password, adtest.BindUPN} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%q was on the wire", secret)
		}
	}
}
