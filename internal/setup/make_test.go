package setup

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/archive"
)

// inside lists the files of a folder.
func filesIn(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// At whichever step it fails: what was made is taken away, and what was there is
// as before.
func TestMakeUndoes(t *testing.T) {
	for name, breaks := range map[string]func(a *Answers, dir string){
		"kit": func(a *Answers, dir string) { a.Kit.Out = put(t, filepath.Join(dir, "kit"), "there") },
		"credentials": func(a *Answers, dir string) {
			a.Credentials = filepath.Join(put(t, filepath.Join(dir, "file"), "there"), "cred")
		},
		"master":        func(a *Answers, _ string) { put(t, filepath.Join(a.Credentials, MasterFile), "there") },
		"password":      func(a *Answers, dir string) { a.DirectoryPassword = filepath.Join(dir, "none") },
		"no password":   func(a *Answers, dir string) { a.DirectoryPassword = put(t, filepath.Join(dir, "empty"), "\nthere") },
		"request":       func(a *Answers, dir string) { put(t, filepath.Join(dir, "etc/h.csr"), "there") },
		"configuration": func(a *Answers, _ string) { put(t, a.Config, "there") },
		"no configuration": func(a *Answers, _ string) {
			a.TimeZone = "Nowhere/Land"
		},
		"data":   func(a *Answers, _ string) { put(t, filepath.Join(a.Data, "x"), "there") },
		"nobody": func(a *Answers, _ string) { a.Kit.Unchecked = false },
		"no phrase": func(a *Answers, dir string) {
			a.Master = Master{Kind: KindPassphrase, PassphraseFile: put(t, filepath.Join(dir, "phrase"), "short")}
		},
	} {
		a, dir := everything(t), t.TempDir()
		a.Kit.Out, a.Kit.Unchecked = filepath.Join(dir, "kit"), true
		a.Config, a.Data, a.Credentials = filepath.Join(dir, "etc/h.toml"), filepath.Join(dir, "data"), filepath.Join(dir, "cred")
		a.HTTPS = &HTTPS{Name: "archive.example", Listen: ":1", Cert: filepath.Join(dir, "etc/h.pem"), Key: filepath.Join(dir, "etc/h.key")}
		breaks(a, dir)
		before := filesIn(t, dir)
		d, y := dialogue()
		made, err := Make(t.Context(), a, d, &y.shown)
		if err == nil || made != nil {
			t.Errorf("%s: %+v, %v", name, made, err)
			continue
		}
		after := filesIn(t, dir)
		if len(before) != len(after) {
			t.Errorf("%s: there were %q, there are %q", name, before, after)
		}
		for _, path := range before {
			if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "there") && string(text) != "short" {
				t.Errorf("%s: %s has %q, %v", name, path, text, err)
			}
		}
	}
}

// A first run makes everything that it says, and says no key.
func TestMake(t *testing.T) {
	for _, kind := range []string{KindFile, KindPassphrase} {
		a := everything(t)
		dir := filepath.Dir(a.Data)
		a.Kit = Kit{Needed: 2, Shares: 3}
		a.Master.Kind = kind
		a.HTTPS = &HTTPS{Name: "archive.example", Listen: ":1", Cert: filepath.Join(dir, "h.pem"), Key: filepath.Join(dir, "h.key")}
		if kind == KindPassphrase {
			a.Master.PassphraseFile = put(t, filepath.Join(dir, "phrase"), "correct horse battery staple\r\nnot this")
			if err := os.Chmod(a.Master.PassphraseFile, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var kit bytes.Buffer
		d, y := dialogue(func(shown string) string {
			shares, err := Shares(kit.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			for n, s := range shares {
				if strings.Contains(shown, "share "+string(rune('1'+n))+" of 3: ") {
					return s.String()
				}
			}
			return ""
		})
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		made, err := Make(t.Context(), a, d, &kit)
		if err != nil {
			t.Fatal(err)
		}
		if made.ArchiveID != a.ArchiveID || !made.NewKey || made.Master != filepath.Join(a.Credentials, masterFiles[kind]) || made.Request != filepath.Join(dir, "h.csr") || made.Started {
			t.Errorf("%+v", made)
		}
		shares, err := Shares(kit.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		key, err := Combine(shares[:2])
		if err != nil {
			t.Fatal(err)
		}
		if err := archive.CheckKit(a.Data, key); err != nil {
			t.Errorf("the kit: %v", err)
		}
		sets, err := KitSets(a.Credentials)
		if err != nil || len(sets) != 1 || sets[0].Set != shares[0].Set {
			t.Errorf("%+v, %v", sets, err)
		}
		if to, err := os.Readlink(filepath.Join(a.Data, CredentialsLink)); err != nil || to != a.Credentials {
			t.Errorf("%s, %v", to, err)
		}
		master, err := os.ReadFile(made.Master)
		if err != nil {
			t.Fatal(err)
		}
		if shown := y.shown.String(); strings.Contains(shown, string(master[len(master)-40:])) || strings.Contains(shown, "horse") || strings.Contains(shown, shares[0].String()[:9]) ||
			strings.Contains(shown, "others than its owner may read") != (kind == KindPassphrase) {
			t.Errorf("what was said: %s", shown)
		}
		for _, path := range filesIn(t, a.Credentials) {
			if mode, _, _ := stat(t, path); mode != 0o600 {
				t.Errorf("%s has mode %o", path, mode)
			}
		}
		// A second one makes nothing.
		before := filesIn(t, dir)
		if err := a.Check(); !errors.Is(err, ErrThere) {
			t.Errorf("twice: %v", err)
		}
		if _, err := Make(t.Context(), a, d, &kit); err == nil || len(filesIn(t, dir)) != len(before) {
			t.Errorf("made twice: %v", err)
		}
	}
}

// A master key that is there is used, and stays as it is whatever becomes of the
// run.
func TestMakeUsesTheKeyThatIsThere(t *testing.T) {
	for _, fails := range []bool{true, false} {
		a := everything(t)
		a.HTTPS, a.Kit = nil, Kit{Needed: 2, Shares: 2, Out: filepath.Join(filepath.Dir(a.Data), "kit"), Unchecked: true}
		text := strings.Repeat("5a", 32) + "\n"
		path := put(t, filepath.Join(a.Credentials, MasterFile), text)
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		if fails {
			put(t, filepath.Join(a.Data, "x"), "")
		}
		d, y := dialogue()
		made, err := Make(t.Context(), a, d, &y.shown)
		if (err != nil) != fails || err == nil && (made.NewKey || made.Master != path) {
			t.Errorf("%+v, %v", made, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != text {
			t.Errorf("the key that was there: %q, %v", now, err)
		}
		if !fails {
			if err := archive.OpensWith(a.Data, [32]byte(bytes.Repeat([]byte{0x5a}, 32))); err != nil {
				t.Error(err)
			}
		}
	}
}
