package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

type showOptions struct {
	why
	context int
}

func newShow(g *globals) *cobra.Command {
	o := &showOptions{}
	cmd := &cobra.Command{
		Use:   "show SEQ...",
		Short: "Show whole entries by number",
		Long: `Show whole entries by their number in the log, as search prints it. It is recorded before anything is shown.
With each comes what holds it and when it is due; of one that was disposed of, its certificate; of a
message its versions, recall and receipts. --context adds the messages before and after it in the same
conversation; of those outside your scope it says how many there are.`,
		Example: `  holdfast show 4711 --reason 'complaint 2026-014'
  holdfast show 4711 --context 10 --matter M-7
  holdfast show 4711 4712 --matter M-7 --format json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runShow(cmd.Context(), g, o, args) },
	}
	o.addFlags(cmd)
	cmd.Flags().IntVar(&o.context, "context", 0, "with `N` messages before and after it in the same conversation")
	return cmd
}

func runShow(ctx context.Context, g *globals, o *showOptions, args []string) error {
	if o.context < 0 || o.context > api.MaxContext {
		return usage("--context is 0 to %d", api.MaxContext)
	}
	req := api.ShowRequest{Reason: o.reason, Matter: o.matter, Context: o.context}
	for _, a := range args {
		seq, err := parseSeq(a)
		if err != nil {
			return err
		}
		req.Seqs = append(req.Seqs, seq)
	}
	shown, err := ask(ctx, g, func(c *api.Client) (*api.ShowResponse, error) { return c.Show(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(shown)
	}
	for i := range shown.Entries {
		if i > 0 {
			if _, err := fmt.Fprintln(g.Out); err != nil {
				return err
			}
		}
		if err := g.writeAmong(&shown.Entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// writeAmong writes an entry, between what was said before and after it.
func (g *globals) writeAmong(e *api.Shown) error {
	if e.Context == nil {
		return g.writeEntry(e)
	}
	between := func(what string, hits []api.Hit) error {
		if len(hits) == 0 {
			_, err := fmt.Fprintf(g.Out, "nothing %s in this conversation that you may see\n", what)
			return err
		}
		return g.writeSaid(hits)
	}
	if err := between("before", e.Context.Before); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(g.Out); err != nil {
		return err
	}
	if err := g.writeEntry(e); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(g.Out); err != nil {
		return err
	}
	if err := between("after", e.Context.After); err != nil {
		return err
	}
	if n := e.Context.NotInScope; n > 0 {
		return g.say("%d messages between these are not in your scope", n)
	}
	return nil
}

func parseSeq(s string) (uint64, error) {
	seq, err := strconv.ParseUint(s, 10, 53)
	if err != nil {
		return 0, usage("an entry is named by its number, such as 4711")
	}
	return seq, nil
}

func (g *globals) writeEntry(e *api.Shown) error {
	fields := []field{
		{"entry", number(e.Seq) + " (" + e.Kind + ", class " + e.Class + ")"},
		{"received", stamp(e.Received) + " UTC"},
	}
	if e.Epoch != "" {
		fields = append(fields, field{"relay", "epoch " + e.Epoch + ", seq " + number(e.RelaySeq)})
	}
	fields = append(fields, field{"leaf hash", e.LeafHash}, field{"missing", e.Missing})
	fields = append(fields, keptFields(&e.Kept)...)
	if m := e.Message; m != nil {
		fields = append(fields, messageFields(m)...)
	}
	if err := g.writeFields(fields); err != nil {
		return err
	}
	if e.Message != nil {
		return g.writeText(e.Message.Text)
	}
	return g.writeParts(e)
}

func messageFields(m *api.Hit) []field {
	fields := []field{
		{"sent", sentStamp(m.Sent) + " UTC, as the sender's device said"},
		{"from", m.From + " (" + m.FromUsr + ")"},
		{"to", strings.Join(m.To, ", ")},
		{"conversation", m.Conversation},
		{"type", m.Typ},
		{"assurance", m.Assurance},
		{"flags", strings.Join(m.Flags, ", ")},
	}
	for _, a := range m.Attachments {
		text := ""
		if a.Text != "" {
			text = ", text: " + a.Text
		}
		fields = append(fields, field{"attachment", fmt.Sprintf("%s (%s, %d bytes): %s%s", a.Name, a.Mime, a.Size, a.Status, text)})
	}
	return append(fields, followerFields(&m.Followers)...)
}

// followerFields describe what hangs at a message.
func followerFields(f *api.Followers) []field {
	var fields []field
	if f.Of != 0 {
		fields = append(fields, field{"version of", number(f.Of)})
	}
	say := func(name string, list []api.Follower) {
		for i := range list {
			l := &list[i]
			text := fmt.Sprintf("entry %d, %s UTC, by %s", l.Seq, sentStamp(cmp.Or(l.At, l.Sent)), l.From)
			switch {
			case l.Missing != "":
				text = fmt.Sprintf("entry %d: %s", l.Seq, l.Missing)
			case l.Text != "":
				text += ": " + l.Text
			}
			fields = append(fields, field{cmp.Or(name, l.Status, l.Typ), text})
		}
	}
	say("edited", f.Edits)
	say("recalled", f.Recalls)
	if f.Receipts != nil {
		say("", f.Receipts.Of)
	}
	say("", f.Others)
	if f.Unopened > 0 {
		fields = append(fields, field{"and", number(f.Unopened) + " more entries about it"})
	}
	if f.NotInScope > 0 {
		fields = append(fields, field{"and", number(f.NotInScope) + " entries about it that are not in your scope"})
	}
	if f.Unexamined {
		fields = append(fields, field{"warning", "the index is behind: there may be more about it"})
	}
	return fields
}

// writeParts writes what an entry other than a message holds.
func (g *globals) writeParts(e *api.Shown) error {
	for _, part := range []json.RawMessage{e.Note, e.Body} {
		if len(part) == 0 {
			continue
		}
		var b bytes.Buffer
		if err := json.Indent(&b, part, "", "  "); err != nil {
			return err
		}
		if err := g.writeText(string(escapeJSON(b.Bytes()))); err != nil {
			return err
		}
	}
	if len(e.Raw) > 0 {
		return g.writeText(string(e.Raw))
	}
	return nil
}
