// Package command holds the commands of cmd/holdfast: one file each with its
// options, its flags and a function that does it. They are clients of a
// daemon's API and open no data file; `verify PRODUCTION` needs no daemon.
//
// Only cmd/holdfast imports it. Its tests run the root command in-process.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"holdfast/archive/query"
	"holdfast/internal/api"
	"holdfast/internal/build"
)

// DefaultSocket is where the packaged daemon listens.
const DefaultSocket = "/run/holdfast/holdfast.sock"

// Main runs the command line args on the process's own terminal and returns
// its exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Run(ctx, system(), args)
}

// Run runs the command line args and returns its exit code, one of
// internal/api's. A failure is told on t.Err with what to do next.
func Run(ctx context.Context, t *Terminal, args []string) int {
	g := &globals{Terminal: t}
	root := newRoot(g)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return api.ExitOK
	}
	return g.report(err)
}

// globals are the options that all commands share.
type globals struct {
	*Terminal
	socket      string
	socketGiven bool
	server      string
	format      string
	json        bool   // --json, which is --format json
	query       string // the query being asked, to point into it
}

const (
	formatTable = "table"
	formatJSON  = "json"
)

func newRoot(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Search, show, export, hold and dispose of what is in the hospital's message archive, and verify it",
		Long: `holdfast asks the archive's daemon: on its own machine over a Unix socket, where your account
has its roles, and from elsewhere over HTTPS, after holdfast login. Every search, show and
export needs --reason or --matter and is recorded in the archive before its result is shown.

` + wayRule,
		Example: `  holdfast status
  holdfast login --server https://archive.example.org:8443 --ca hospital-ca.pem --name jdoe
  holdfast search 'potassium from:berg sent>=2026-01-01' --reason 'complaint 2026-014'
  holdfast show 4711 --reason 'complaint 2026-014'
  holdfast export 'conversation:"Ward 3"' --matter M-7 --as jsonl --out ward3
  holdfast verify ward3 --log-key hospital.logkey
  holdfast hold place --matter M-7 --custodian 'Anna Berg' --from 2025-06-01 --reason 'letter of claim, 1 March'
  holdfast disposition plan --reason 'yearly disposition 2026'`,
		Version:       build.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			g.socketGiven = cmd.Flags().Changed("socket")
			if g.json {
				if cmd.Flags().Changed("format") && g.format != formatJSON {
					return usage("--json is --format json: give one of them")
				}
				g.format = formatJSON
			}
			if g.format != formatTable && g.format != formatJSON {
				return usage("--format is table or json")
			}
			return nil
		},
	}
	root.SetIn(g.In)
	root.SetOut(g.Out)
	root.SetErr(g.Err)
	root.PersistentFlags().StringVar(&g.socket, "socket", g.Socket, "the daemon's Unix socket `PATH`; given, it goes before any login")
	root.PersistentFlags().StringVar(&g.server, "server", "", "the daemon's `URL` over the network, https://HOST:PORT")
	root.PersistentFlags().StringVar(&g.format, "format", formatTable, "`FORMAT`: table for people, json for scripts")
	root.PersistentFlags().BoolVar(&g.json, "json", false, "short for --format json")
	choices(root, "format", formatTable, formatJSON)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		hint := ""
		if strings.HasPrefix(err.Error(), "unknown shorthand") && strings.Contains(cmd.Use, "[QUERY") {
			hint = "; a query says NOT word for -word"
		}
		return usage("%s%s; see `%s --help`", err, hint, cmd.CommandPath())
	})
	root.AddCommand(
		newStatus(g), newSearch(g), newShow(g), newConversation(g), newTimeline(g), newExport(g), newVerify(g), newCertify(g),
		newCheckpoint(g), newAudit(g), newAlarms(g), newVersion(g),
		newLogin(g), newLogout(g), newWhoami(g), newRoles(g), newBreakGlass(g), newSessions(g), newFactor(g),
		newDirectory(g), newDevices(g), newRequests(g),
		newSchedule(g), newMatter(g), newHold(g), newDisposition(g), newCertificate(g), newDispose(g), newReclassify(g),
		newTag(g), newProductions(g), newDisclosures(g), newClawback(g), newSearches(g),
		newClock(g), newCopies(g), newIngest(g), newRestore(g), newRelay(g), newAnchors(g), newNotify(g),
	)
	addCompletion(root)
	for _, c := range root.Commands() {
		strictArgs(c)
	}
	return root
}

// addCompletion adds the library's completion command now, so that it keeps
// the rules of the others: the library would add it later, and answer a shell
// that it does not know with help and success.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Example = "  holdfast completion bash > holdfast.bash"
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, shell := range c.Commands() {
			shell.Example = "  holdfast completion " + shell.Name()
		}
	}
}

// strictArgs makes wrong arguments usage errors, for c and what is below it.
func strictArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%s; see `%s --help`", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
}

