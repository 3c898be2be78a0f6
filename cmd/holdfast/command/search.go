package command

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/archive/query"
	"holdfast/internal/api"
)

type searchOptions struct {
	why
	asked
	saved, sort, cursor string
	limit               int
	before, after, asOf uint64
	explain, all        bool
	countBy             string
	watch               bool
	every               time.Duration
}

func newSearch(g *globals) *cobra.Command {
	o := &searchOptions{}
	cmd := &cobra.Command{
		Use:   "search [QUERY]",
		Short: "Find messages, newest first",
		Long: `Find messages, newest first. A query is KQL: words, "phrases in quotes", AND OR NOT ( ), prefix*,
NEAR(5), from: to: participants: custodian: group: conversation: kind: has:attachment filename: lang:
mrn: prio: sent received (sent>=2026-01-01, received:"last month", in the site's time zone), hold:
matter: seq: quarantined:true. --explain says how it was read, and where Microsoft's KQL would read it
otherwise. The search is recorded with its query and reason before its result is shown.

Every result says through which entry it is complete, against which signed checkpoint it was run, and
how many messages in its range were disposed of, are in quarantine, or have text that nobody could
read. KEPT says what holds a message (held, where the matter is none of yours), or until when the
schedule keeps it. What came after a message is shown with it: versions, recall, receipts.

--count-by gives a hit report instead of messages. --watch goes on until it is interrupted: it is
recorded when it begins and whenever it finds something, and prints what is new, with --json one
message a line. An attachment that comes in later is found by the next search, not by a watch of
messages that came before it.`,
		Example: `  holdfast search 'potassium NOT "no potassium"' --reason 'complaint 2026-014'
  holdfast search 'from:berg sent>=2026-01-01' --matter M-7 --limit 200
  holdfast search --query-file - --matter M-7 --format json < query.txt
  holdfast search 'potassium NEAR(5) dialysis' --matter M-7 --explain
  holdfast search 'custodian:berg received:"last month"' --matter M-7 --count-by custodian
  holdfast search 'hold:4711' --matter M-7 --all --json
  holdfast search --saved potassium --matter M-7 --watch`,
		RunE: func(cmd *cobra.Command, args []string) error { return runSearch(cmd.Context(), g, o, args) },
	}
	o.why.addFlags(cmd)
	o.asked.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.saved, "saved", "", "instead of a query: the search of that `NAME` that was saved for the matter")
	f.IntVar(&o.limit, "limit", api.DefaultLimit, "show at most `N` messages")
	f.StringVar(&o.sort, "sort", api.SortSeq, "newest first by `ORDER`: seq, the place in the log, or sent, the time that the device claimed")
	f.StringVar(&o.cursor, "cursor", "", "the next page: the `CURSOR` that the page before gave")
	f.BoolVar(&o.all, "all", false, "all pages, one after the other")
	f.BoolVar(&o.explain, "explain", false, "say how the query was read")
	f.StringVar(&o.countBy, "count-by", "", "count instead, by `WHAT`: custodian, month, conversation or term")
	f.BoolVar(&o.watch, "watch", false, "then go on and show what is new, until interrupted")
	f.DurationVar(&o.every, "every", 5*time.Second, "how often a watch asks, `TIME` from 1s on")
	addCount(cmd, &o.before, "before", "only messages before entry `SEQ`: the next page")
	addCount(cmd, &o.after, "after", "only messages after entry `SEQ`")
	addCount(cmd, &o.asOf, "as-of", "search the first entries through `SEQ` only, so that all pages count the same")
	choices(cmd, "sort", api.SortSeq, api.SortSent)
	choices(cmd, "count-by", api.ByCustodian, api.ByMonth, api.ByConversation, api.ByTerm)
	return cmd
}

