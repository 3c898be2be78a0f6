package setup

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"holdfast/internal/config"
	"holdfast/internal/role"
)

// complete are answers of which nothing is missing but what is given.
func complete(t *testing.T, dir string) *Answers {
	t.Helper()
	a := &Answers{
		ArchiveID: "ward.example", Config: filepath.Join(dir, "etc/holdfastd.toml"), Data: filepath.Join(dir, "data"), Socket: filepath.Join(dir, "s"),
		Units: filepath.Join(dir, "units"),
	}
	a.Complete()
	return a
}

// everything are answers to all that can be asked, whose files are there.
func everything(t *testing.T) *Answers {
	t.Helper()
	dir := t.TempDir()
	a := complete(t, dir)
	a.TimeZone, a.Metrics, a.Anchor = "America/Chicago", "127.0.0.1:9185", filepath.Join(dir, "anchors")
	a.Administrator = Administrator{Account: "4242", Group: "Holdfast \"Admins\" <&>", Person: "jdoe@hospital.example"}
	a.Relay = &config.Relay{URL: "https://relay.example", EnrolKey: filepath.Join(dir, "etc/enrolment.pem"), AllowX25519: true}
	until := config.Date{Time: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}
	a.Directory = &config.Directory{
		URLs: []string{"ldaps://dc1.example", "ldaps://dc2.example"}, Bind: "holdfast@example", Base: []string{"OU=Staff,DC=example"}, GroupBase: []string{"OU=Groups,DC=example"},
		Filter: "(employeeType=staff)", Interval: config.Duration{Duration: 7 * time.Minute}, Timeout: config.Duration{Duration: 9 * time.Second}, MaxLossPercent: 6, MaxLoss: 21,
		Roles: []config.GroupRole{
			{Group: "Officers", Role: role.ComplianceOfficer, Department: "Cardiology \\ \x7f Ö"},
			{Group: "Auditors", Role: role.Auditor, Until: &until},
		},
	}
	a.HTTPS = &HTTPS{Listen: "10.0.0.5:8443"}
	a.Backup = Backup{To: filepath.Join(dir, "backup"), KeysTo: filepath.Join(dir, "keys")}
	a.Complete()
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{a.Relay.CA, a.Relay.Cert, a.Relay.Key, a.Relay.HeadKey, a.Relay.EnrolKey, a.Directory.CA, a.HTTPS.Cert, a.HTTPS.Key} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// commented is a line that is one of TOML's once its # is taken away.
var commented = regexp.MustCompile(`(?m)^# (\[|[a-z0-9_]+ = )`)

// keys collects the keys of a configuration, by the types of its fields.
func keys(at reflect.Type, prefix string, out map[string]bool) {
	for at.Kind() == reflect.Pointer || at.Kind() == reflect.Slice {
		at = at.Elem()
	}
	if at.Kind() != reflect.Struct || at.PkgPath() != reflect.TypeFor[config.Config]().PkgPath() {
		return
	}
	for f := range at.NumField() {
		if name, ok := at.Field(f).Tag.Lookup("toml"); ok {
			out[prefix+name] = true
			keys(at.Field(f).Type, prefix+name+".", out)
		}
	}
}

// present collects the keys of a TOML document.
func present(v any, prefix string, out map[string]bool) {
	switch x := v.(type) {
	case map[string]any:
		for key, inner := range x {
			out[prefix+key] = true
			present(inner, prefix+key+".", out)
		}
	case []any:
		for _, inner := range x {
			present(inner, prefix, out)
		}
	}
}

// Whatever was answered, the file has every key that there is, none that there
// is not, and is a configuration also with each # taken away.
func TestConfigTextHasEveryKey(t *testing.T) {
	want := map[string]bool{}
	keys(reflect.TypeFor[config.Config](), "", want)
	if len(want) < 80 {
		t.Fatalf("%d keys: the test does not see them", len(want))
	}
	for name, a := range map[string]*Answers{"nothing answered": complete(t, t.TempDir()), "everything answered": everything(t)} {
		text, err := a.ConfigText()
		if err != nil {
			t.Fatal(name, err)
		}
		live := commented.ReplaceAllString(text, "$1")
		// One role is bounded by its department or by an organisational unit.
		live = regexp.MustCompile(`(?m)^ou = .*\n`).ReplaceAllStringFunc(live, func(line string) string { return "# " + line })
		if _, err := config.Parse([]byte(live), "/"); err != nil {
			t.Errorf("%s, all live: %v\n%s", name, err, live)
		}
		var doc map[string]any
		if err := toml.Unmarshal([]byte(live), &doc); err != nil {
			t.Fatal(name, err)
		}
		got := map[string]bool{"directory.role.ou": strings.Contains(text, "# ou = ")}
		present(doc, "", got)
		if !reflect.DeepEqual(got, want) {
			for key := range want {
				if !got[key] {
					t.Errorf("%s: %s is missing", name, key)
				}
			}
			for key := range got {
				if !want[key] {
					t.Errorf("%s: there is no %s", name, key)
				}
			}
		}
	}
}

// What was answered is what the daemon is told.
func TestConfigTextKeepsAnswers(t *testing.T) {
	a := everything(t)
	text, err := a.ConfigText()
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse([]byte(text), "/")
	if err != nil {
		t.Fatal(err)
	}
	relay, directory := *a.Relay, *a.Directory
	directory.Roles = append(slices.Clone(directory.Roles), config.GroupRole{Group: a.Administrator.Group, Role: role.Administrator})
	for name, pair := range map[string][2]any{
		"relay": {c.Relay, &relay}, "directory": {c.Directory, &directory}, "data": {c.Data, a.Data}, "socket": {c.Socket, a.Socket}, "time_zone": {c.TimeZone, a.TimeZone},
		"account": {c.Accounts, []config.Account{{UID: 4242, Roles: []role.Role{role.Administrator}, Person: "jdoe@hospital.example"}}},
		"https":   {[]string{c.HTTPS.Listen, c.HTTPS.Cert, c.HTTPS.Key}, []string{"10.0.0.5:8443", a.HTTPS.Cert, a.HTTPS.Key}},
		"backup":  {[]string{c.Backup.To, c.Backup.KeysTo}, []string{a.Backup.To, a.Backup.KeysTo}},
		"anchor":  {c.Anchor.File, a.Anchor}, "metrics": {c.Metrics.Listen, a.Metrics},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %+v, not %+v", name, pair[0], pair[1])
		}
	}
}

