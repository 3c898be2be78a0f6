package page

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html"
	"strings"

	"holdfast/archive/render"
)

//go:embed style.css
var style string

// HTML returns the format "html": one file STEM.html of each unit.
func HTML() render.Format {
	return render.Format{Name: "html", Units: []render.UnitKind{render.ConversationDay, render.AConversation, render.Message},
		New: func(o render.Options, sink render.Sink) (render.Writer, error) {
			return &htmlWriter{teller: newTeller(o), sink: sink}, nil
		}}
}

type htmlWriter struct {
	teller
	sink render.Sink
}

// Unit implements render.Writer.
func (w *htmlWriter) Unit(u *render.Unit) (err error) {
	f, err := w.sink.Create(u.Stem + ".html")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriterSize(f, 64<<10)
	p := printer{out: out}
	p.page(w.tell(u))
	return out.Flush()
}

// Close implements render.Writer.
func (w *htmlWriter) Close() error { return nil }

// policy allows the one style that the file has, and nothing else: no script,
// no picture, nothing fetched, no form.
func policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

// A printer writes HTML. Markup is constant; whatever else is written passes
// through text. An error stays in out and comes up at its Flush.
type printer struct{ out *bufio.Writer }

func (p printer) raw(parts ...string) {
	for _, s := range parts {
		_, _ = p.out.WriteString(s) // kept by out
	}
}

// text writes s as text that cannot be markup and cannot move what stands
// beside it (HTML, the bdi element).
func (p printer) text(s string) { p.raw("<bdi>", html.EscapeString(s), "</bdi>") }

func (p printer) page(s *story) {
	p.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"", policy(), "\">\n",
		"<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>", html.EscapeString(s.title), "</title>\n<style>", style, "</style>\n</head>\n<body>\n")
	// A table's head and foot are printed again on each sheet.
	p.raw("<table class=\"sheet\" role=\"presentation\">\n<thead><tr><td>\n")
	if len(s.legend) > 0 {
		p.raw("<p class=\"legend\">")
		for i, line := range s.legend {
			if i > 0 {
				p.raw("<br>")
			}
			p.text(line)
		}
		p.raw("</p>\n")
	}
	p.raw("</td></tr></thead>\n<tfoot><tr><td class=\"foot\">")
	p.text(s.title)
	for _, f := range s.facts {
		if f.name == "Day" || f.name == "Bates" || f.name == "Archive" {
			p.raw(" · ", html.EscapeString(f.name), " ")
			p.text(f.value)
		}
	}
	p.raw("</td></tr></tfoot>\n<tbody><tr><td>\n<h1>")
	p.text(s.title)
	p.raw("</h1>\n")
	p.facts(s.facts)
	for i := range s.blocks {
		p.block(&s.blocks[i])
	}
	p.raw("</td></tr></tbody>\n</table>\n</body>\n</html>\n")
}

func (p printer) facts(facts []fact) {
	p.raw("<dl>\n")
	for _, f := range facts {
		p.raw("<dt>", html.EscapeString(f.name), "</dt><dd>")
		p.text(f.value)
		p.raw("</dd>\n")
	}
	p.raw("</dl>\n")
}

func (p printer) block(b *block) {
	p.raw("<article>\n<header><time>", html.EscapeString(b.time), "</time> <strong>")
	p.text(b.who)
	p.raw("</strong>")
	for _, mark := range b.marks {
		p.raw(" <span class=\"mark\">")
		p.text(mark)
		p.raw("</span>")
	}
	p.raw("</header>\n")
	for i := range b.versions {
		p.version(&b.versions[i])
	}
	p.files(b.files)
	if len(b.events) > 0 {
		p.raw("<ul>\n")
		for _, e := range b.events {
			p.raw("<li>")
			p.text(e)
			p.raw("</li>\n")
		}
		p.raw("</ul>\n")
	}
	p.facts(b.facts)
	p.raw("</article>\n")
}

func (p printer) version(v *version) {
	if v.label != "" {
		p.raw("<h2>")
		p.text(v.label)
		p.raw("</h2>\n")
	}
	if v.text == "" {
		return
	}
	p.raw("<div class=\"said")
	if v.dim {
		p.raw(" old")
	}
	p.raw("\"")
	if v.lang != "" {
		p.raw(" lang=\"", html.EscapeString(v.lang), "\"")
	}
	p.raw(">")
	for line := range strings.SplitSeq(v.text, "\n") {
		p.raw("<p dir=\"auto\">", html.EscapeString(line), "</p>")
	}
	p.raw("</div>\n")
}

func (p printer) files(files []fileRow) {
	if len(files) == 0 {
		return
	}
	p.raw("<table class=\"files\">\n<tr><th>Attachment</th><th>Type</th><th>Bytes</th><th>Produced as</th><th>Bates</th><th>SHA-256</th></tr>\n")
	for _, f := range files {
		p.raw("<tr>")
		for _, cell := range []string{f.name, f.kind, f.size, f.state, f.bates, f.sha256} {
			p.raw("<td>")
			p.text(cell)
			p.raw("</td>")
		}
		p.raw("</tr>\n")
	}
	p.raw("</table>\n")
}