func runSearch(ctx context.Context, g *globals, o *searchOptions, args []string) error {
	var q string
	var err error
	switch {
	case o.saved == "":
		if q, err = o.asked.read(ctx, g, args); err != nil {
			return err
		}
	case len(args) > 0 || o.asked.file != "":
		return usage("give a query or --saved, and not both")
	case o.matter == "":
		return usage("--saved takes --matter: the matter for which the search was saved")
	}
	if o.limit < 1 || o.limit > api.MaxLimit {
		return usage("--limit is 1 to %d", api.MaxLimit)
	}
	switch {
	case o.every < time.Second:
		return usage("--every is 1s or longer")
	case o.all && (o.watch || o.countBy != ""), o.watch && o.countBy != "":
		return usage("give one of --all, --watch and --count-by")
	case o.cursor != "" && o.before != 0:
		return usage("give --cursor or --before, and not both")
	}
	if o.countBy != "" {
		return runCount(ctx, g, o, q)
	}
	req := api.SearchRequest{
		Query: q, Saved: o.saved, Reason: o.reason, Matter: o.matter, Limit: o.limit, Sort: o.sort, Cursor: o.cursor,
		Before: o.before, After: o.after, AsOf: o.asOf, Explain: o.explain,
	}
	if o.watch {
		return runWatch(ctx, g, req, o.every)
	}
	for shown := 0; ; {
		found, err := ask(ctx, g, func(c *api.Client) (*api.SearchResponse, error) { return c.Search(ctx, req) })
		if err != nil {
			return err
		}
		shown += len(found.Hits)
		if err := g.writeFound(found, o, shown); err != nil {
			return err
		}
		if !o.all || found.Cursor == "" {
			return nil
		}
		req.Cursor, req.Before, req.After, req.AsOf, req.Explain = found.Cursor, 0, 0, 0, false
	}
}

// writeFound writes an answer, with which so many hits have been shown. What is
// to be said of all pages is said at the last.
func (g *globals) writeFound(found *api.SearchResponse, o *searchOptions, shown int) error {
	if g.format == formatJSON {
		return g.writeJSON(found)
	}
	if found.Explain != nil {
		if err := g.sayExplained(found.Explain); err != nil {
			return err
		}
	}
	if len(found.Hits) > 0 {
		if err := g.writeHits(found.Hits); err != nil {
			return err
		}
	}
	if o.all && found.Cursor != "" {
		return nil
	}
	return g.saySearched(found, o.sort, shown)
}

// sayExplained says how a query was read.
func (g *globals) sayExplained(x *query.Explanation) error {
	lines := []string{"read as: " + visible(x.Canonical)}
	for _, p := range x.Parts {
		lines = append(lines, "  "+visible(p.Text)+": "+visible(p.Reads))
	}
	for _, d := range x.Differs {
		lines = append(lines, "unlike Microsoft's KQL: "+visible(d))
	}
	return g.say("%s", strings.Join(lines, "\n"))
}

// writeHits writes a table of hits, with how long each is kept where that is
// known of any.
func (g *globals) writeHits(hits []api.Hit) error {
	header := []string{"SEQ", "SENT (UTC)", "FROM", "TO", "CONVERSATION", "ASSURANCE", "KEPT", "TEXT"}
	rows := make([][]string, 0, len(hits))
	known := false
	for i := range hits {
		h := &hits[i]
		kept := keptFor(&h.Kept)
		known = known || kept != ""
		rows = append(rows, []string{number(h.Seq), sentStamp(h.Sent), h.From, strings.Join(h.To, ", "), h.Conversation, standing(h), kept, summary(h)})
	}
	if !known {
		at := slices.Index(header, "KEPT")
		header = slices.Delete(header, at, at+1)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], at, at+1)
		}
	}
	return g.writeTable(header, rows)
}

// standing is how far a hit can be relied on.
func standing(h *api.Hit) string {
	return strings.Join(append([]string{h.Assurance}, h.Flags...), ", ")
}

// summary is a hit's text on one line, with its type where that is not a plain
// message, and its attachments.
func summary(h *api.Hit) string {
	var parts []string
	if h.Typ != "msg" && h.Missing == "" {
		parts = append(parts, "["+h.Typ+"]")
	}
	if h.Missing != "" {
		parts = append(parts, "["+h.Missing+"]")
	}
	if h.Text != "" {
		parts = append(parts, h.Text)
	}
	for _, a := range h.Attachments {
		parts = append(parts, "[attachment "+a.Name+"]")
	}
	return strings.Join(append(parts, marks(h)...), " ")
}