// A section waits behind a # for each file that it needs, and says which.
func TestConfigTextWaitsForFiles(t *testing.T) {
	a := everything(t)
	for _, path := range []string{a.Relay.CA, a.Relay.Cert, a.Relay.Key, a.Relay.HeadKey, a.Relay.EnrolKey, a.Directory.CA, a.HTTPS.Cert, a.HTTPS.Key} {
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		text, err := a.ConfigText()
		if err != nil {
			t.Fatal(path, err)
		}
		c, err := config.Parse([]byte(text), "/")
		if err != nil {
			t.Fatal(path, err)
		}
		relay, directory, https := strings.Contains(path, "relay") || strings.Contains(path, "enrol"), path == a.Directory.CA, strings.Contains(path, "api.")
		if (c.Relay == nil) != relay || (c.Directory == nil) != directory || (c.HTTPS == nil) != (https || directory) {
			t.Errorf("without %s: relay %t, directory %t, https %t", path, c.Relay != nil, c.Directory != nil, c.HTTPS != nil)
		}
		if !strings.Contains(text, "once "+path+" is there") {
			t.Errorf("%s is not named", path)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
}

// Answers that are no configuration are refused before anything is made of them.
func TestConfigTextRefuses(t *testing.T) {
	for name, change := range map[string]func(*Answers){
		"zone":    func(a *Answers) { a.TimeZone = "Nowhere/Land" },
		"url":     func(a *Answers) { a.Relay.URL = "http://relay.example" },
		"role":    func(a *Answers) { a.Directory.Roles[0].Role = "king" },
		"metrics": func(a *Answers) { a.Metrics = "0.0.0.0:1" },
		"listen":  func(a *Answers) { a.HTTPS.Listen = "nowhere" },
		"account": func(a *Answers) { a.Administrator.Account = "nobody-has-this-name" },
		"socket":  func(a *Answers) { a.Socket = "/" + strings.Repeat("x", 200) },
	} {
		a := everything(t)
		change(a)
		if text, err := a.ConfigText(); err == nil {
			t.Errorf("%s: %s", name, text)
		}
	}
}
