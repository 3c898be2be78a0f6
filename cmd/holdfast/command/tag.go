package command

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/archive/audit"
	"holdfast/internal/api"
)

// tagNames are the tags, as the daemon knows them.
var tagNames = []string{"privileged", "part2", "psychotherapy"}

func newTag(g *globals) *cobra.Command {
	req := &api.TagRequest{}
	cmd := &cobra.Command{
		Use:   "tag SEQ... privileged|part2|psychotherapy --matter ID --reason TEXT",
		Short: "Tag messages as privileged or specially protected: productions withhold them",
		Long: `Tag messages for a matter of which you are a member. Productions leave out what is tagged, in every matter,
and list it in their privilege log (FRCP 26(b)(5)(A)): with --basis and --description, which leave the
house, or with the usual words of the tag. --reason stays in the house.

  privileged     attorney-client privilege or work product
  part2          substance use disorder records, 42 CFR Part 2
  psychotherapy  psychotherapy notes, 45 CFR 164.501

Tag a message and its later versions go with it. A matter takes off the tags that it put on. SEQ is a
message's number, or a range of them, 4711-4720.`,
		Example: `  holdfast tag 4711 4713-4716 privileged --matter M-7 --reason 'to outside counsel, 3 March'
  holdfast tag 4711 privileged --matter M-7 --basis 'attorney-client privilege' --description 'message to counsel about the claim' --reason 'as of counsel'
  holdfast tag 4711 privileged --remove --matter M-7 --reason 'order of 4 June'
  holdfast tag show 4711
  holdfast tag list --matter M-7 --tag privileged`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 || !slices.Contains(tagNames, args[len(args)-1]) {
				return errors.New("name the messages by their numbers and then one tag: privileged, part2 or psychotherapy")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runTag(cmd.Context(), g, req, args) },
	}
	cmd.Flags().StringVar(&req.Matter, "matter", "", "the matter for which they are tagged: `ID`")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, kept in the log: `TEXT`")
	cmd.Flags().StringVar(&req.Basis, "basis", "", "the ground, for privilege logs: `TEXT`")
	cmd.Flags().StringVar(&req.Description, "description", "", "what it is, told so that the privilege stands, for privilege logs: `TEXT`")
	cmd.Flags().BoolVar(&req.Remove, "remove", false, "take the tag off")
	cmd.AddCommand(newTagShow(g), newTagList(g))
	return cmd
}

func runTag(ctx context.Context, g *globals, req *api.TagRequest, args []string) error {
	if req.Matter == "" {
		return usage("name with --matter for what they are tagged; `holdfast matter list` lists the open matters")
	}
	seqs, err := parseRanges(args[:len(args)-1])
	if err != nil {
		return err
	}
	req.Seqs, req.Tag = seqs, args[len(args)-1]
	done, err := ask(ctx, g, func(c *api.Client) (*api.TagResponse, error) { return c.SetTag(ctx, *req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(done)
	}
	next := "productions withhold them from now on; what was produced before is asked back with: holdfast clawback"
	if req.Remove {
		next = "they may still be withheld by other tags: holdfast tag show SEQ"
	}
	return errors.Join(g.writeFields([]field{
		{"matter", done.Matter}, {"tag", done.Tag}, {"messages with it", number(done.Total)},
	}), g.next(next))
}

// parseRanges reads numbers and ranges of them, such as 4711-4720.
func parseRanges(args []string) ([]uint64, error) {
	var seqs []uint64
	for _, a := range args {
		from, to, isRange := strings.Cut(a, "-")
		if !isRange {
			to = from
		}
		first, err := parseNumber(from, "an entry")
		if err != nil {
			return nil, err
		}
		last, err := parseNumber(to, "an entry")
		if err != nil {
			return nil, err
		}
		if last < first || last-first >= audit.MaxSeqs || len(seqs) >= audit.MaxSeqs {
			return nil, usage("a range ends where it begins or after, and at most %s entries are tagged at once", strconv.Itoa(audit.MaxSeqs))
		}
		for seq := first; seq <= last; seq++ {
			seqs = append(seqs, seq)
		}
	}
	return seqs, nil
}

func newTagShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show SEQ",
		Short:   "Show how one message is tagged, and ever was",
		Example: "  holdfast tag show 4711\n  holdfast tag show 4711 --json | jq '.tags[] | select(.removed == null)'",
		Args:    exactly(1, "name one message by its number, as `holdfast search` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			seq, err := parseNumber(args[0], "an entry")
			if err != nil {
				return err
			}
			list, err := ask(ctx, g, func(c *api.Client) (*api.TagsShowResponse, error) { return c.Tags(ctx, seq) })
			if err != nil {
				return err
			}
			return g.writeTags(list)
		},
	}
}

func (g *globals) writeTags(list *api.TagsShowResponse) error {
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Tags) == 0 {
		return g.say("no tag withholds it")
	}
	rows := make([][]string, 0, len(list.Tags))
	for i := range list.Tags {
		t := &list.Tags[i]
		by, off := "", "no"
		if t.By != nil {
			by = t.By.String()
		}
		if t.Removed != nil {
			off = stamp(t.Removed.At) + " by " + t.Removed.By.String()
		}
		how := t.Reason
		if t.Clawback {
			how = "clawback: " + how
		}
		rows = append(rows, []string{t.Tag, t.Matter, sinceStamp(t.At, ""), by, off, t.Basis, how})
	}
	return g.writeTable([]string{"TAG", "MATTER", "SINCE (UTC)", "BY", "TAKEN OFF", "BASIS", "REASON"}, rows)
}

func newTagList(g *globals) *cobra.Command {
	var req api.TagsListRequest
	cmd := &cobra.Command{
		Use:     "list --matter ID --tag TAG",
		Short:   "List the messages that a matter has tagged",
		Example: "  holdfast tag list --matter M-7 --tag privileged\n  holdfast tag list --matter M-7 --tag part2 --limit 1000 --json | jq .seqs",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			switch {
			case req.Matter == "":
				return usage("name the matter with --matter")
			case !slices.Contains(tagNames, req.Tag):
				return usage("--tag is privileged, part2 or psychotherapy")
			}
			list, err := ask(ctx, g, func(c *api.Client) (*api.TagsListResponse, error) { return c.TaggedBy(ctx, req) })
			if err != nil {
				return err
			}
			if g.format == formatJSON {
				return g.writeJSON(list)
			}
			rows := make([][]string, 0, len(list.Seqs))
			for _, seq := range list.Seqs {
				rows = append(rows, []string{number(seq)})
			}
			if err := g.writeTable([]string{"SEQ"}, rows); err != nil {
				return err
			}
			lines := []string{number(list.Total) + " in all"}
			if n := len(list.Seqs); n > 0 && list.Seqs[n-1] > 0 && uint64(n) < list.Total {
				lines = append(lines, "the next page: --after "+number(list.Seqs[n-1]))
			}
			return g.next(lines...)
		},
	}
	cmd.Flags().StringVar(&req.Matter, "matter", "", "the matter that tagged them: `ID`")
	cmd.Flags().StringVar(&req.Tag, "tag", "", "which `TAG`: privileged, part2 or psychotherapy")
	cmd.Flags().IntVar(&req.Limit, "limit", api.DefaultLimit, "show at most `N` messages")
	addCount(cmd, &req.After, "after", "only messages after entry `SEQ`: the next page")
	choices(cmd, "tag", tagNames...)
	return cmd
}
