package setup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Another process becomes whoever has a folder, and reads root's files no more.
func TestBecome(t *testing.T) {
	if dir := os.Getenv("HOLDFAST_TEST_BECOME"); dir != "" {
		if err := Become(dir); err != nil {
			t.Fatal(err)
		}
		_, err := os.ReadFile(filepath.Join(dir, "secret"))
		t.Logf("became uid=%d gid=%d denied=%t", os.Geteuid(), os.Getegid(), os.IsPermission(err))
		return
	}
	if os.Geteuid() != 0 {
		if err := Become(t.TempDir()); err != nil {
			t.Errorf("who is not root stays who he is: %v", err)
		}
		return
	}
	for owner, want := range map[int]string{0: "became uid=0 gid=0 denied=false", 4711: "became uid=4711 gid=4711 denied=true"} {
		dir, err := os.MkdirTemp("/tmp", "become")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		if err := os.WriteFile(filepath.Join(dir, "secret"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
		c := exec.Command("/proc/self/exe", "-test.run=^TestBecome$", "-test.v") // #nosec G204 -- this test
		c.Env = append(os.Environ(), "HOLDFAST_TEST_BECOME="+dir)
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("owner %d: %v\n%s", owner, err, out)
		}
	}
}
