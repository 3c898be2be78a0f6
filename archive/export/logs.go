package export

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"holdfast/archive/proof"
)

// listed returns what the manifest will say of one of a production's own files.
func (p *producer) listed(name string) File {
	for _, f := range p.files {
		if f.Path == name {
			return f
		}
	}
	return File{}
}

// again makes an item once more, as it was rendered.
func (p *producer) again(ctx context.Context, l loose) (*item, error) {
	it, err := p.decide(ctx, l.member)
	if err != nil {
		return nil, err
	}
	if !it.shown {
		return nil, ErrChanged
	}
	p.number = l.bates
	p.contentsOf(it, p.volumes[l.volume].prefix)
	p.numbered(it)
	return it, nil
}

// writeUnproven writes the rows of which there is no proof, in the order of
// rendering; records.jsonl holds its own.
func (p *producer) writeUnproven(ctx context.Context) error {
	if len(p.loose) == 0 || p.lines {
		return nil
	}
	end := p.number
	f, err := writeFile(p.sink, fileUnproven, func(w *fileWriter) (uint64, error) {
		for _, l := range p.loose {
			it, err := p.again(ctx, l)
			if err != nil {
				return 0, err
			}
			line, err := it.row.line()
			if err != nil {
				return 0, err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return 0, err
			}
		}
		return uint64(len(p.loose)), nil
	})
	p.number = end
	p.files = append(p.files, f)
	return err
}

// writePrivilege writes the log of what is withheld by somebody's word (FRCP
// 26(b)(5)(A)): enough to judge the claim, and nothing of what it protects. A
// patient is told by about.txt how many are withheld and why, not who wrote them.
func (p *producer) writePrivilege(ctx context.Context) error {
	if len(p.privilege) == 0 || p.req.Patient != nil {
		return nil
	}
	f, err := writeFile(p.sink, filePrivilege, func(w *fileWriter) (uint64, error) {
		err := writeCells(w, "number", "seq", "received", "kind", "author", "recipients", "tag", "basis", "description")
		for i, m := range p.privilege {
			if err != nil {
				return 0, err
			}
			var it *item
			if it, err = p.read(ctx, m.seq); err != nil {
				return 0, err
			}
			p.cover.apply(p, it)
			if it.withheld == nil {
				return 0, ErrChanged
			}
			author, kind := "", it.row.Kind.String()
			if it.row.From != nil {
				author = it.row.From.label()
			}
			if it.row.Kind == proof.KindMessage {
				kind = it.row.Typ
			}
			to := make([]string, 0, len(it.row.To))
			for _, who := range it.row.To {
				to = append(to, who.label())
			}
			err = writeCells(w, strconv.Itoa(i+1), strconv.FormatUint(m.seq, 10), it.row.Received, kind, author, strings.Join(to, "; "),
				it.withheld.Tag, it.withheld.Basis, it.withheld.Description)
		}
		return uint64(len(p.privilege)), err
	})
	p.files = append(p.files, f)
	return err
}

// label returns the person as a reader knows them.
func (w *Person) label() string {
	switch {
	case w.Name != "" && w.Mail != "":
		return w.Name + " <" + w.Mail + ">"
	case w.Name != "":
		return w.Name
	case w.UPN != "":
		return w.UPN
	}
	return w.Usr
}

// writeRedactions writes what is covered, and why.
func (p *producer) writeRedactions(ctx context.Context) error {
	if len(p.redacted) == 0 {
		return nil
	}
	end := p.number
	f, err := writeFile(p.sink, fileRedactions, func(w *fileWriter) (uint64, error) {
		err := writeCells(w, "seq", "bates", "places", "reason")
		for _, l := range p.redacted {
			if err != nil {
				return 0, err
			}
			var it *item
			if it, err = p.again(ctx, l); err != nil {
				return 0, err
			}
			err = writeCells(w, strconv.FormatUint(l.seq, 10), it.row.Bates, strconv.Itoa(it.places), strings.Join(it.reasons, "; "))
		}
		return uint64(len(p.redacted)), err
	})
	p.number = end
	p.files = append(p.files, f)
	return err
}

