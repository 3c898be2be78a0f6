//go:build faults

package archive

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The system calls by which a writer changes its folder, and by which it makes
// changes durable.
const tracedCalls = "openat,pwrite64,write,ftruncate,fdatasync,fsync,renameat,renameat2,rename,linkat,link,unlinkat,unlink"

// event is one of them, as far as a disk sees it. Paths are relative to the
// archive's folder.
type event struct {
	call string // create, write, truncate, sync, rename, link, unlink, ack
	path string
	to   string // rename, link
	at   int64  // write: offset; truncate: size
	data []byte
	ack  ack
}

// needStrace makes sure that strace is there: on a machine where it can be
// installed, it is.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err == nil {
		return
	}
	if os.Getuid() == 0 {
		out, err := exec.Command("apt-get", "install", "-y", "strace").CombinedOutput()
		if err == nil {
			return
		}
		t.Logf("%s", out)
	}
	t.Fatal("this test needs strace: install Debian's package strace")
}

// trace runs the writer under strace and returns what it did. inject, if any,
// goes to strace's -e inject=.
func (v *victim) trace(t *testing.T, pages int, inject string) []event {
	t.Helper()
	cmd, env := v.command(t, pages)
	file := filepath.Join(t.TempDir(), "trace")
	args := []string{"-f", "-y", "-xx", "-s", strconv.Itoa(32 << 20), "-o", file, "-e", "trace=" + tracedCalls, "-e", "signal=none"}
	if inject != "" {
		args = append(args, "-e", "inject="+inject)
	}
	run := exec.Command("strace", append(args, cmd.Path)...)
	run.Env = append(os.Environ(), env)
	out, err := run.CombinedOutput()
	if err != nil && inject == "" {
		t.Fatalf("%v: %s", err, out)
	}
	return v.parseTrace(t, file)
}

var (
	callLine = regexp.MustCompile(`^(\d+) +([a-z0-9]+)\((.*)$`)
	rest     = regexp.MustCompile(`^(\d+) +<\.\.\. ([a-z0-9]+) resumed>(.*)$`)
	result   = regexp.MustCompile(`\) += (-?\d+)`)
)

// parser turns strace's lines into events.
type parser struct {
	root  string
	begun map[string]string // by thread: a call that is not finished
	sizes map[string]int64  // offset of write(2), by descriptor
	out   []event
}

func (v *victim) parseTrace(t *testing.T, file string) []event {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &parser{root: v.dir + "/", begun: map[string]string{}, sizes: map[string]int64{}}
	in := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break
		}
		if err := p.line(strings.TrimSuffix(line, "\n")); err != nil {
			t.Fatalf("%v in %.200s", err, line)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return p.out
}

func (p *parser) line(line string) error {
	if m := rest.FindStringSubmatch(line); m != nil {
		begun := p.begun[m[1]]
		delete(p.begun, m[1])
		return p.call(m[2], begun+m[3])
	}
	m := callLine.FindStringSubmatch(line)
	if m == nil {
		return nil // a signal, an exit
	}
	if text, unfinished := strings.CutSuffix(m[3], " <unfinished ...>"); unfinished {
		p.begun[m[1]] = text
		return nil
	}
	return p.call(m[2], m[3])
}

// call takes a finished call. A failed or injected one changed nothing.
func (p *parser) call(name, args string) error {
	m := result.FindStringSubmatch(args)
	if m == nil || strings.HasPrefix(m[1], "-") || strings.Contains(args, "(INJECTED)") {
		return nil
	}
	paths, quoted := p.paths(args), quotedIn(args)
	fields := strings.Split(result.ReplaceAllString(args, ""), ", ")
	add := func(e event) { p.out = append(p.out, e) }
	last := func(n int) (int64, error) { return strconv.ParseInt(strings.TrimSpace(fields[len(fields)-n]), 0, 64) }
	switch name {
	case "write":
		if len(quoted) == 1 && len(paths) == 0 {
			if a, ok := parseAck(strings.TrimSpace(string(quoted[0]))); ok {
				add(event{call: "ack", ack: a})
			}
			return nil
		}
		if len(paths) != 1 || len(quoted) != 1 {
			return nil
		}
		fd := fields[0]
		add(event{call: "write", path: paths[0], at: p.sizes[fd], data: quoted[0]})
		p.sizes[fd] += int64(len(quoted[0]))
	case "pwrite64":
		at, err := last(1)
		if err != nil || len(paths) == 0 {
			return err
		}
		add(event{call: "write", path: paths[0], at: at, data: quoted[0]})
	case "ftruncate":
		size, err := last(1)
		if err != nil || len(paths) == 0 {
			return err
		}
		add(event{call: "truncate", path: paths[0], at: size})
	case "openat":
		fd := "" // of the result: 7</path>
		if i := strings.LastIndex(args, "= "); i >= 0 {
			fd = args[i+2:]
		}
		p.sizes[fd] = 0
		if full := p.relative(string(quoted[0])); full != "" && strings.Contains(args, "O_CREAT") {
			add(event{call: "create", path: full})
		}
	case "fsync", "fdatasync":
		if len(paths) == 1 {
			add(event{call: "sync", path: paths[0]})
		}
	case "rename", "renameat", "renameat2", "link", "linkat":
		from, to := p.relative(string(quoted[0])), p.relative(string(quoted[1]))
		if from != "" && to != "" {
			call := "rename"
			if strings.HasPrefix(name, "link") {
				call = "link"
			}
			add(event{call: call, path: from, to: to})
		}
	case "unlink", "unlinkat":
		if path := p.relative(string(quoted[0])); path != "" {
			add(event{call: "unlink", path: path})
		}
	}
	return nil
}

// relative returns a path within the archive's folder, "." for the folder
// itself, and "" for any other and for files whose content counts for nothing.
func (p *parser) relative(path string) string {
	if path+"/" == p.root {
		return "."
	}
	path, inside := strings.CutPrefix(path, p.root)
	if !inside || path == "lock" || path == "reserve" {
		return ""
	}
	return path
}

var fdPath = regexp.MustCompile(`^\d+<([^>]*)>`)

// paths returns the path of the call's descriptor, if it is one of ours.
func (p *parser) paths(args string) []string {
	if m := fdPath.FindStringSubmatch(args); m != nil {
		name := m[1]
		if b, err := unescape(name); err == nil {
			name = string(b)
		}
		if path := p.relative(strings.TrimSuffix(name, "(deleted)")); path != "" {
			return []string{path}
		}
	}
	return nil
}

var quotes = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)

// quotedIn returns the strings among a call's arguments.
func quotedIn(args string) (out [][]byte) {
	for _, m := range quotes.FindAllStringSubmatch(args, -1) {
		if b, err := unescape(m[1]); err == nil {
			out = append(out, b)
		}
	}
	return out
}

func unescape(s string) ([]byte, error) {
	if len(s)%4 != 0 || !strings.HasPrefix(s, `\x`) && s != "" {
		return nil, errors.New("not escaped")
	}
	out := make([]byte, 0, len(s)/4)
	for i := 0; i < len(s); i += 4 {
		n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
		if err != nil || s[i:i+2] != `\x` {
			return nil, fmt.Errorf("at %d: not escaped", i)
		}
		out = append(out, byte(n))
	}
	return out, nil
}
