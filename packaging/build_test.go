package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const testEpoch = "1767225600" // the first second of 2026

// copyTree copies what is built from and with, as a checkout elsewhere has it.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && name != "." || name == "bin" || name == "dist" {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata") || !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// asCommand has the test's own program be the command, so that a test can run
// it under another umask and environment.
const asCommand = "HOLDFAST_PACKAGING_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		os.Exit(m.Run())
	}
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// makePackages makes them of a tree, as somebody elsewhere would.
func makePackages(t *testing.T, tree, umask string, env ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(tree, "dist")
	c := exec.Command("sh", "-c", "umask "+umask+` && exec "$0" "$@"`, self, "-out", out, "-tree", tree, "-version", "v1.2.3-rc1-4-g0123abc", "-epoch", testEpoch, "-arch", "amd64")
	c.Dir = tree
	c.Env = append(append(os.Environ(), asCommand+"=1"), env...)
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	text, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// Built by two people in two places the packages are the same bytes, and they
// hold what they should.
func TestSameBytesAnywhere(t *testing.T) {
	here, there := filepath.Join(t.TempDir(), "here"), filepath.Join(t.TempDir(), "over", "there")
	copyTree(t, "..", here)
	copyTree(t, here, there)
	one := makePackages(t, here, "022", "TZ=UTC")
	home := filepath.Join(t.TempDir(), "somebody")
	two := makePackages(t, there, "077", "TZ=Pacific/Auckland", "LC_ALL=C.UTF-8", "LANG=de_DE.UTF-8", "USER=somebody", "HOME="+home, "HOSTNAME=elsewhere", "GOAMD64=v3", "GOFLAGS=-tags=nothing",
		"GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOCACHE="+goEnv(t, "GOCACHE"))
	files, err := os.ReadDir(one)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		a, err1 := os.ReadFile(filepath.Join(one, f.Name()))
		b, err2 := os.ReadFile(filepath.Join(two, f.Name()))
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs: %v", f.Name(), err)
		}
	}
	const v = "1.2.3~rc1+4.g0123abc"
	want := []string{"SHA256SUMS", "holdfast-" + v + "-1.x86_64.rpm", "holdfast_" + v + "-1_amd64.deb", "holdfast_" + v + "_amd64.cdx.json",
		"holdfastd-" + v + "-1.x86_64.rpm", "holdfastd_" + v + "-1_amd64.deb", "holdfastd_" + v + "_amd64.cdx.json"}
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("made %q", names)
	}
	for _, p := range programs {
		checkDeb(t, filepath.Join(one, p+"_"+v+"-1_amd64.deb"), p, here, goEnv(t, "GOMODCACHE"))
		checkRPM(t, filepath.Join(one, p+"-"+v+"-1.x86_64.rpm"))
	}
	sum := exec.Command("sha256sum", "--strict", "-c", sums)
	sum.Dir = one
	if text, err := sum.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// checkDeb looks at every file of a package as dpkg unpacks it.
func checkDeb(t *testing.T, path, program string, secrets ...string) {
	t.Helper()
	data, err := exec.Command("dpkg-deb", "--fsys-tarfile", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1767225600, 0)
	var binary, bill []byte
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(h.Name, ".")
		mode := h.Mode & 0o7777
		runs := h.Typeflag == tar.TypeDir || strings.HasPrefix(name, "/usr/bin/") || strings.HasPrefix(name, "/usr/libexec/holdfast/u")
		switch {
		case !h.ModTime.Equal(when), h.Uid != 0, h.Gid != 0, !strings.HasPrefix(name, "/usr/"), runs != (mode == 0o755), !runs && mode != 0o644:
			t.Errorf("%s: %+v", name, h)
		}
		for _, s := range secrets {
			if bytes.Contains(plainText(text), []byte(s)) {
				t.Errorf("%s says where it was built: %s", name, s)
			}
		}
		switch filepath.Base(name) {
		case program:
			if strings.HasPrefix(name, "/usr/bin/") {
				binary = text
			}
		case program + ".cdx.json":
			bill = text
		}
	}
	checkBill(t, binary, bill)
}

// checkRPM asks rpm what a package says of itself and its files.
func checkRPM(t *testing.T, path string) {
	t.Helper()
	const format = "%{BUILDHOST} %{BUILDTIME} %{VENDOR} %{LICENSE}\n[%{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEMTIMES} %{FILEFLAGS:fflags} %{FILENAMES}\n]"
	text, err := exec.Command("rpm", "-qp", "--qf", format, path).Output()
	if err != nil {
		t.Fatal(err)
	}
	head, files, _ := strings.Cut(string(text), "\n")
	if head != "holdfast.invalid "+testEpoch+" Holdfast Apache-2.0" {
		t.Errorf("%s: %s", filepath.Base(path), head)
	}
	for line := range strings.Lines(files) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "root:root" || f[1] != testEpoch || !strings.HasPrefix(f[len(f)-1], "/usr/") || len(f) == 4 && strings.Contains(f[2], "c") {
			t.Errorf("%s: %s", filepath.Base(path), line)
		}
	}
}

// plainText is text, or what is compressed in it.
func plainText(text []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return text
	}
	if inner, err := io.ReadAll(r); err == nil {
		return inner
	}
	return text
}

// checkBill compares the bill of materials with what the program says of itself.
func checkBill(t *testing.T, binary, text []byte) {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, c := range *bom.Components {
		listed[c.PackageURL] = true
		listed[c.Name] = true
		if c.Licenses == nil || len(*c.Licenses) == 0 {
			t.Errorf("%s has no licence in the bill", c.Name)
		}
	}
	for _, m := range info.Deps {
		if !listed["pkg:golang/"+m.Path+"@"+m.Version] {
			t.Errorf("%s is in the program and not in the bill", m.Path)
		}
	}
	// Go itself, and the fonts of what is rendered.
	if len(info.Deps) < 5 || len(*bom.Components) != len(info.Deps)+2 || !listed["fonts DejaVu Sans and Droid Sans Fallback"] || bom.SpecVersion != cdx.SpecVersion1_6 || bom.Metadata.Timestamp != "2026-01-01T00:00:00Z" {
		t.Errorf("%d modules, %d components, %v, %s", len(info.Deps), len(*bom.Components), bom.SpecVersion, bom.Metadata.Timestamp)
	}
}

// A program that was built under a setting of somebody's own is refused.
func TestForeignBuildIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]bool{"-trimpath": true, "-tags=x": false} {
		out := filepath.Join(dir, "out")
		c := exec.Command("go", "build", "-buildvcs=false", flag, "-o", out, filepath.Join(dir, "main.go"))
		c.Env = append(environment("amd64"), "GOFLAGS=")
		if text, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if err := plain(out); (err == nil) != want {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
