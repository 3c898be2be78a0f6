package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"holdfast/ingest/envelope"
	"holdfast/internal/relay"
	"holdfast/internal/relay/load"
)

type loadOptions struct {
	dir, identity, kem, format string
	wait                       time.Duration
}

func newLoad() *cobra.Command {
	var o loadOptions
	cmd := &cobra.Command{
		Use:   "load --dir DIR FILE.jsonl[.gz]...",
		Short: "Turn lines into sealed messages and hand them to the running relay",
		Long: "Reads lines of Holdfast's own message sets (internal/relay/load/line.go), of the NUS SMS corpus and of MTS-Dialog, makes people,\n" +
			"devices and conversations of them, seals each message to the archive's current key and hands it to the running relay.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name at least one file of lines; see --help")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLoad(cmd.Context(), o, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.dir, "dir", "", "the relay's folder")
	cmd.Flags().StringVar(&o.identity, "identity", "", "the archive's identity.json, if its key is not pinned yet")
	cmd.Flags().StringVar(&o.kem, "kem", "xwing", "suite to seal under: xwing or p256")
	cmd.Flags().DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for the archive's first keyset")
	addFormat(cmd, &o.format)
	return cmd
}

func addFormat(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", "text", "text or json")
}

func checkFormat(format string) error {
	if format != "text" && format != "json" {
		return usageError{errors.New("--format is text or json")}
	}
	return nil
}

func runLoad(ctx context.Context, o loadOptions, paths []string, out, notes io.Writer) error {
	kem := map[string]envelope.KEM{"xwing": envelope.XWing, "p256": envelope.P256}[o.kem]
	if kem == 0 {
		return usageError{errors.New("--kem is xwing or p256")}
	}
	if err := errors.Join(required("dir", o.dir), checkFormat(o.format)); err != nil {
		return err
	}
	if o.identity != "" {
		if err := pinIdentity(o.dir, o.identity); err != nil {
			return err
		}
	}
	identity, err := relay.PinnedIdentity(o.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return usageError{errors.New("the archive's identity key is not pinned: give --identity FILE")}
	}
	if err != nil {
		return err
	}
	enrol, err := relay.EnrolmentKey(o.dir)
	if err != nil {
		return err
	}
	client, err := relay.NewClient(o.dir, "")
	if err != nil {
		return err
	}
	defer client.Close()
	bar := newBar(notes)
	defer bar.stop()
	sum, err := load.Run(ctx, load.Options{
		Dir: o.dir, Client: client, Identity: identity, Enrol: enrol, KEM: kem, Wait: o.wait, Progress: bar.update,
		Waiting: func() {
			// A terminal that is gone cannot be told.
			_, _ = fmt.Fprintf(notes, "waiting up to %v for the archive's keyset\n", o.wait)
		},
	}, paths...)
	bar.stop()
	if err != nil {
		return err
	}
	if o.format == "json" {
		return json.NewEncoder(out).Encode(sum)
	}
	if _, err = fmt.Fprintf(out, "loaded %d envelopes, %d devices, %d people\n", sum.Envelopes, sum.Devices, sum.People); err != nil || sum.Refused == 0 {
		return err
	}
	_, err = fmt.Fprintf(notes, "%d were refused: their people or devices are shut out\n", sum.Refused)
	return err
}

// bar is a progress bar on a terminal, and nothing elsewhere.
type bar struct {
	writer  progress.Writer
	tracker *progress.Tracker
	done    chan struct{}
}

func newBar(notes io.Writer) *bar {
	f, ok := notes.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	b := &bar{writer: progress.NewWriter(), tracker: &progress.Tracker{Message: "loading", Units: progress.UnitsBytes}, done: make(chan struct{})}
	b.writer.SetOutputWriter(f)
	b.writer.SetUpdateFrequency(100 * time.Millisecond)
	b.writer.SetTrackerLength(30)
	b.writer.Style().Visibility.ETA = true
	b.writer.AppendTracker(b.tracker)
	go func() {
		defer close(b.done)
		b.writer.Render()
	}()
	return b
}

func (b *bar) update(done, total int64) {
	if b.writer == nil {
		return
	}
	b.tracker.UpdateTotal(total)
	b.tracker.SetValue(done)
}

// stop ends the bar; a second call does nothing.
func (b *bar) stop() {
	if b.writer == nil {
		return
	}
	b.tracker.MarkAsDone()
	b.writer.Stop()
	<-b.done
	b.writer = nil
}
