package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newShow(g *globals) *cobra.Command {
	o := &why{}
	cmd := &cobra.Command{
		Use:   "show SEQ...",
		Short: "Show whole entries by number",
		Long: `Show whole entries by their number in the log, as search prints it. It is recorded before anything is shown.
With each comes what holds it and when it is due; of one that was disposed of, its certificate.`,
		Example: `  holdfast show 4711 --reason 'complaint 2026-014'
  holdfast show 4711 4712 --matter M-7 --format json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runShow(cmd.Context(), g, o, args) },
	}
	o.addFlags(cmd)
	return cmd
}

func runShow(ctx context.Context, g *globals, o *why, args []string) error {
	req := api.ShowRequest{Reason: o.reason, Matter: o.matter}
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
		if err := g.writeEntry(&shown.Entries[i]); err != nil {
			return err
		}
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
		fields = append(fields, field{"attachment", fmt.Sprintf("%s (%s, %d bytes): %s", a.Name, a.Mime, a.Size, a.Status)})
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
