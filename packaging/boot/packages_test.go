//go:build boot

package boot

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// distEnv names a folder with what make leaves in it, for whoever has it already.
const distEnv = "HOLDFAST_BOOT_DIST"

// The versions that are installed: the second is the first under another
// number, the third writes stores of a later schema.
const (
	firstVersion  = "0.1.0"
	secondVersion = "0.2.0"
	thirdVersion  = "0.3.0"
)

// inMachine is where the machine has the packages and the relay.
const inMachine = "/opt/holdfast-boot"

// build makes the packages of two versions, the daemon of a third, and the
// reference relay.
func build(dir string) error {
	began := now()
	for n, version := range []string{firstVersion, secondVersion} {
		err := goRun(filepath.Join(top, "packaging"), "run", ".", "-out", filepath.Join(dir, version), "-version", version,
			"-epoch", fmt.Sprint(1_700_000_000+n), "-arch", runtime.GOARCH)
		if err != nil {
			return err
		}
	}
	err := errors.Join(
		goRun(top, "build", "-trimpath", "-buildvcs=false", "-tags", "holdfast_next", "-ldflags", "-X holdfast/internal/build.version="+thirdVersion,
			"-o", filepath.Join(dir, "holdfastd.next"), "./cmd/holdfastd"),
		goRun(top, "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "holdfast-relay"), "./cmd/holdfast-relay"),
	)
	if err == nil {
		say("packages of two versions and the relay are built", began)
	}
	return err
}

// goRun builds a program as packages have it, or runs the one that makes them,
// which says itself how it builds.
func goRun(dir string, args ...string) error {
	c := exec.Command("go", args...)
	if c.Dir = dir; args[0] == "build" {
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, text)
	}
	return nil
}

// file is the name that a package has in the machine.
func file(pkg, version, kind string) string {
	if kind == "rpm" {
		arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
		return fmt.Sprintf("%s/%s-%s-1.%s.rpm", inMachine, pkg, version, arch)
	}
	return fmt.Sprintf("%s/%s_%s-1_%s.deb", inMachine, pkg, version, runtime.GOARCH)
}

// deliver copies them into the machine, and makes the third version's deb of the
// second one's there.
func deliver(t *testing.T, m *machine) {
	beginLint(t)
	dir := os.Getenv(distEnv)
	for _, version := range []string{firstVersion, secondVersion} {
		found, err := filepath.Glob(filepath.Join(dir, version, "*"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no packages of %s: %v", version, err)
		}
		for _, path := range found {
			switch filepath.Ext(path) {
			case ".deb", ".rpm":
				m.bring(t, path, filepath.Join(inMachine, filepath.Base(path)), 0o644)
			}
		}
	}
	m.bring(t, filepath.Join(dir, "holdfast-relay"), "/usr/local/bin/holdfast-relay", 0o755)
	m.bring(t, filepath.Join(top, "cmd/holdfast-relay/testdata/ward.jsonl"), inMachine+"/ward.jsonl", 0o644)
	work := inMachine + "/next"
	m.must(t, "dpkg-deb", "-R", file("holdfastd", secondVersion, "deb"), work)
	m.bring(t, filepath.Join(dir, "holdfastd.next"), work+"/usr/bin/holdfastd", 0o755)
	m.must(t, "sed", "-i", "s/^Version: .*/Version: "+thirdVersion+"-1/; s/^Depends: .*/Depends: holdfast/", work+"/DEBIAN/control")
	m.must(t, "dpkg-deb", "-Znone", "--root-owner-group", "-b", work, file("holdfastd", thirdVersion, "deb"))
}

// install installs a version's debs as an administrator does, and returns what
// was said.
func (m *machine) install(t *testing.T, version string) string {
	t.Helper()
	debs := []string{file("holdfastd", version, "deb")}
	if version != thirdVersion {
		debs = append(debs, file("holdfast", version, "deb"))
	}
	r := m.run(append([]string{"dpkg", "--install"}, debs...)...)
	if r.code != 0 {
		t.Fatal(r)
	}
	return r.out + r.notes
}