// choices completes a flag's values.
func choices(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that does not exist, which a test would show.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// usage returns the error of a command that was used wrongly.
func usage(format string, args ...any) error {
	return &api.Problem{Title: fmt.Sprintf(format, args...), Code: api.CodeBadRequest, Exit: api.ExitUsage}
}

// verdictError ends a command whose output already says what is wrong.
type verdictError struct{ exit int }

func (e *verdictError) Error() string { return fmt.Sprintf("exit code %d", e.exit) }

// report tells why a command failed and returns its exit code. There is
// nowhere to tell that stderr cannot be written.
func (g *globals) report(err error) int {
	var verdict *verdictError
	if errors.As(err, &verdict) {
		return verdict.exit
	}
	var p *api.Problem
	switch {
	case errors.As(err, &p):
	case strings.HasPrefix(err.Error(), "unknown command"):
		p = &api.Problem{Title: visible(strings.SplitN(err.Error(), "\n", 2)[0]), Exit: api.ExitUsage, Hint: "`holdfast --help` lists the commands"}
	case errors.Is(err, context.Canceled):
		p = &api.Problem{Title: "interrupted", Exit: api.ExitTemporary}
	default:
		p = &api.Problem{Title: visible(err.Error()), Exit: api.ExitIO}
	}
	_ = g.say("holdfast: %s", lines(p))
	if p.Code == api.CodeBadQuery && p.Column > 0 && g.ErrTTY {
		_ = g.say("%s", pointAt(g.query, p.Column))
	}
	if p.Hint != "" {
		_ = g.say("  %s", visible(p.Hint))
	}
	return p.Exit
}

// lines is what a problem says: on one line, but for a schedule's faults, which
// have one each.
func lines(p *api.Problem) string {
	if p.Code != api.CodeSchedule {
		return visible(p.Error())
	}
	var b strings.Builder
	b.WriteString(visible(p.Title))
	for line := range strings.SplitSeq(p.Detail, "\n") {
		b.WriteString("\n  " + visible(line))
	}
	return b.String()
}

// pointAt returns the line of the query in which column stands, with a caret
// under it.
func pointAt(query string, column int) string {
	for line := range strings.SplitSeq(query, "\n") {
		runes := []rune(line)
		if column <= len(runes)+1 {
			before := visible(string(runes[:max(column-1, 0)]))
			return "  " + visible(line) + "\n  " + strings.Repeat(" ", text.StringWidthWithoutEscSequences(before)) + "^"
		}
		column -= len(runes) + 1
	}
	return ""
}

// why are the options of a command that looks: on whose business it is.
type why struct{ reason, matter string }

func (w *why) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.reason, "reason", "", "why you look, kept in the log: `TEXT`")
	cmd.Flags().StringVar(&w.matter, "matter", "", "the matter for which you look, kept in the log: `ID`")
}

// asked are the options of a command that takes a query.
type asked struct{ file string }

func (a *asked) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.file, "query-file", "", "read the query from `FILE`, or from stdin with -, so that it stands neither in a shell's history nor in ps")
}

// read returns the query: the argument, or the file's content. It stops
// waiting for the file when ctx ends.
func (a *asked) read(ctx context.Context, g *globals, args []string) (string, error) {
	switch {
	case len(args) > 1:
		return "", &api.Problem{Title: "the query is more than one argument", Code: api.CodeBadRequest, Exit: api.ExitUsage,
			Hint: "put quotes around the whole query, so that the shell takes none of its own away: 'potassium AND \"blood culture\"'"}
	case (a.file == "") == (len(args) == 0):
		return "", usage("give a query, or --query-file, and not both")
	case a.file == "":
		g.query = args[0]
	default:
		b, err := wait(ctx, func() ([]byte, error) { return readQuery(a.file, g.In) })
		if err != nil {
			return "", err
		}
		g.query = strings.TrimRight(string(b), "\r\n")
	}
	return g.query, checkEncoding(g.query)
}

// readQuery reads the file named, or stdin for "-".
func readQuery(file string, in io.Reader) ([]byte, error) {
	if file != "-" {
		f, err := os.Open(file) // #nosec G304 -- whoever runs the command names it
		if err != nil {
			return nil, &api.Problem{Title: "the query file cannot be read", Detail: err.Error(), Exit: api.ExitIO, Hint: "check --query-file"}
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, api.MaxRequest))
	if err != nil {
		return nil, &api.Problem{Title: "the query cannot be read", Detail: err.Error(), Exit: api.ExitIO, Hint: "check --query-file"}
	}
	if len(b) == api.MaxRequest {
		return nil, usage("a query has at most %d bytes", query.MaxBytes)
	}
	return b, nil
}

// checkEncoding refuses here what the daemon could not: a request in JSON has
// other characters in place of bytes that are not UTF-8.
func checkEncoding(q string) error {
	if utf8.ValidString(q) {
		return nil
	}
	_, err := query.Parse(q)
	var syntax *query.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	return &api.Problem{Title: "the query cannot be understood", Detail: fmt.Sprintf("column %d: %s", syntax.Column, syntax.Msg),
		Code: api.CodeBadQuery, Exit: api.ExitUsage, Hint: syntax.Hint, Column: syntax.Column}
}
