package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const whole = `
data = "/var/lib/holdfast"
socket = "run/holdfast.sock"
log_level = "warn"
time_zone = "America/Chicago"
provision = { disable = true }

[disk]
low_water = 1000
reserve = 500

[relay]
url = "https://relay.example:8443"
ca = "ca.pem"
cert = "cert.pem"
key = "key.pem"
head_key = "/etc/head.pem"
enrol_key = "enrol.pem"

[[account]]
uid = 1000
roles = ["administrator"]
person = "jdoe@hospital.example"

[directory]
urls = ["ldaps://dc1.hospital.example", "ldap://dc2.hospital.example:389"]
ca = "ad.pem"
bind = "holdfast@hospital.example"
base = ["DC=hospital,DC=example"]

[[directory.role]]
group = "Holdfast Compliance"
role = "compliance-officer"
department = "Cardiology"
until = "2027-01-31"

[https]
listen = ":8443"
cert = "api.pem"
key = "/etc/api.key"

[watch]
zone = "America/New_York"
`

func TestParse(t *testing.T) {
	c, err := Parse([]byte(whole), "/etc/holdfast")
	if err != nil {
		t.Fatal(err)
	}
	if c.Socket != "/etc/holdfast/run/holdfast.sock" || c.Relay.CA != "/etc/holdfast/ca.pem" || c.Relay.HeadKey != "/etc/head.pem" {
		t.Errorf("paths: %+v %+v", c, c.Relay)
	}
	if c.Credentials != "" || c.Disk.LowWater != 1000 || c.Accounts[0].UID != 1000 || !c.Provision.On() || !c.Configured() {
		t.Errorf("%+v", c)
	}
	d, h, w := c.Directory, c.HTTPS, c.Watch
	if d.CA != "/etc/holdfast/ad.pem" || d.Interval.Duration != 5*time.Minute || d.Timeout.Duration != 15*time.Second ||
		d.MaxLossPercent != 5 || d.MaxLoss != 20 || len(d.GroupBase) != 1 || d.Roles[0].Until.Format(time.DateOnly) != "2027-01-31" {
		t.Errorf("%+v", d)
	}
	if h.Cert != "/etc/holdfast/api.pem" || h.Key != "/etc/api.key" || h.Idle.Duration != 15*time.Minute || h.Absolute.Duration != 10*time.Hour {
		t.Errorf("%+v", h)
	}
	if c.Zone().String() != "America/Chicago" || w.Zone != "America/New_York" {
		t.Errorf("time zones: %s, %s", c.Zone(), w.Zone)
	}
	if c.Retention.GraceDays != 30 {
		t.Errorf("%+v", c.Retention)
	}
	if w.From != "07:00" || w.To != "19:00" || len(w.Days) != 5 || w.Volume != 1000 || w.LargeExport != 10_000 {
		t.Errorf("%+v", w)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"line 4: there is no such key": {"log_level", "log_levle"},
		"data is missing":              {`data = "/var/lib/holdfast"`, ""},
		"relay.head_key is missing":    {`head_key = "/etc/head.pem"`, ""},
		"relay.url is https":           {"https://", "http://"},
		"relay.url is":                 {"relay.example:8443", "user:pw@relay.example"},
		"log_level is one of":          {`"warn"`, `"verbose"`},
		"numbers of bytes":             {"low_water = 1000", "low_water = -1"},
		"line 4":                       {`log_level = "warn"`, `log_level = warn"`},
		"line 6: not a value of":       {"{ disable = true }", `{ disable = "x" }`},
		"uid 1000 stands there twice":  {"[directory]", "[[account]]\nuid = 1000\n[directory]"},
		"account.roles: there is no":   {`["administrator"]`, `["root"]`},
		"directory.role: there is no":  {`"compliance-officer"`, `"officer"`},
		"directory.role without":       {`group = "Holdfast Compliance"`, ""},
		"directory.base is missing":    {`base = ["DC=hospital,DC=example"]`, ""},
		"an empty one is none":         {`base = ["DC=hospital,DC=example"]`, `base = [""]`},
		"ldap://HOST[:PORT] for":       {"ldap://dc2", "http://dc2"},
		"directory.urls are":           {"ldap://dc2", "ldap://admin:pw@dc2"},
		"directory.max_loss":           {`ca = "ad.pem"`, "ca = \"ad.pem\"\nmax_loss = -1"},
		"https.listen is":              {`":8443"`, `"8443"`},
		"https.cert and https.key are": {`cert = "api.pem"`, ""},
		"shorter than https.idle":      {`cert = "api.pem"`, "cert = \"api.pem\"\nabsolute = \"1m\""},
		"time_zone is":                 {"America/Chicago", "Local"},
		"watch.zone is":                {"America/New_York", "Atlantis"},
		"watch.from and watch.to":      {"\nzone =", "\nfrom = \"20:00\"\nzone ="},
		"watch.days":                   {"\nzone =", "\ndays = [\"Caturday\"]\nzone ="},
		"watch.volume":                 {"\nzone =", "\nvolume = -1\nzone ="},
		"retention.grace_days is":      {"[watch]", "[retention]\ngrace_days = 3651\n[watch]"},
		"days from 1 to 3650":          {"[watch]", "[retention]\ngrace_days = -1\n[watch]"},
		"the kernel takes 107":         {"run/holdfast.sock", strings.Repeat("x", 108)},
	} {
		text := strings.Replace(whole, change[0], change[1], 1)
		if text == whole {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := Parse([]byte(text), "/"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestPeopleNeedADirectory(t *testing.T) {
	for want, text := range map[string]string{
		"https without a directory": "[https]\nlisten = \":1\"\ncert = \"c\"\nkey = \"k\"",
		"provision needs":           "[provision]\nwipe = true",
		"line 4: not a value of":    "[directory]\ninterval = \"-5m\"",
		"line 5: not a value of":    "[[directory.role]]\nrole = \"auditor\"\nuntil = \"tomorrow\"",
	} {
		if _, err := Parse([]byte("data = \"d\"\nsocket = \"s\"\n"+text), "/"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	c, err := Parse([]byte("data = \"d\"\nsocket = \"s\""), "/")
	if err != nil || c.Configured() || c.Watch.LargeExport != 0 {
		t.Errorf("nobody named: %+v, %v", c, err)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	if _, err := Load(path); !errors.Is(err, ErrConfig) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "holdfastd init") {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("data = 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, ErrConfig) {
		t.Errorf("a wrong type: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("data=\"x\"\nsocket=\"y\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text, "/d")
		if err == nil && (!filepath.IsAbs(c.Data) || !filepath.IsAbs(c.Socket)) {
			t.Errorf("accepted a configuration without its paths: %+v", c)
		}
	})
}
