// Command demo is what `make demo` runs: Holdfast's main job from end to end,
// in a temporary directory, as whoever runs it, through the built commands
// alone. It compares what the archive answers with what a plain reading of
// the shipped message set gives, and fails where they differ.
//
// Its words go to stdout, the last line being "demo: OK ..." and the counts; a
// failure goes to stderr, with the last lines that relay and daemon logged,
// and the exit code is 1. Nothing of it stays behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"holdfast/internal/adtest"
)

// patience bounds the whole demo. It takes seconds; this is for a machine that
// is busy with something else.
const patience = 3 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "folder of holdfast, holdfastd and holdfast-relay")
	set := flag.String("set", "cmd/holdfast-relay/testdata/ward.jsonl", "message set to load")
	kind := flag.String("directory", kindFake, "where people come from: fake, or samba for a real domain controller")
	flag.Parse()
	os.Exit(run(*bin, *set, *kind, os.Stdout, os.Stderr))
}

func run(bin, set, kind string, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	d, err := newDemo(bin, set, kind, out)
	if err != nil {
		_, _ = fmt.Fprintln(errs, "demo: FAILED:", err)
		return 1
	}
	err = d.play(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(errs, "demo: FAILED:", err)
		d.relay.writeTail(errs)
		d.daemon.writeTail(errs)
	}
	if cleanErr := d.clean(); cleanErr != nil {
		_, _ = fmt.Fprintln(errs, "demo: FAILED: clean up:", cleanErr)
		err = cleanErr
	}
	if err != nil {
		return 1
	}
	_, err = fmt.Fprintf(out, "demo: OK archived=%d found=%d exported=%d verified=%d\n", d.archived, d.found, d.exported, d.verified)
	if err != nil {
		return 1
	}
	return 0
}

// demo is one performance. The counts are what its last line reports.
type demo struct {
	bin, dir      string
	set           *set
	setPath       string
	out           io.Writer
	relay, daemon *process // nil while they do not run

	kind            string           // of directory
	directory       adtest.Directory // nil while it does not run; then stopDirectory ends it
	stopDirectory   func()
	apiCert, apiKey string // files of the HTTPS side's certificate

	step int

	events uint64 // relay events that the set became

	archived int    // messages of the set that the archive holds, of all types
	found    int    // messages that the searches in three languages found
	exported int    // messages of the production
	verified int    // of them, proven offline
	backedUp uint64 // entries of the newest backup

	looks map[string]int // accesses that the audit must list, by action

	oldWard      string    // path of the archive of 2019
	old          *demo     // the daemon on it; nil before it runs
	held         relayUser // whose messages are held there
	certificates []uint64  // of what was disposed of there
}

// socketRoom is the length of a path below the temporary directory that still
// leaves its socket within the kernel's limit for socket names.
const socketRoom = 80

func newDemo(bin, setPath, kind string, out io.Writer) (*demo, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"holdfast", "holdfastd", "holdfast-relay"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("%w; run make build first", err)
		}
	}
	oldWard, err := filepath.Abs(oldWardPath)
	if err != nil {
		return nil, err
	}
	setPath, err = filepath.Abs(setPath)
	if err != nil {
		return nil, err
	}
	s, err := readSet(setPath)
	if err != nil {
		return nil, err
	}
	parent := os.TempDir()
	if len(parent) > socketRoom {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "holdfast-demo-")
	if err != nil {
		return nil, err
	}
	return &demo{bin: bin, dir: dir, set: s, setPath: setPath, kind: kind, oldWard: oldWard, out: out, looks: map[string]int{}}, nil
}

// clean ends what still runs and removes everything.
func (d *demo) clean() error {
	d.daemon.kill()
	d.relay.kill()
	if d.old != nil {
		d.old.daemon.kill()
	}
	if d.stopDirectory != nil {
		d.stopDirectory()
	}
	return os.RemoveAll(d.dir)
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// say tells what was just done, as a numbered step.
func (d *demo) say(format string, args ...any) error {
	d.step++
	_, err := fmt.Fprintf(d.out, "%2d. %s\n", d.step, fmt.Sprintf(format, args...))
	return err
}

// play performs the steps in order, up to the first that does not hold.
func (d *demo) play(ctx context.Context) error {
	if _, err := fmt.Fprintf(d.out, "Holdfast demo in %s, which is removed at the end.\n\n", d.dir); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"make the archive", d.makeArchive},
		{"start the directory", d.openDirectory},
		{"make the relay", d.makeRelay},
		{"start relay and daemon", d.start},
		{"load messages", d.load},
		{"wait for the ack", d.awaitAck},
		{"match people", d.matchPeople},
		{"search", d.search},
		{"show", d.show},
		{"export", d.export},
		{"other formats", d.produceFormats},
		{"audit", d.audit},
		{"log in", d.logIn},
		{"find by a former name", d.rename},
		{"refuse", d.refuse},
		{"open an archive of 2019", d.openOldWard},
		{"hold", d.hold},
		{"dispose", d.dispose},
		{"look for what was disposed of", d.disposed},
		{"leave", d.leave},
		{"verify the live store", d.verifyLive},
		{"back up", d.backUp},
		{"stop", d.stop},
		{"verify the export offline", d.verifyOffline},
		{"verify the other formats", d.verifyFormats},
		{"restore", d.restore},
		{"verify a copy of the store", d.verifyCopy},
		{"verify an altered copy", d.verifyAltered},
	} {
		if err := s.do(ctx); err != nil {
			if ctx.Err() != nil {
				err = errors.Join(err, context.Cause(ctx))
			}
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}
