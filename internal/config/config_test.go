package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const whole = `
data = "/var/lib/holdfast"
socket = "run/holdfast.sock"
allow_uids = [1000]
log_level = "warn"

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
`

func TestParse(t *testing.T) {
	c, err := Parse([]byte(whole), "/etc/holdfast")
	if err != nil {
		t.Fatal(err)
	}
	if c.Socket != "/etc/holdfast/run/holdfast.sock" || c.Relay.CA != "/etc/holdfast/ca.pem" || c.Relay.HeadKey != "/etc/head.pem" {
		t.Errorf("paths: %+v %+v", c, c.Relay)
	}
	if c.Credentials != "" || c.Disk.LowWater != 1000 || c.AllowUIDs[0] != 1000 {
		t.Errorf("%+v", c)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"line 4: there is no such key": {"allow_uids = [1000]", "alow_uids = [1000]"},
		"data is missing":              {`data = "/var/lib/holdfast"`, ""},
		"relay.head_key is missing":    {`head_key = "/etc/head.pem"`, ""},
		"relay.url is https":           {"https://", "http://"},
		"relay.url is":                 {"relay.example:8443", "user:pw@relay.example"},
		"log_level is one of":          {`"warn"`, `"verbose"`},
		"numbers of bytes":             {"low_water = 1000", "low_water = -1"},
		"line 5":                       {`log_level = "warn"`, `log_level = warn"`},
		"line 4: not a value of":       {"allow_uids = [1000]", `allow_uids = ["x"]`},
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

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	if _, err := Load(path); !errors.Is(err, ErrConfig) || !errors.Is(err, os.ErrNotExist) {
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