// writeCustodians writes whose volumes there are.
func (p *producer) writeCustodians(context.Context) error {
	if !p.req.Split.Custodian {
		return nil
	}
	f, err := writeFile(p.sink, fileCustodians, func(w *fileWriter) (uint64, error) {
		err := writeCells(w, "volume", "custodian")
		for _, v := range p.volumes {
			if err != nil {
				break
			}
			name := ""
			if v.owner < len(p.owners) {
				name = p.owners[v.owner]
			}
			err = writeCells(w, strings.TrimSuffix(v.prefix, "/"), name)
		}
		return 0, err
	})
	p.files = append(p.files, f)
	return err
}

// writeCells writes one row of a CSV file (RFC 4180); the first begins with the
// byte order mark.
func writeCells(w *fileWriter, cells ...string) error {
	row := custodyBytes([][]string{cells})
	if w.size > 0 {
		row = row[len(byteOrderMark):]
	}
	_, err := w.Write(row)
	return err
}

// writeList writes what was rendered, file by file.
func (p *producer) writeList(context.Context) error {
	f, err := writeFile(p.sink, fileList, func(w *fileWriter) (uint64, error) {
		var n uint64
		for f := range p.list.all {
			line, err := marshalLine(f)
			if err != nil {
				return 0, err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return 0, err
			}
			n += f.Seqs
		}
		return n, nil
	})
	p.files = append(p.files, f)
	return err
}

// writeCertificate writes a draft for whoever will certify the production under
// the Federal Rules of Evidence 902(13) and (14).
func (p *producer) writeCertificate(context.Context) error {
	kid, err := p.kid()
	if err != nil {
		return err
	}
	f, err := writeFile(p.sink, fileCertificate, func(w *fileWriter) (uint64, error) {
		_, err := io.WriteString(w, p.certification(kid))
		return 0, err
	})
	p.files = append(p.files, f)
	return err
}

// certification returns the draft's text. It says nothing of what was asked.
func (p *producer) certification(kid string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("DRAFT - NOT SIGNED - FOR REVIEW BY COUNSEL AND BY THE QUALIFIED PERSON")
	line("")
	line("CERTIFICATION OF RECORDS GENERATED BY AN ELECTRONIC PROCESS OR SYSTEM,")
	line("AND OF DATA COPIED FROM AN ELECTRONIC STORAGE MEDIUM")
	line("(Federal Rules of Evidence 902(13), 902(14), 902(11))")
	line("")
	line("I, ______________________________, certify as follows:")
	line("")
	line("1. I am employed by ______________________________ as ______________________________.")
	line("   I am a qualified person for this certification by reason of ______________________________.")
	line("")
	line("2. The system. The records named below were taken from the message archive %s,", visible(p.id.Origin))
	line("   kept by %s. It takes in messages as their senders' devices signed them,", visible(p.req.Tool))
	line("   appends each to one log in which every entry holds the hash of the one before")
	line("   it, and signs checkpoints of that log (RFC 6962; C2SP signed notes).")
	line("")
	line("3. The process. On %s, %d of the archive's entries that matched were", p.createdText(), p.produced)
	line("   written to files in the format %q, as of the log's first %d entries. Each", p.req.Format, p.req.At)
	line("   record was rendered from its entry by the program. %d entries were withheld", sumOf(p.withheld))
	line("   and text of %d was covered; these are counted in %s.", len(p.redacted), fileManifest)
	line("")
	line("4. Identification by hash (SHA-256). The copies were identified as follows:")
	line("   checkpoint  %d entries, root %s", p.point.Size, hexOf(p.point.Root))
	for _, f := range p.files {
		line("   %-18s %s", f.Path, f.SHA256)
	}
	line("   %s lists the SHA-256 of each of the %d files that hold the records;", fileList, len(p.list.files))
	line("   SHA256SUMS holds them for the program sha256sum. %s is signed", fileManifest)
	line("   by the archive's identity key %s.", kid)
	line("   The comparison can be repeated by anybody with: holdfast verify")
	line("")
	line("5. What this does not say: who held a device or its key when it signed, that a")
	line("   sender's own time is right, and that nothing exists beyond what is named here.")
	line("")
	line("6. The system was in regular use in the course of a regularly conducted activity,")
	line("   and it was operating properly at the time, or, where it was not, that did not")
	line("   affect the records: ______________________________")
	line("")
	line("I declare under penalty of perjury that the foregoing is true and correct")
	line("(28 U.S.C. 1746).")
	line("")
	line("Executed on ____________________ at ______________________________")
	line("")
	line("Signature ______________________________   Name ______________________________")
	return b.String()
}

func sumOf(counts map[string]uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}
