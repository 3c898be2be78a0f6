package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manual is a set of manual pages: one for each command, as git has them, so
// that `man holdfast-hold-place` finds what `holdfast hold place --help` says.
type manual struct {
	section int    // 1 for people, 8 for administrators
	version string // the package's
	day     string
	also    []string // further pages that the first names
	files   [][2]string
}

// exits are the exit codes of every command (sysexits.h).
var exits = [][2]string{
	{"0", "It is done."},
	{"64", "The command was used wrongly."},
	{"65", "Data is damaged, or not proven."},
	{"69", "The daemon cannot be reached."},
	{"73", "An output cannot be created."},
	{"74", "An input or output error."},
	{"75", "Temporary, or locked: try again."},
	{"77", "A key or a permission is missing."},
	{"78", "The configuration is wrong, or the store is newer than the program."},
}

// pages returns the pages by their file names, gzipped.
func (m manual) pages(root *cobra.Command) (map[string][]byte, error) {
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	root.InitDefaultCompletionCmd()
	out := map[string][]byte{}
	return out, m.walk(root, out)
}

func (m manual) walk(c *cobra.Command, out map[string][]byte) error {
	text, err := compressed(m.page(c))
	if err != nil {
		return err
	}
	out[fmt.Sprintf("%s.%d.gz", pageName(c), m.section)] = text
	for _, sub := range shown(c) {
		if err := m.walk(sub, out); err != nil {
			return err
		}
	}
	return nil
}

// shown are the commands below c that its help shows.
func shown(c *cobra.Command) []*cobra.Command {
	var subs []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			subs = append(subs, sub)
		}
	}
	return subs
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func (m manual) page(c *cobra.Command) []byte {
	c.InitDefaultHelpFlag()
	var p page
	p.begin(pageName(c), m.section, m.day, m.version)
	p.section("NAME")
	p.line(pageName(c) + ` \- ` + roff(strings.TrimSuffix(c.Short, ".")))
	p.section("SYNOPSIS")
	if c.Runnable() {
		p.line(".B " + roff(c.UseLine()))
	}
	if subs := shown(c); len(subs) > 0 {
		p.line(".br", ".B "+roff(c.CommandPath())+" COMMAND [ARGUMENTS]")
	}
	p.section("DESCRIPTION")
	description := c.Long
	if description == "" {
		description = c.Short
	}
	p.text(description)
	m.commands(&p, c)
	p.options("OPTIONS", c.NonInheritedFlags())
	p.options("OPTIONS OF EVERY COMMAND", c.InheritedFlags())
	if c.Example != "" {
		p.section("EXAMPLES")
		p.verbatim(strings.Split(strings.Trim(c.Example, "\n"), "\n"))
	}
	if !c.HasParent() {
		p.list("EXIT STATUS", exits)
		p.list("FILES", m.files)
	}
	m.seeAlso(&p, c)
	return p.Bytes()
}

func (m manual) commands(p *page, c *cobra.Command) {
	var rows [][2]string
	for _, sub := range shown(c) {
		rows = append(rows, [2]string{fmt.Sprintf("%s(%d)", pageName(sub), m.section), sub.Short})
	}
	p.list("COMMANDS", rows)
}

func (m manual) seeAlso(p *page, c *cobra.Command) {
	var names []string
	if parent := c.Parent(); parent != nil {
		names = append(names, pageName(parent))
		for _, sub := range shown(parent) {
			if sub != c && parent.HasParent() {
				names = append(names, pageName(sub))
			}
		}
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s(%d)", name, m.section)
	}
	if !c.HasParent() {
		names = append(names, m.also...)
	}
	if len(names) == 0 {
		return
	}
	p.section("SEE ALSO")
	for i, name := range names {
		stem, section, _ := strings.Cut(name, "(")
		comma := ","
		if i == len(names)-1 {
			comma = ""
		}
		p.line(".BR " + roff(stem) + " (" + section + comma)
	}
}

// page is a manual page in man(7).
type page struct{ bytes.Buffer }

func (p *page) line(lines ...string) {
	for _, l := range lines {
		p.WriteString(l + "\n")
	}
}

func (p *page) begin(name string, section int, day, version string) {
	p.line(fmt.Sprintf(`.TH "%s" "%d" "%s" "Holdfast %s" "Holdfast"`, roff(strings.ToUpper(name)), section, day, roff(version)), ".nh", ".ad l")
}

func (p *page) section(title string) { p.line(".SH " + title) }

// list is a section of terms with what they mean; without any there is none.
func (p *page) list(title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	p.section(title)
	for _, row := range rows {
		p.line(".TP", ".B "+roff(row[0]), inline(row[1]))
	}
}

func (p *page) options(title string, flags *pflag.FlagSet) {
	var rows []*pflag.Flag
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Deprecated == "" {
			rows = append(rows, f)
		}
	})
	if len(rows) == 0 {
		return
	}
	p.section(title)
	for _, f := range rows {
		value, usage := pflag.UnquoteUsage(f)
		term := `\fB` + roff("--"+f.Name) + `\fP`
		if f.Shorthand != "" {
			term = `\fB` + roff("-"+f.Shorthand) + `\fP, ` + term
		}
		if value != "" {
			term += ` \fI` + roff(value) + `\fP`
		}
		switch f.DefValue {
		case "", "false", "0", "0s", "[]":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		p.line(".TP", term, inline(usage))
	}
}

// text sets paragraphs apart by empty lines. A line that is indented stands as
// it is; one that begins a list's item begins a line.
func (p *page) text(s string) {
	var fixed, run []string
	flush := func() {
		if len(run) > 0 {
			p.line(inline(strings.Join(run, "\n")))
		}
		p.verbatim(fixed)
		fixed, run = nil, nil
	}
	for l := range strings.SplitSeq(strings.Trim(s, "\n"), "\n") {
		switch {
		case strings.TrimSpace(l) == "":
			flush()
			p.line(".PP")
		case l[0] == ' ' || l[0] == '\t':
			if len(run) > 0 {
				flush()
			}
			fixed = append(fixed, l)
		case len(fixed) > 0 || strings.HasPrefix(l, "- ") || strings.HasPrefix(l, "* "):
			flush()
			p.line(".br")
			run = append(run, l)
		default:
			run = append(run, l)
		}
	}
	flush()
}

func (p *page) verbatim(lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line(".PP", ".nf")
	for _, l := range lines {
		p.line(roff(l))
	}
	p.line(".fi")
}

// signs are the characters that man(7) would read as its own, or set as
// another: a hyphen that can be copied is \-.
var signs = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// roff returns text that stands for itself wherever it stands.
func roff(s string) string {
	s = signs.Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

// inline is roff for running text, in which `this` is set bold and each line
// stands for itself.
func inline(s string) string {
	var b strings.Builder
	bold := false
	parts := strings.Split(s, "`")
	for i, part := range parts {
		if i > 0 && (bold || i < len(parts)-1) {
			bold = !bold
			b.WriteString(map[bool]string{true: `\fB`, false: `\fP`}[bold])
		} else if i > 0 {
			b.WriteString(`\(ga`)
		}
		b.WriteString(signs.Replace(part))
	}
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
