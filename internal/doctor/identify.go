package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Identify says what kind of machine this is, and not which: no host name, no
// address, no serial number.
func Identify() (map[string]string, error) {
	var u unix.Utsname
	var info unix.Sysinfo_t
	if err := errors.Join(unix.Uname(&u), unix.Sysinfo(&info)); err != nil {
		return nil, fmt.Errorf("ask the kernel: %w", err)
	}
	release, err := osRelease("/etc/os-release")
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"kernel": unix.ByteSliceToString(u.Release[:]), "machine": unix.ByteSliceToString(u.Machine[:]),
		"system": release["ID"], "system_version": release["VERSION_ID"], "go": runtime.Version(),
		"processors":   strconv.Itoa(runtime.NumCPU()),
		"memory_bytes": strconv.FormatUint(uint64(info.Totalram)*uint64(info.Unit), 10), // #nosec G115 -- sizes
		"uptime":       strconv.FormatInt(int64(info.Uptime), 10),
	}, nil
}

// osRelease reads os-release(5). A machine without one has none.
func osRelease(path string) (map[string]string, error) {
	f, err := os.Open(path) // #nosec G304 -- a fixed name
	if err != nil {
		return nil, missing(err)
	}
	out := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(f, 64<<10))
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok {
			out[key] = strings.Trim(value, `"'`)
		}
	}
	return out, errors.Join(lines.Err(), f.Close())
}
