package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"holdfast/internal/role"
)

// Duration is a length of time such as "15m" or "10h".
type Duration struct{ time.Duration }

// UnmarshalText reads a length of time. It is positive.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	if d.Duration, err = time.ParseDuration(string(b)); err != nil || d.Duration <= 0 {
		return errors.New("not a length of time such as 15m or 10h")
	}
	return nil
}

func (d *Duration) orDefault(t time.Duration) { d.Duration = cmp.Or(d.Duration, t) }

// Date is a day, "2026-12-31".
type Date struct{ time.Time }

// UnmarshalText reads a day.
func (d *Date) UnmarshalText(b []byte) (err error) {
	if d.Time, err = time.Parse(time.DateOnly, string(b)); err != nil {
		return errors.New("not a day such as \"2026-12-31\"")
	}
	return nil
}

// checkPeople checks what has to do with people, and fills in defaults.
func (c *Config) checkPeople() error {
	seen := map[uint32]bool{}
	for _, a := range c.Accounts {
		if seen[a.UID] {
			return fmt.Errorf("account: uid %d stands there twice", a.UID)
		}
		seen[a.UID] = true
		for _, r := range a.Roles {
			if err := checkRole("account.roles", r); err != nil {
				return err
			}
		}
	}
	if c.Directory != nil {
		if err := c.Directory.check(); err != nil {
			return err
		}
	}
	if h := c.HTTPS; h != nil {
		if _, port, err := net.SplitHostPort(h.Listen); err != nil || port == "" {
			return errors.New("https.listen is ADDRESS:PORT, e.g. 10.0.0.5:8443 or :8443")
		}
		if h.Cert == "" || h.Key == "" {
			return errors.New("https.cert and https.key are required: the server's certificate and its key")
		}
		if c.Directory == nil {
			return errors.New("https without a directory: nobody could log in; add [directory], or leave https out")
		}
		h.Idle.orDefault(15 * time.Minute)
		h.Absolute.orDefault(10 * time.Hour)
		if h.Absolute.Duration < h.Idle.Duration {
			return errors.New("https.absolute is shorter than https.idle")
		}
	}
	if c.Provision.On() && (c.Relay == nil || c.Directory == nil) {
		return errors.New("provision needs a relay and a directory")
	}
	c.Watch.Zone = cmp.Or(c.Watch.Zone, c.TimeZone)
	return c.Watch.check(c.Directory != nil)
}

// Configured reports whether somebody has said who may do what.
func (c *Config) Configured() bool { return c.Directory != nil || len(c.Accounts) > 0 }

func checkRole(key string, r role.Role) error {
	if _, err := role.Parse(string(r)); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (d *Directory) check() error {
	for _, k := range []struct {
		key     string
		missing bool
	}{
		{"directory.urls", len(d.URLs) == 0}, {"directory.ca", d.CA == ""}, {"directory.bind", d.Bind == ""}, {"directory.base", len(d.Base) == 0},
	} {
		if k.missing {
			return fmt.Errorf("%s is missing", k.key)
		}
	}
	for _, text := range d.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "ldaps" && u.Scheme != "ldap" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return errors.New("directory.urls are ldaps://HOST[:PORT], or ldap://HOST[:PORT] for StartTLS")
		}
	}
	if slices.Contains(d.Base, "") || slices.Contains(d.GroupBase, "") {
		return errors.New("directory.base and directory.group_base are DNs; an empty one is none")
	}
	if len(d.GroupBase) == 0 {
		d.GroupBase = d.Base
	}
	d.Interval.orDefault(5 * time.Minute)
	d.Timeout.orDefault(15 * time.Second)
	if d.MaxLossPercent < 0 || d.MaxLossPercent > 100 || d.MaxLoss < 0 {
		return errors.New("directory.max_loss_percent is 0 to 100, directory.max_loss a number of people")
	}
	d.MaxLossPercent, d.MaxLoss = cmp.Or(d.MaxLossPercent, 5), cmp.Or(d.MaxLoss, 20)
	for _, g := range d.Roles {
		if g.Group == "" {
			return errors.New("directory.role without a group")
		}
		if err := checkRole("directory.role", g.Role); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watch) check(people bool) error {
	w.Zone, w.From, w.To = cmp.Or(w.Zone, "UTC"), cmp.Or(w.From, "07:00"), cmp.Or(w.To, "19:00")
	w.Volume = cmp.Or(w.Volume, 1000)
	if people {
		w.LargeExport = cmp.Or(w.LargeExport, 10_000)
	}
	if len(w.Days) == 0 {
		w.Days = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}
	}
	if _, err := time.LoadLocation(w.Zone); err != nil || w.Zone == "Local" {
		return errors.New("watch.zone is the name of a time zone, e.g. America/New_York")
	}
	from, err1 := time.Parse("15:04", w.From)
	to, err2 := time.Parse("15:04", w.To)
	if err1 != nil || err2 != nil || !from.Before(to) {
		return errors.New("watch.from and watch.to are times of the day, HH:MM, the second later than the first")
	}
	for _, day := range w.Days {
		if _, ok := Weekday(day); !ok {
			return errors.New("watch.days are names such as Monday")
		}
	}
	if w.Volume < 0 || w.LargeExport < 0 {
		return errors.New("watch.volume and watch.large_export are numbers of entries")
	}
	return nil
}

// Weekday reads the English name of a day.
func Weekday(name string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(d.String(), name) {
			return d, true
		}
	}
	return 0, false
}
