//go:build boot

package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// stageEnv says how far in this process is: the one that `go test` started is
// outside; it starts itself in a mount name space of its own, where the control
// group is made and removed, and that once more as the first process of the
// name spaces in which the machine boots.
const stageEnv = "HOLDFAST_BOOT_STAGE"

func TestMain(m *testing.M) {
	code, err := 1, error(nil)
	switch os.Getenv(stageEnv) {
	case "":
		code, err = outside()
	case "between":
		code, err = between()
	case "inside":
		if err = enclose(); err == nil {
			code = m.Run()
		}
	default:
		err = errors.New(stageEnv + " is ours to set")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "boot:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// The parts of the machine's folder: the tree's tmpfs, of which nobody else sees
// anything, and what systemd wants on a disk, where it keeps the host's secret.
const inMemory, onDisk = "memory", "disk"

// outside makes what the machine boots from, and a folder for it.
func outside() (code int, err error) {
	if os.Getuid() != 0 {
		return 1, errors.New("booting a tree takes root")
	}
	dir, err := os.MkdirTemp("/var/tmp", "holdfast-boot-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, part := range []string{inMemory, onDisk} {
		if err := os.Mkdir(filepath.Join(dir, part), 0o700); err != nil {
			return 1, err
		}
	}
	// Mostly it waits for other machines: beside it the packages are built.
	tree := make(chan error, 1)
	go func() { tree <- prepare() }()
	dist := os.Getenv(distEnv)
	if dist == "" {
		if dist, err = os.MkdirTemp("", "holdfast-dist-"); err == nil {
			defer func() { err = errors.Join(err, os.RemoveAll(dist)) }()
			err = build(dist)
		}
	}
	if err := errors.Join(err, <-tree); err != nil {
		return 1, err
	}
	// The next stage ends with this thread.
	runtime.LockOSThread()
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), stageEnv+"=between", dirEnv+"="+dir, distEnv+"="+dist), os.Stdout, os.Stderr
	// Go makes its mounts private, so that none gets out.
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	// Whoever interrupts does so to the whole process group: the next stage ends, and this one after it.
	signal.Ignore(syscall.SIGINT)
	return finished(c.Run())
}

// finished returns what a process exited with.
func finished(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// hierarchy is where the control groups (version 2) are mounted for us.
const hierarchy = "/sys/fs/cgroup"

// between makes a control group and runs the last stage in it, as the first
// process of name spaces of its own.
func between() (code int, err error) {
	// A machine that still has version 1 has version 2 beside it, without controllers; no controller is needed.
	if err := syscall.Mount("none", hierarchy, "cgroup2", 0, ""); err != nil && !errors.Is(err, syscall.EBUSY) {
		return 1, fmt.Errorf("mount control groups: %w", err)
	}
	group := filepath.Join(hierarchy, fmt.Sprintf("holdfast-boot-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, removeGroup(group)) }()
	fd, err := os.Open(group)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, fd.Close()) }()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	runtime.LockOSThread()
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	// It is started in the group, which becomes the top of what is seen inside.
	args := append([]string{"--mount", "--pid", "--cgroup", "--ipc", "--fork", "--mount-proc", "--kill-child", "--", self}, os.Args[1:]...)
	c := exec.CommandContext(ctx, "unshare", args...)
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), stageEnv+"=inside"), os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(fd.Fd()), Pdeathsig: syscall.SIGKILL}
	return finished(c.Run())
}

// removeGroup ends what is left in a control group and removes it.
func removeGroup(group string) error {
	if err := os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var groups []string
	err := filepath.WalkDir(group, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	for i := len(groups) - 1; i >= 0; i-- {
		err = errors.Join(err, patiently(func() error { return syscall.Rmdir(groups[i]) }))
	}
	return err
}

// enclose mounts what the machine and systemd-nspawn see, in this name space.
func enclose() error {
	// The kernel mounts one hierarchy only once at a place, whatever its top.
	if err := syscall.Unmount(hierarchy, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", hierarchy, err)
	}
	for _, m := range []struct {
		what, where, kind, options string
	}{
		{"tmpfs", "/run", "tmpfs", "mode=755"}, // systemd-nspawn's own notes, which are not this machine's
		{"none", hierarchy, "cgroup2", ""},     // as seen from the new name space
		{"tmpfs", filepath.Join(os.Getenv(dirEnv), inMemory), "tmpfs", "mode=700,size=6g"},
	} {
		if err := syscall.Mount(m.what, m.where, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.where, err)
		}
	}
	return nil
}
