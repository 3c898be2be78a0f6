package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"holdfast/internal/config"
)

// put makes a file and its folders.
func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParseAnswers(t *testing.T) {
	a, err := ParseAnswers([]byte("archive_id = \"ward\"\nstart = true\n[master]\nkind = \"sealed\"\n[relay]\nurl = \"https://relay.example\"\n[directory]\nurls = [\"ldaps://dc\"]\ninterval = \"7m\"\n"))
	if err != nil || a.ArchiveID != "ward" || !a.Start || a.Master.Kind != KindSealed || a.Relay.URL != "https://relay.example" || a.Directory.Interval.Minutes() != 7 {
		t.Fatalf("%+v, %v", a, err)
	}
	for text, want := range map[string]string{
		"archive_id = \"ward\"\narchiv = 1":                       "line 2: there is no such key",
		"[kit]\nout = \"x\"\npassword = \"canary\"":               "line 3: there is no such key",
		"[directory]\npassword = \"canary\"":                      "line 2: there is no such key",
		"[master]\npassphrase = \"canary\"":                       "line 2: there is no such key",
		"archive_id = canary":                                     "line 1",
		"archive_id = [\"canary\"]":                               "line 1",
		"archive_id = \"a\"\narchive_id = \"canary\"":             "line 2",
		"[kit]\nshares = \"canary\"":                              "line 2",
		"archive_id = \"canary\xff\"":                             "line 1",
		"start = 1":                                               "line 1",
		"archive_id = \"x\" # " + strings.Repeat("x", MaxAnswers): "larger",
	} {
		_, err := ParseAnswers([]byte(text))
		if !errors.Is(err, ErrAnswers) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error repeats what may be a secret: %v", err)
		}
	}
}

