package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

type exportOptions struct {
	why
	asked
	rendering
	out         string
	seal        []string
	at, request uint64
	ask, resume bool
}

func newExport(g *globals) *cobra.Command {
	o := &exportOptions{}
	cmd := &cobra.Command{
		Use:   "export [QUERY | --mrn NUMBER] --out DIR|FILE.zip --recipient WHO --purpose WHAT",
		Short: "Produce messages with proofs that a stranger can verify",
		Long: `Produce the messages that a query finds, with all that hangs at them, a signed manifest and
proofs, in a new folder or zip file. The export is recorded with its query, reason, recipient and
purpose before anything is handed out.

A folder is called DIR.partial while it is made; DIR appears when the production is whole. An export
that was cut off goes on with the same command and --resume. A zip file holds what leaves the house;
what stays in it is put beside it, in FILE.annex. --seal closes the zip to age public keys: nothing
of it is ever on this disk in the clear; such an export cannot be resumed.

Formats: ` + strings.Join(api.Formats(), ", ") + `. jsonl is lossless; every format can be verified.
Messages tagged privileged, part2 or psychotherapy (holdfast tag) are withheld and listed in a
privilege log, unless --include names the tag and --authority the right to hand them out.

With --mrn in place of a query the production is a patient's own package (45 CFR 164.524): what carries
exactly that medical record number. Psychotherapy notes are never in it. People who are not the patient
are shown by --third-parties: show, initials or hide; with the last two no proof of a message leaves,
because it holds the names. Names inside texts, names of groups and attachments are not found by this:
look at the package before you hand it over. about.txt tells the patient what it covers and what not.
Other numbers that are nearly the same, and messages that only name the number in their text, are listed
in annex/near.csv for your review.

An export of more entries than the configuration lets one person make alone takes two: ask for it
with --ask, which says the number of the request and as of how many entries it is; when another
person has approved that (holdfast requests), make it, once, with --request and --at.`,
		Example: `  holdfast export 'conversation:"Ward 3"' --matter M-7 --recipient 'Jones LLP, Boston' --purpose litigation --out ward3
  holdfast export 'matter:M-7' --matter M-7 --as rsmf --bates STM --legend CONFIDENTIAL --recipient 'Jones LLP, Boston' --purpose litigation --out prod1.zip
  holdfast export --query-file query.txt --matter M-7 --as eml --redact '\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b' --redact-reason 'SSN' --recipient 'County court' --purpose subpoena --out prod2
  holdfast export --mrn 0048-113 --as pdf --reason 'request of 3 March' --recipient 'the patient' --out package
  holdfast export --query-file query.txt --reason 'subpoena 26-118' --recipient 'County court' --purpose subpoena --request 4711 --at 4710 --out subpoena`,
		RunE: func(cmd *cobra.Command, args []string) error { return runExport(cmd.Context(), g, o, args) },
	}
	o.why.addFlags(cmd)
	o.asked.addFlags(cmd)
	o.rendering.addFlags(cmd)
	cmd.Flags().StringVar(&o.out, "out", "", "the new folder `DIR`, or zip file if its name ends in .zip or .zip.age")
	cmd.Flags().StringArrayVar(&o.seal, "seal", nil, "close the zip to an age public `KEY` (age1...); may be repeated")
	cmd.Flags().BoolVar(&o.resume, "resume", false, "go on with an export into a folder that was cut off")
	addCount(cmd, &o.at, "at", "as of the first `N` entries, to repeat an earlier production")
	cmd.Flags().BoolVar(&o.ask, "ask", false, "ask for the approval of a large export, and produce nothing")
	addCount(cmd, &o.request, "request", "the approved request `SEQ` of a large export")
	return cmd
}

// exported is what export prints for scripts.
type exported struct {
	Dir   string `json:"dir"`
	Annex string `json:"annex,omitempty"` // where it is not in the folder
	*api.Completion
}

