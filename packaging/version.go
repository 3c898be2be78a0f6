package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A version is what `git describe --tags --always --dirty` says: a tag, a tag
// and how many commits follow it, a commit alone where there is no tag yet, or
// "unknown" where there is no git.
var (
	described = regexp.MustCompile(`^v?([0-9]+(?:\.[0-9]+){0,2})(?:-((?:alpha|beta|rc)[.0-9]*))?(?:-([0-9]+)-g([0-9a-f]{7,40}))?(-dirty)?$`)
	untagged  = regexp.MustCompile(`^(?:([0-9a-f]{7,40})|unknown)(-dirty)?$`)
)

// packageVersion turns the program's version into a package's, which dpkg and
// rpm order alike: 1.2.0~rc1 before 1.2.0, and that before 1.2.0+3.g0123abc.
// What has no tag yet is before everything else.
func packageVersion(v string) (string, error) {
	if m := untagged.FindStringSubmatch(v); m != nil {
		return "0.0.0+" + strings.ReplaceAll(strings.TrimPrefix(untaggedName(m[1])+m[2], "-"), "-", "."), nil
	}
	m := described.FindStringSubmatch(v)
	if m == nil {
		return "", fmt.Errorf("-version %q is not what `git describe --tags --always --dirty` says, as 1.2.0, v1.2.0-rc1 or v1.2.0-3-g0123abc", v)
	}
	p := m[1]
	if m[2] != "" {
		p += "~" + m[2]
	}
	var after []string
	if m[3] != "" {
		after = append(after, m[3], "g"+m[4])
	}
	if m[5] != "" {
		after = append(after, "dirty")
	}
	if len(after) > 0 {
		p += "+" + strings.Join(after, ".")
	}
	return p, nil
}

func untaggedName(commit string) string {
	if commit == "" {
		return "unknown"
	}
	return "g" + commit
}
