package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// programs are the commands that are packaged, by the folder below cmd.
var programs = []string{"holdfast", "holdfastd"}

// baseline is the oldest processor of each architecture that the programs run on.
var baseline = map[string]string{"amd64": "GOAMD64=v1", "arm64": "GOARM64=v8.0"}

// steering are what the go command takes from its environment and puts into
// what it builds. Whoever builds has none of it in their own hands.
var steering = []string{
	"GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOFLAGS", "GOEXPERIMENT", "GOFIPS140", "GODEBUG", "GOWORK", "GO111MODULE", "GO_EXTLINK_ENABLED",
	"CGO_ENABLED", "GO_LDSO", "GOCOVERDIR",
}

// expected are the settings of a build that a program may record.
var expected = []string{"-buildmode", "-compiler", "-trimpath", "CGO_ENABLED", "GOARCH", "GOOS", "GOAMD64", "GOARM64", "DefaultGODEBUG"}

// environment is what the go command runs under to build for arch.
func environment(arch string) []string {
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(steering, name)
	})
	// A value of one's own for each, because an empty one would fall back to what
	// `go env -w` has kept on this machine.
	return append(env, "GOOS=linux", "GOARCH="+arch, baseline[arch], "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOFIPS140=off", "GOWORK=off", "GO111MODULE=on")
}

// compile builds the programs of the tree for arch into the folder out. They
// are static, without symbols (a stack trace needs none) and without anything
// that says where or when they were built; what they consist of stays in them
// (`go version -m`).
func compile(ctx context.Context, tree, out, arch, version string) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X holdfast/internal/build.version=" + version, "-o", out + string(filepath.Separator)}
	for _, p := range programs {
		args = append(args, "./cmd/"+p)
	}
	if _, err := goCommand(ctx, tree, arch, args...); err != nil {
		return err
	}
	for _, p := range programs {
		if err := plain(filepath.Join(out, p)); err != nil {
			return err
		}
	}
	return nil
}

// plain refuses a program that was built under a setting that is not ours.
func plain(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, s := range info.Settings {
		if !slices.Contains(expected, s.Key) {
			return fmt.Errorf("%s was built with %s=%s, so that nobody else would get the same bytes: unset it (`go env -u %s`)", filepath.Base(path), s.Key, s.Value, s.Key)
		}
	}
	return nil
}

// goCommand runs the go command in the tree and returns what it prints.
func goCommand(ctx context.Context, tree, arch string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "go", args...) // #nosec G204 -- the arguments are ours
	c.Dir, c.Env = tree, environment(arch)
	text, err := c.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, failed.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return string(text), nil
}