// Every answer but the archive's id has a default, and a default never overrides
// an answer.
func TestComplete(t *testing.T) {
	a := &Answers{ArchiveID: "ward", Relay: &config.Relay{URL: "https://r"}, Directory: &config.Directory{}, HTTPS: &HTTPS{}}
	a.Complete()
	for name, pair := range map[string][2]any{
		"config": {a.Config, "/etc/holdfast/holdfastd.toml"}, "data": {a.Data, "/var/lib/holdfast"}, "credentials": {a.Credentials, "/etc/holdfast/credentials"},
		"socket": {a.Socket, "/run/holdfast/holdfast.sock"}, "time_zone": {a.TimeZone, "UTC"}, "units": {a.Units, "/etc/systemd/system"},
		"kit": {a.Kit, Kit{Needed: 3, Shares: 5}}, "master": {a.Master, Master{Kind: KindFile}},
		"relay":     {*a.Relay, config.Relay{URL: "https://r", CA: "/etc/holdfast/relay-ca.pem", Cert: "/etc/holdfast/relay.pem", Key: "/etc/holdfast/relay.key", HeadKey: "/etc/holdfast/relay-head.pem"}},
		"directory": {a.Directory.CA, "/etc/holdfast/ad-ca.pem"},
		"https":     {*a.HTTPS, HTTPS{Listen: ":8443", Cert: "/etc/holdfast/api.pem", Key: "/etc/holdfast/api.key"}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %+v, not %+v", name, pair[0], pair[1])
		}
	}
	full := everything(t)
	again := *full
	again.Complete()
	if !reflect.DeepEqual(*full, again) {
		t.Errorf("%+v\n%+v", full, again)
	}
	// The enrolment key that `relay enroll` put in place is not forgotten.
	dir := t.TempDir()
	for _, want := range []string{"", filepath.Join(dir, "enrolment.pem")} {
		if want != "" {
			if err := os.WriteFile(want, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		enrolled := &Answers{Config: filepath.Join(dir, "h.toml"), Relay: &config.Relay{}}
		if enrolled.Complete(); enrolled.Relay.EnrolKey != want {
			t.Errorf("enrol_key is %q, not %q", enrolled.Relay.EnrolKey, want)
		}
	}
	moved := &Answers{Config: "/opt/h/h.toml", Relay: &config.Relay{}}
	moved.Complete()
	if moved.Credentials != "/opt/h/credentials" || moved.Relay.Key != "/opt/h/relay.key" {
		t.Errorf("beside another configuration: %+v", moved)
	}
}

func TestCheck(t *testing.T) {
	for name, one := range map[string]struct {
		change func(a *Answers)
		want   string
	}{
		"no id":                  {func(a *Answers) { a.ArchiveID = "" }, "archive_id is missing"},
		"an id with a slash":     {func(a *Answers) { a.ArchiveID = "a/b" }, "archive_id has 1 to 64"},
		"relative config":        {func(a *Answers) { a.Config = "h.toml" }, "config is an absolute path"},
		"relative data":          {func(a *Answers) { a.Data = "d" }, "data is an absolute path"},
		"relative relay key":     {func(a *Answers) { a.Relay.Key = "relay.key" }, "relay.key is an absolute path"},
		"relative directory CA":  {func(a *Answers) { a.Directory.CA = "ca.pem" }, "directory.ca is an absolute path"},
		"relative https key":     {func(a *Answers) { a.HTTPS.Key = "api.key" }, "https.key is an absolute path"},
		"relative backup":        {func(a *Answers) { a.Backup.To = "b" }, "backup.to is an absolute path"},
		"key inside data":        {func(a *Answers) { a.Credentials = filepath.Join(a.Data, "cred") }, "credentials lies inside data"},
		"key is data":            {func(a *Answers) { a.Credentials = a.Data }, "credentials lies inside data"},
		"keys inside the backup": {func(a *Answers) { a.Backup.KeysTo = filepath.Join(a.Backup.To, "keys") }, "different media"},
		"kit of one":             {func(a *Answers) { a.Kit.Needed = 1 }, "1 of 5 shares"},
		"more than all":          {func(a *Answers) { a.Kit.Needed = 6 }, "6 of 5 shares"},
		"too many shares":        {func(a *Answers) { a.Kit.Shares = 256 }, "3 of 256 shares"},
		"another seal":           {func(a *Answers) { a.Master.Seal = "wax" }, "master.seal is"},
		"another way":            {func(a *Answers) { a.Master.Kind = "memory" }, "master.kind is"},
		"a group of nothing":     {func(a *Answers) { a.Directory, a.HTTPS = nil, nil }, "there is no [directory]"},
		"https without people":   {func(a *Answers) { a.Directory, a.Administrator.Group = nil, "" }, "nobody could log in"},
		"no port":                {func(a *Answers) { a.HTTPS.Listen = "10.0.0.5" }, "ADDRESS:PORT"},
		"an account not there":   {func(a *Answers) { a.Administrator.Account = "nobody-has-this-name" }, "has no account"},
		"a huge uid":             {func(a *Answers) { a.Administrator.Account = "4294967296" }, "has no account"},
	} {
		a := everything(t)
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		one.change(a)
		if err := a.Check(); !errors.Is(err, ErrAnswers) || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Check finds everything that would be overwritten.
func TestCheckOverwritesNothing(t *testing.T) {
	for name, there := range map[string]func(a *Answers) string{
		"configuration": func(a *Answers) string { return a.Config },
		"kit":           func(a *Answers) string { a.Kit.Out = filepath.Join(a.Data, "../kit"); return a.Kit.Out },
		"password": func(a *Answers) string {
			a.DirectoryPassword = "/some/file"
			return filepath.Join(a.Credentials, DirectoryFile)
		},
		"sealed key":  func(a *Answers) string { return filepath.Join(a.Credentials, SealedFile) },
		"wrapped key": func(a *Answers) string { return filepath.Join(a.Credentials, PassphraseFile) },
		"plain key": func(a *Answers) string {
			a.Master.Kind = KindPassphrase
			return filepath.Join(a.Credentials, MasterFile)
		},
	} {
		a := everything(t)
		path := put(t, there(a), "what was there")
		if err := a.Check(); !errors.Is(err, ErrThere) || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "what was there" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	a := everything(t)
	if err := os.Symlink("/nowhere", a.Config); err != nil {
		t.Fatal(err)
	}
	if err := a.Check(); !errors.Is(err, ErrThere) {
		t.Errorf("a link to nothing: %v", err)
	}
	file := everything(t)
	file.Credentials = filepath.Join(put(t, filepath.Join(filepath.Dir(file.Data), "file"), ""), "cred")
	if err := file.Check(); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file in place of a folder: %v", err)
	}
}

func FuzzParseAnswers(f *testing.F) {
	f.Add([]byte("archive_id = \"ward\"\n[kit]\nneeded = 2\nshares = 3\n"))
	f.Add([]byte("archive_id = \"ward\"\n[relay]\nurl = \"https://r\"\n[directory]\nurls = [\"ldaps://dc\"]\n[[directory.role]]\ngroup = \"g\"\nrole = \"auditor\"\nuntil = \"2027-01-31\"\n[https]\nname = \"h\"\n"))
	f.Add([]byte("x = 1\n"))
	f.Add([]byte("[[kit]]\n"))
	f.Add([]byte("\"archive_id\" = '''\n\\'''\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := ParseAnswers(text)
		if err != nil {
			if !errors.Is(err, ErrAnswers) {
				t.Fatalf("%v", err)
			}
			return
		}
		a.Complete()
		a.Administrator.Account = "" // is looked up on this machine
		written, err := a.ConfigText()
		if err != nil {
			return // ConfigText says itself that it is no configuration
		}
		c, err := config.Parse([]byte(written), "/")
		if err != nil || len(c.Accounts) > 0 {
			t.Fatalf("%v\n%s", err, written)
		}
	})
}
