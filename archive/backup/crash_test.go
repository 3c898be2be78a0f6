package backup

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/archive"
)

// childEnv makes the test binary a process that makes backups and is killed at
// a step: HOME MASTER STEP.
const childEnv = "HOLDFAST_TEST_BACKUP"

func init() {
	args := os.Getenv(childEnv)
	if args == "" {
		return
	}
	if err := runBackupper(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runBackupper is the child: it prints each step before it comes to it.
func runBackupper(args string) error {
	var home, master string
	var kill int
	if _, err := fmt.Sscan(args, &home, &master, &kill); err != nil {
		return err
	}
	o := archive.Options{LogFileLeaves: wardLeaves, Reserve: 64 << 10, LowWater: 64 << 10}
	if _, err := hex.Decode(o.Master[:], []byte(master)); err != nil {
		return err
	}
	a, err := archive.Open(context.Background(), filepath.Join(home, "data"), o)
	if err != nil {
		return err
	}
	n := 0
	r, err := Make(context.Background(), Options{
		Archive: a, Keys: &Keeper{Archive: a, Dir: filepath.Join(home, "keys")}, To: filepath.Join(home, "to"), Spool: filepath.Join(home, "data", "spool"),
		Version: "test", Keep: 2,
		fault: func(step string) error {
			if n++; n == kill {
				return unix.Kill(unix.Getpid(), unix.SIGKILL)
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	fmt.Println("made", r.Manifest.ID)
	return a.Close()
}

// A process that is killed at whichever step leaves the backups that were there
// whole, and the next one comes off.
//
// Not beside others: a child that is being started has this process's locks for a
// moment, and where the clock is a bubble's nobody waits a moment.
func TestKilledAtAnyStep(t *testing.T) {
	w := newWard(t)
	w.fill(5)
	good := w.make().Manifest.ID
	w.fill(1)
	check(t, w.Close())
	exe, err := os.Executable()
	check(t, err)
	kills := 0
	for kill := 1; ; kill++ {
		c := exec.Command(exe)
		c.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", childEnv, filepath.Dir(w.dir), hex.EncodeToString(w.options.Master[:]), kill))
		out, err := c.CombinedOutput()
		ids, idsErr := IDs(w.to)
		check(t, idsErr)
		if err == nil {
			if !strings.HasPrefix(string(out), "made ") {
				t.Fatalf("the child said %q", out)
			}
			break
		}
		if kills++; c.ProcessState.Sys() == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the child ended with %v: %s", err, out)
		}
		if !slices.Contains(ids, good) {
			t.Fatalf("killed at step %d: the backup that was there is gone; %v", kill, ids)
		}
		for _, id := range ids {
			if _, _, _, err := Open(w.to, id); err != nil {
				t.Fatalf("killed at step %d: %v", kill, err)
			}
		}
	}
	if kills < 8 {
		t.Errorf("%d kills", kills)
	}
	w.open()
	ids, err := IDs(w.to)
	check(t, err)
	for _, id := range ids {
		w.putBack(id)
	}
}
