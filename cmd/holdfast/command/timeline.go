package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newTimeline(g *globals) *cobra.Command {
	o := &why{}
	cmd := &cobra.Command{
		Use:   "timeline SEQ",
		Short: "Who could see a message, and who read it when",
		Long: `Show who could see a message (its recipients and the members of its conversation, and who joined or
left since) and what came of it: delivered, read, acknowledged, edited, recalled, expired. Each line
names the entry of the log that it rests on and by whose word. It says what it cannot show. The look is
recorded before anything is shown.`,
		Example: `  holdfast timeline 4711 --matter M-7
  holdfast timeline 4711 --reason 'complaint 2026-014' --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runTimeline(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd)
	return cmd
}

func runTimeline(ctx context.Context, g *globals, o *why, arg string) error {
	seq, err := parseSeq(arg)
	if err != nil {
		return err
	}
	req := api.TimelineRequest{Seq: seq, Reason: o.reason, Matter: o.matter}
	t, err := ask(ctx, g, func(c *api.Client) (*api.TimelineResponse, error) { return c.Timeline(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(t)
	}
	people := make([][]string, 0, len(t.People))
	for i := range t.People {
		w := &t.People[i]
		people = append(people, []string{w.Name, strings.Join(w.As, ", "), sentStamp(w.Delivered), sentStamp(w.Read), sentStamp(w.Acknowledged), cameAndWent(w), basis(w)})
	}
	if err := g.writeTable([]string{"WHO COULD SEE IT", "AS", "DELIVERED (UTC)", "READ (UTC)", "ACKNOWLEDGED (UTC)", "JOINED OR LEFT", "SAID BY ENTRIES"}, people); err != nil {
		return err
	}
	events := make([][]string, 0, len(t.Events))
	for _, e := range t.Events {
		basis := e.Basis
		if e.Text != "" {
			basis += ": " + e.Text
		}
		events = append(events, []string{number(e.Seq), sentStamp(e.At), stamp(e.Received), e.What, e.Who, basis})
	}
	if _, err := fmt.Fprintln(g.Out); err != nil {
		return err
	}
	if err := g.writeTable([]string{"SEQ", "AT (UTC)", "RECEIVED (UTC)", "WHAT", "WHO", "BY WHOSE WORD"}, events); err != nil {
		return err
	}
	return g.sayLimits(t)
}

// cameAndWent says whether somebody joined or left after the message was sent.
func cameAndWent(w *api.Witness) string {
	var parts []string
	if w.Joined != nil {
		parts = append(parts, "joined "+sentStamp(w.Joined.At))
	}
	if w.Left != nil {
		parts = append(parts, "left "+sentStamp(w.Left.At))
	}
	return strings.Join(parts, ", ")
}

// basis names the entries that say that somebody could see a message.
func basis(w *api.Witness) string {
	var seqs []uint64
	for _, b := range w.Basis {
		if len(seqs) == 0 || seqs[len(seqs)-1] != b.Seq {
			seqs = append(seqs, b.Seq)
		}
	}
	return numbers(seqs)
}

// sayLimits says through where a timeline goes, and what it cannot show.
func (g *globals) sayLimits(t *api.TimelineResponse) error {
	lines := []string{"through entry " + number(t.Through)}
	if t.NotInScope > 0 {
		lines = append(lines, number(t.NotInScope)+" entries about it are not in your scope")
	}
	if t.Unopened > 0 {
		lines = append(lines, "warning: "+number(t.Unopened)+" more entries about it were not looked at")
	}
	return g.say("%s", strings.Join(append(lines, t.Limits...), "\n"))
}