// marks are what hangs at a hit, in a few words.
func marks(h *api.Hit) (parts []string) {
	mark := func(n int, what string) {
		if n > 0 {
			parts = append(parts, "["+what+"]")
		}
	}
	if h.Of != 0 {
		parts = append(parts, "[version of "+number(h.Of)+"]")
	}
	mark(len(h.Edits), "edited: "+seqsOf(h.Edits))
	mark(len(h.Recalls), "recalled: "+seqsOf(h.Recalls))
	if r := h.Receipts; r != nil {
		parts = append(parts, "["+receipts(r)+"]")
	}
	if h.Late != 0 {
		parts = append(parts, "[found by an attachment that came in as entry "+number(h.Late)+"]")
	}
	return parts
}

// receipts are a message's receipts in a few words.
func receipts(r *api.Receipts) string {
	var parts []string
	for _, n := range []struct {
		count uint64
		what  string
	}{{r.Delivered, "delivered"}, {r.Read, "read"}, {r.Acknowledged, "acknowledged"}} {
		if n.count > 0 {
			parts = append(parts, number(n.count)+" "+n.what)
		}
	}
	return strings.Join(parts, ", ")
}

func seqsOf(list []api.Follower) string {
	seqs := make([]uint64, len(list))
	for i, f := range list {
		seqs[i] = f.Seq
	}
	return numbers(seqs)
}

// whom says whom a name in the query was taken for.
func whom(n *api.Named) string {
	people := make([]string, 0, len(n.People))
	for _, p := range n.People {
		people = append(people, p.Name+" ("+p.GUID+")")
	}
	s := visible(n.Value) + " is taken for " + visible(strings.Join(people, ", "))
	if len(n.Usrs) == 0 {
		return s + ", of whom no relay user is known"
	}
	return s + ": relay users " + visible(strings.Join(n.Usrs, ", "))
}

// saySearched tells how much was found, and what the search could not see.
func (g *globals) saySearched(found *api.SearchResponse, sort string, shown int) error {
	lines := []string{number(found.Total) + " found through entry " + number(found.Through) + ", " + number(uint64(shown)) + " shown"} // #nosec G115 -- a count
	switch n := len(found.Hits); {
	case found.Cursor == "" || n == 0:
	case sort == api.SortSent:
		lines = append(lines, "the next page: --cursor "+found.Cursor)
	default:
		lines = append(lines, "the next page: --before "+number(found.Hits[n-1].Seq)+" --as-of "+number(found.Through))
	}
	return g.say("%s", strings.Join(append(lines, extent(&found.Extent)...), "\n"))
}

// extent tells what a look could not see, and against what it was run.
func extent(x *api.Extent) (lines []string) {
	for i := range x.People {
		lines = append(lines, whom(&x.People[i]))
	}
	if x.Unindexed > 0 {
		lines = append(lines, "warning: "+number(x.Unindexed)+" entries could not be searched; there may be more")
	}
	if x.WithoutText > 0 {
		lines = append(lines, number(x.WithoutText)+" more might match by text that nobody could read, such as a picture's")
	}
	if x.Disposed > 0 {
		lines = append(lines, number(x.Disposed)+" messages of its range were disposed of")
	}
	if x.Quarantined > 0 {
		lines = append(lines, number(x.Quarantined)+" quarantined entries cannot be searched"+named(x.Quarantine))
	}
	if c := x.Checkpoint; c != nil {
		lines = append(lines, "run against the checkpoint of "+number(c.Size)+" entries, root hash "+visible(c.Root))
	}
	return lines
}

// named lists quarantined entries with their codes, and says when there are
// more than are named.
func named(list []api.Quarantined) string {
	var parts []string
	for _, q := range list {
		parts = append(parts, number(q.Seq)+" ("+q.Code+")")
	}
	if len(list) == api.MaxQuarantine {
		parts = append(parts, "…")
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ") + "; `holdfast show` tells more of one"
}
