//go:build boot

package boot

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// linting is lintian's verdict on the first version's debs, which it works out
// beside the other steps: it reads every manual page.
var linting chan verdict

type verdict struct {
	said []byte
	err  error
}

func beginLint(t *testing.T) {
	debs, err := filepath.Glob(filepath.Join(os.Getenv(distEnv), firstVersion, "*.deb"))
	if err != nil || len(debs) != 2 {
		t.Fatalf("%d debs of %s: %v", len(debs), firstVersion, err)
	}
	linting = make(chan verdict, 1)
	go func() {
		said, err := exec.Command("lintian", append([]string{"--fail-on", "error,warning"}, debs...)...).Output() // as root it says so on stderr
		linting <- verdict{said, err}
	}()
}

// lints takes the verdict.
func lints(t *testing.T, _ *machine) {
	if v := <-linting; v.err != nil || len(v.said) > 0 {
		t.Errorf("lintian: %v\n%s", v.err, v.said)
	}
}
