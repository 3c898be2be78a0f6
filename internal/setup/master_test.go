package setup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/archive/seal"
)

// playCreds puts a program in systemd-creds' place.
func playCreds(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "systemd-creds"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

const seals = `case "$1" in
encrypt) echo SEALED; cat ;;
decrypt) read -r first; [ "$first" = SEALED ] || { echo cannot >&2; exit 1; }; cat ;;
has-tpm2) exit 1 ;;
esac
`

// Each way keeps the key so that it comes back, and none overwrites.
func TestKeep(t *testing.T) {
	playCreds(t, seals)
	master := seal.NewKey()
	phrase := []byte("correct horse battery staple")
	for kind, back := range map[string]func(dir string) ([seal.MasterSize]byte, error){
		KindSealed: func(dir string) ([seal.MasterSize]byte, error) { return Unseal(t.Context(), dir) },
		KindPassphrase: func(dir string) (key [seal.MasterSize]byte, err error) {
			text, err := os.ReadFile(filepath.Join(dir, PassphraseFile))
			if err != nil {
				return key, err
			}
			return seal.UnwrapPassphrase(text, phrase)
		},
		KindFile: func(dir string) ([seal.MasterSize]byte, error) {
			m := &maker{Answers: &Answers{Credentials: dir}, made: &Made{}}
			return m.master()
		},
	} {
		dir := t.TempDir()
		if was, err := KindOf(dir); err != nil || was != "" {
			t.Errorf("%q, %v", was, err)
		}
		k := Keeper{Kind: kind, Passphrase: phrase}
		path, err := k.Keep(t.Context(), dir, master)
		if err != nil {
			t.Fatal(kind, err)
		}
		if got, err := back(dir); err != nil || got != master {
			t.Errorf("%s: it does not come back: %v", kind, err)
		}
		if is, err := KindOf(dir); err != nil || is != kind || path != filepath.Join(dir, masterFiles[kind]) {
			t.Errorf("%s: %s, %v", kind, is, err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Keep(t.Context(), dir, seal.NewKey()); !errors.Is(err, ErrThere) {
			t.Errorf("%s: kept twice: %v", kind, err)
		}
		aside, err := SetAside(dir, kind)
		if err != nil || !strings.HasPrefix(aside, path+formerMark) {
			t.Errorf("%s: %s, %v", kind, aside, err)
		}
		if none, err := SetAside(dir, kind); err != nil || none != "" {
			t.Errorf("%s: set aside twice: %s, %v", kind, none, err)
		}
		if err := PutBack(aside); err != nil {
			t.Error(err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(text) {
			t.Errorf("%s: set aside and put back it is another: %v", kind, err)
		}
	}
	if _, err := (Keeper{Kind: "memory"}).Keep(t.Context(), t.TempDir(), master); err == nil {
		t.Error("a way that there is not")
	}
}

// A machine that seals and cannot unseal keeps nothing.
func TestKeepUnsealable(t *testing.T) {
	for name, script := range map[string]string{
		"does not seal":        "echo no TPM >&2; exit 1\n",
		"does not unseal":      "[ \"$1\" = encrypt ] && cat\n[ \"$1\" = encrypt ]\n",
		"unseals another":      "if [ \"$1\" = encrypt ]; then cat; else echo 00; fi\n",
		"unseals nothing":      "if [ \"$1\" = encrypt ]; then cat; fi\n",
		"unseals no key (two)": "cat; echo x\n",
	} {
		playCreds(t, script)
		dir := t.TempDir()
		if path, err := (Keeper{Kind: KindSealed}).Keep(t.Context(), dir, seal.NewKey()); err == nil || len(filesIn(t, dir)) > 0 {
			t.Errorf("%s: %s, %v, %q", name, path, err, filesIn(t, dir))
		}
	}
	playCreds(t, "echo 0011\n")
	dir := t.TempDir()
	put(t, filepath.Join(dir, SealedFile), "x")
	if _, err := Unseal(t.Context(), dir); err == nil || strings.Contains(err.Error(), "0011") {
		t.Errorf("what is unsealed is no key: %v", err)
	}
}

func TestCheckPassphrase(t *testing.T) {
	for text, ok := range map[string]bool{
		"correct horse battery staple": true, "fünfzehn Zeichen": true, "short": false, "": false, strings.Repeat("a", 20): false, strings.Repeat("ab", 513): false, strings.Repeat("ab", 512): true,
		"correct horse\xff battery staple": false,
	} {
		if err := CheckPassphrase([]byte(text)); (err == nil) != ok || err != nil && len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestFirstLine(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{"one\ntwo": "one", "one\r\n": "one", " one ": " one "} {
		if got, err := FirstLine(put(t, filepath.Join(dir, "f"), text)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for name, path := range map[string]string{
		"empty": put(t, filepath.Join(dir, "e"), ""), "first line empty": put(t, filepath.Join(dir, "l"), "\ncanary"), "large": put(t, filepath.Join(dir, "g"), strings.Repeat("canary", maxLine)),
		"none": filepath.Join(dir, "none"), "folder": dir, "device": "/dev/zero",
	} {
		if _, err := FirstLine(path); !errors.Is(err, ErrGiven) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