func runExport(ctx context.Context, g *globals, o *exportOptions, args []string) error {
	q, err := o.read(ctx, g, args)
	if err != nil {
		return err
	}
	req := api.ExportRequest{Query: q, Reason: o.reason, Matter: o.matter, At: o.at, Request: o.request}
	if err := o.rendering.fill(&req); err != nil {
		return err
	}
	switch {
	case o.ask && (o.out != "" || o.request > 0 || o.resume):
		return usage("--ask produces nothing: leave --out, --resume and --request away")
	case o.ask:
		return runAskExport(ctx, g, req)
	case o.out == "":
		return usage("say with --out where the production goes")
	}
	to, err := o.output()
	if err != nil {
		return err
	}
	done, err := receive(ctx, g, o, req, to)
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(exported{o.out, to.annexPath(), done})
	}
	return g.writeExported(o.out, to, &req, done)
}

// read returns the query; with a medical record number there is none to give.
func (o *exportOptions) read(ctx context.Context, g *globals, args []string) (string, error) {
	if o.mrn == "" {
		return o.asked.read(ctx, g, args)
	}
	if len(args) > 0 || o.asked != (asked{}) {
		return "", usage("--mrn stands in place of a query: give one of the two")
	}
	return "", nil
}

// receive asks for the production and shows how far it has come.
func receive(ctx context.Context, g *globals, o *exportOptions, req api.ExportRequest, to *zipped) (*api.Completion, error) {
	b := g.startBar("producing", 0, progress.UnitsDefault)
	hear := api.Hearing{Progress: func(p api.Progress, bytes uint64) {
		b.set(p.Done, p.Total)
		b.step(fmt.Sprintf("producing (%d MB)", bytes/1e6))
	}}
	done, err := ask(ctx, g, func(c *api.Client) (*api.Completion, error) {
		if to == nil {
			return c.Export(ctx, req, o.out, o.resume, hear)
		}
		return to.receive(func(sink api.Sink) (*api.Completion, error) { return c.Receive(ctx, req, sink, hear) })
	})
	b.stop(err == nil)
	return done, err
}

func (g *globals) writeExported(out string, to *zipped, req *api.ExportRequest, done *api.Completion) error {
	aside, check := "annex/ stays in the house: take it out of what you hand over", "verify it anywhere with: holdfast verify DIR"
	if to != nil {
		aside = to.annexPath() + " stays in the house"
		check = "verify it anywhere with: holdfast verify FILE.zip"
		if len(to.recipients) > 0 {
			check = "whoever has the key opens it with: age --decrypt --identity KEY --output FILE.zip " + filepath.Base(out) + "\nand verifies it with: holdfast verify FILE.zip"
		}
	}
	near, redacted := "", ""
	if done.Near > 0 {
		near = "messages of numbers that are nearly the patient's, or that only name it, are in annex/near.csv: review whether they belong to the package\n"
	}
	if len(req.Redact) > 0 {
		redacted = number(done.Redacted)
		if done.Redacted == 0 {
			near += "NOTHING IS COVERED: no redaction fitted any message of this production; check the entries' numbers and the patterns before you hand it over\n"
		}
	}
	return errors.Join(
		g.writeFields([]field{
			{"production", out},
			{"matched", number(done.Matched)},
			{"produced", number(done.Produced)},
			{"withheld", number(done.Withheld)},
			{"redacted", redacted},
			{"quarantined", number(done.Quarantined)},
			{"bates", done.Bates},
			{"near matches", optional(done.Near)},
			{"files", number(done.Files)},
			{"bytes", number(done.Bytes)},
			{"access entry", number(done.Access)},
		}),
		g.say("%s", near+aside+"\n"+check+" --log-key FILE (holdfast checkpoint --log-key prints the key)"),
	)
}

func runAskExport(ctx context.Context, g *globals, req api.ExportRequest) error {
	asked, err := ask(ctx, g, func(c *api.Client) (*api.LargeExportResponse, error) { return c.AskExport(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(asked)
	}
	fields := append(requestFields(&asked.Request), field{"matched", number(asked.Total)}, field{"as of", number(asked.At) + " entries"})
	return errors.Join(g.writeFields(fields),
		g.say("when another person has approved it, add to the same command: --request %d --at %d --out DIR", asked.Request.Seq, asked.At))
}
