// Package peers measures the encrypted index of archive/search beside plain
// bleve and SQLite FTS5, both unencrypted, in one run: how fast each is built,
// how large it is, and how long the same queries take. It is all tests, in a
// module of its own; nothing imports it. Run it by make peers.
package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// peerEnv names the peer that a child process is, and dirEnv its folder. Each
// peer has a process of its own, because bleve's encryption is one for a whole
// process; the messages and queries are the same in each.
const (
	peerEnv = "HOLDFAST_PEER"
	dirEnv  = "HOLDFAST_PEER_DIR"
)

// engine is a search engine with an index in a folder.
type engine interface {
	// build indexes all messages; it returns when they can be found.
	build(ctx context.Context, messages []message) error
	// ask returns how many messages match, having found the newest 50; false
	// when the engine cannot say such a query.
	ask(ctx context.Context, q asked) (total uint64, ok bool, err error)
	close() error
}

// The peers, ours first: the ratios are ours to theirs.
var engines = []struct {
	name string
	open func(dir string) (engine, error)
}{
	{"holdfast", openOurs},
	{"bleve", openBleve},
	{"sqlite-fts5", openSQLite},
}

func TestMain(m *testing.M) {
	if name := os.Getenv(peerEnv); name != "" {
		if err := child(name, os.Getenv(dirEnv), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func open(name, dir string) (engine, error) {
	for _, e := range engines {
		if e.name == name {
			return e.open(dir)
		}
	}
	return nil, fmt.Errorf("there is no such peer")
}

// reply is what a child answers to a line: to "build", or to a kind of queries.
type reply struct {
	Took  []time.Duration // of each query, or of the build
	CPU   time.Duration   // worked meanwhile
	Bytes int64           // of the index, once it stays the same
	Hits  uint64
	None  bool // the engine has no such query
}

// child is one peer: it does what each line says.
func child(name, dir string, in io.Reader, out io.Writer) error {
	messages, err := readMessages()
	if err != nil {
		return err
	}
	queries := makeQueries(messages)
	e, err := open(name, dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	answer := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var r reply
		worked := cpuTime()
		if kind := lines.Text(); kind == "build" {
			start := time.Now()
			if err := e.build(ctx, messages); err != nil {
				return err
			}
			r.Took, r.CPU = []time.Duration{time.Since(start)}, cpuTime()-worked
			messages = nil
			if r.Bytes, err = settled(dir); err != nil {
				return err
			}
		} else {
			for _, q := range queries[kind] {
				start := time.Now()
				total, ok, err := e.ask(ctx, q)
				if err != nil {
					return fmt.Errorf("%s: %w", kind, err)
				}
				r.Took, r.Hits, r.None = append(r.Took, time.Since(start)), r.Hits+total, r.None || !ok
			}
			r.CPU = cpuTime() - worked
		}
		if err := answer.Encode(r); err != nil {
			return err
		}
	}
	return e.close()
}

// process is a child as the parent sees it.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder

	built reply
	asked map[string]reply // all rounds of a kind together
}

func start(b *testing.B, name string) *process {
	b.Helper()
	dir := filepath.Join(b.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	p := &process{name: name, cmd: exec.CommandContext(b.Context(), os.Args[0]), asked: map[string]reply{}}
	p.cmd.Env = append(os.Environ(), peerEnv+"="+name, dirEnv+"="+dir)
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return p
}

func (p *process) tell(b *testing.B, line string) (r reply) {
	b.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		b.Fatalf("%s: %v", p.name, err)
	}
	if err := p.out.Decode(&r); err != nil {
		b.Fatalf("%s: %v", p.name, err)
	}
	return r
}

// BenchmarkPeers builds each index, one after the other, and then asks all of
// them each kind of query in turn, ROUNDS times after one that warms them up.
func BenchmarkPeers(b *testing.B) {
	n, err := messageCount()
	if err != nil {
		b.Fatal(err)
	}
	rounds, err := number("ROUNDS", 5)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var peers []*process
		for _, e := range engines {
			p := start(b, e.name)
			p.built = p.tell(b, "build")
			peers = append(peers, p)
		}
		for _, kind := range kinds {
			for round := range rounds + 1 {
				for _, p := range peers {
					r, all := p.tell(b, kind), p.asked[kind]
					if round > 0 {
						all.Took, all.CPU = append(all.Took, r.Took...), all.CPU+r.CPU
						all.Hits, all.None = all.Hits+r.Hits, r.None
						p.asked[kind] = all
					}
				}
			}
		}
		for _, p := range peers {
			if err := p.in.Close(); err != nil {
				b.Error(err)
			}
			if err := p.cmd.Wait(); err != nil {
				b.Errorf("%s: %v", p.name, err)
			}
		}
		fmt.Print("\n" + table(n, peers))
	}
}

// table prints what was measured; a ratio is ours divided by the peer's.
func table(n int, peers []*process) string {
	var s strings.Builder
	fmt.Fprintf(&s, "peers: %d messages\n", n)
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(what, unit string, of func(*process) (float64, bool)) {
		fmt.Fprintf(w, "%s\t", what)
		ours, _ := of(peers[0])
		for i, p := range peers {
			switch value, ok := of(p); {
			case !ok:
				fmt.Fprint(w, "none\t\t")
			case i == 0 || unit == "":
				fmt.Fprintf(w, "%.4g %s\t%s", value, unit, strings.Repeat("\t", min(i, 1)))
			default:
				fmt.Fprintf(w, "%.4g %s\tours/peer %.2f\t", value, unit, ours/value)
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "\t")
	for i, p := range peers {
		fmt.Fprint(w, p.name+"\t"+strings.Repeat("\t", min(i, 1)))
	}
	fmt.Fprintln(w)
	row("build", "msg/s", func(p *process) (float64, bool) { return float64(n) / p.built.Took[0].Seconds(), true })
	row("build, of one core", "msg/s", func(p *process) (float64, bool) { return float64(n) / p.built.CPU.Seconds(), true })
	row("size", "B/msg", func(p *process) (float64, bool) { return float64(p.built.Bytes) / float64(n), true })
	for _, kind := range kinds {
		row(kind+" p50", "ms", func(p *process) (float64, bool) {
			took := slices.Sorted(slices.Values(p.asked[kind].Took))
			return took[len(took)/2].Seconds() * 1000, !p.asked[kind].None
		})
		row("cpu/query", "ms", func(p *process) (float64, bool) {
			r := p.asked[kind]
			return r.CPU.Seconds() * 1000 / float64(len(r.Took)), !r.None
		})
		row("hits/query", "", func(p *process) (float64, bool) {
			r := p.asked[kind]
			return float64(r.Hits) / float64(len(r.Took)), !r.None
		})
	}
	w.Flush()
	return s.String()
}
