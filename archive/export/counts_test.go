package export

import (
	"archive/zip"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"holdfast/archive/render"
	"holdfast/ingest/envelope"
)

// covering asks for a production in which entries are withheld, covered and
// numbered.
func covering(w *ward, f files, format string) Request {
	req := full(w, f, format)
	req.Redact = []Redaction{{Pattern: many, Reason: "third party"}}
	req.Withhold = func(s uint64) (Withheld, bool) {
		return Withheld{Tag: "privileged", Basis: "attorney-client"}, s == 7 || s == 20
	}
	return req
}

// What an archive counts otherwise than it is, it may sign: it is found out.
func TestCountsThatLie(t *testing.T) {
	w, f := town(t)
	for _, format := range []string{JSONL, "eml"} {
		_, whole := produce(t, w, covering(w, f, format))
		if v := verify(t, whole, w.logKey()); !v.OK() {
			t.Fatal(v.Findings)
		}
		for name, change := range map[string]func(m *Manifest){
			"no redactions":         func(m *Manifest) { m.Counts.Redacted = 0 },
			"all proven":            func(m *Manifest) { m.Counts.Unproven = 0 },
			"more attachments":      func(m *Manifest) { m.Counts.Attachments++ },
			"less by tag":           func(m *Manifest) { m.Counts.WithheldBy["privileged"]-- },
			"nothing by tag":        func(m *Manifest) { m.Counts.WithheldBy = nil },
			"more hang than match":  func(m *Manifest) { m.Counts.Hanging = m.Counts.Matched + 1 },
			"a later last number":   func(m *Manifest) { m.Numbers.Last = "ACME-0000999" },
			"an earlier first":      func(m *Manifest) { m.Bates.Start, m.Numbers.First = 2, "ACME-0000002" },
			"no range of numbers":   func(m *Manifest) { m.Numbers = nil },
			"an empty range":        func(m *Manifest) { *m.Numbers = BatesRange{} },
			"seqs of the log":       func(m *Manifest) { m.Files[slices.IndexFunc(m.Files, isFile(filePrivilege))].Seqs++ },
			"seqs of redactions":    func(m *Manifest) { m.Files[slices.IndexFunc(m.Files, isFile(fileRedactions))].Seqs++ },
			"no privilege log":      func(m *Manifest) { m.Files = slices.DeleteFunc(m.Files, isFile(filePrivilege)) },
			"no log of redactions":  func(m *Manifest) { m.Files = slices.DeleteFunc(m.Files, isFile(fileRedactions)) },
			"no numbers whatsoever": func(m *Manifest) { m.Bates = nil },
		} {
			forged := clone(whole)
			resign(t, forged, w.a.IdentitySigner(), func(m *Manifest) {
				change(m)
				fitSums(t, forged, m)
			})
			if v := verify(t, forged, w.logKey()); v.Result != Failed {
				t.Errorf("%s, %s: %s", format, name, v.Result)
			}
		}
		for _, name := range []string{filePrivilege, fileRedactions} {
			forged := clone(whole)
			lines(forged[name], func(l []string) []string { return l[:len(l)-1] })
			resign(t, forged, w.a.IdentitySigner(), nil)
			if v := verify(t, forged, w.logKey()); v.Result != Failed || !named(v, name, 0) {
				t.Errorf("%s: %s without a row: %s %v", format, name, v.Result, v.Findings)
			}
		}
	}
}

func isFile(name string) func(File) bool { return func(f File) bool { return f.Path == name } }

// fitSums makes the checksums fit the files that the manifest still lists, and
// deletes the others.
func fitSums(t *testing.T, files fstest.MapFS, m *Manifest) {
	t.Helper()
	var text []byte
	for line := range strings.Lines(string(files[fileSums].Data)) {
		if name := strings.TrimSpace(line[64:]); slices.Contains(own, name) && !slices.ContainsFunc(m.Files, isFile(name)) {
			delete(files, name)
			continue
		}
		text = append(text, line...)
	}
	files[fileSums] = &fstest.MapFile{Data: text}
	f := &m.Files[len(m.Files)-1]
	sum := sha256.Sum256(text)
	f.Size, f.SHA256 = uint64(len(text)), hex.EncodeToString(sum[:])
}

// The manifest states the Bates numbers that were given, in every format.
func TestNumbersAreStated(t *testing.T) {
	w, f := town(t)
	for _, format := range FormatNames() {
		if format == "pdf" {
			continue
		}
		req := covering(w, f, format)
		numbers, err := Numbers(t.Context(), w.source(), req)
		must(t, err)
		s, _ := produce(t, w, req)
		want := BatesRange{"ACME-0000001", fmt.Sprintf("ACME-%07d", numbers)}
		if s.Bates == nil || *s.Bates != want || *s.Manifest.Numbers != want {
			t.Errorf("%s: %v, want %v", format, s.Bates, want)
		}
	}
}

// A signed production in which an entry stands twice, or where it does not
// belong, is refuted: proofs.json and the records fit each other.
func TestUnitsThatLie(t *testing.T) {
	w := newWard(t)
	w.user("anna", "anna@ward.test", "Anna Lund")
	w.addDevice("anna", edKey(t), w.enrol)
	for i := range 4 {
		w.send("anna", fmt.Sprintf("message %d", i), func(p *envelope.Payload) {
			p.Conv = &envelope.Conv{ID: fmt.Sprint("c", i%2), Kind: "direct"}
			p.Sent = envelope.FormatTime(time.Date(2026, 3, 1+i/2, 12, 0, 0, 0, time.UTC))
		})
	}
	for name, forge := range map[string]struct {
		unit render.UnitKind
		edit func(p *producer)
	}{
		"another conversation": {render.AConversation, func(p *producer) {
			for i := range p.planned {
				p.planned[i].group = 0
			}
			slices.SortFunc(p.planned, func(a, b planned) int { return cmp.Compare(a.seq, b.seq) })
		}},
		"another day": {render.ConversationDay, func(p *producer) {
			for i := range p.planned {
				p.planned[i].day = p.planned[0].day
			}
		}},
		"an entry twice": {render.AConversation, func(p *producer) { p.planned = append(p.planned, p.planned[0]) }},
		"another order":  {render.AConversation, func(p *producer) { p.planned[0], p.planned[1] = p.planned[1], p.planned[0] }},
		"nothing":        {render.ConversationDay, func(*producer) {}},
	} {
		req := request(all(w.a.Size()))
		req.Format, req.Unit = "csv", forge.unit
		sink := newSink()
		_, err := produceWith(t, w, req, sink, forge.edit)
		must(t, err)
		v := verify(t, sink.files, w.logKey())
		if want := name == "nothing"; v.OK() != want {
			t.Errorf("%s: %s %v", name, v.Result, v.Findings)
		}
	}
}

// produceWith is Produce by somebody who changes what was planned.
func produceWith(t *testing.T, w *ward, req Request, sink Sink, edit func(p *producer)) (*Summary, error) {
	t.Helper()
	p, err := prepare(t.Context(), w.source(), &req)
	must(t, err)
	p.sink = sink
	edit(p)
	return p.run(t.Context())
}

// certification.txt counts what the manifest counts.
func TestTheCertificationIsTrue(t *testing.T) {
	w, f := town(t)
	req := covering(w, f, "csv")
	req.Exclusions = func(yield func(Exclusion, error) bool) {
		yield(Exclusion{Seq: 3, Kind: 3, Reason: "out-of-scope"}, nil)
	}
	s, made := produce(t, w, req)
	text := string(made[fileCertificate].Data)
	if want := fmt.Sprintf("%d entries were withheld", sumOf(s.Manifest.Counts.Withheld)); !strings.Contains(text, want) {
		t.Errorf("it does not say %q:\n%s", want, text)
	}
	if !bytes.Contains(made[fileCertificate].Data, []byte("DRAFT")) {
		t.Error("it does not say that it is a draft")
	}
}

// Where nothing is proven nothing reads as if it were.
func TestNothingProvenIsNotVerified(t *testing.T) {
	w, f := town(t)
	for _, format := range []string{JSONL, "csv", "html"} {
		req := full(w, f, format)
		req.Seqs, req.Family = these(6, 7, 8), nil
		for _, seq := range []uint64{6, 7, 8} {
			req.Redact = append(req.Redact, Redaction{Seq: &seq, Reason: "third party"})
		}
		_, made := produce(t, w, req)
		v := verify(t, made, w.logKey())
		var text strings.Builder
		must(t, v.WriteText(&text))
		if v.OK() || v.Result != SignedOnly || v.Verified != 0 || v.Unproven != 3 || strings.Contains(text.String(), "VERIFIED") ||
			slices.ContainsFunc(v.Proven, func(s string) bool { return strings.Contains(s, "rows") || strings.Contains(s, "device key") }) {
			t.Errorf("%s: %s", format, text.String())
		}
		if v := verify(t, made, nil); v.Result != SelfConsistent {
			t.Errorf("%s without a key: %s", format, v.Result)
		}
	}
}

// Of what is withheld a day tells only when it was received.
func TestTheDayOfWhatIsWithheld(t *testing.T) {
	w := newWard(t)
	w.user("anna", "anna@ward.test", "Anna Lund")
	w.addDevice("anna", edKey(t), w.enrol)
	seq := w.send("anna", "written long ago", func(p *envelope.Payload) { p.Sent = "2019-07-04T12:00:00.000Z" })
	req := request(these(seq))
	req.Format, req.Unit = "html", render.ConversationDay
	req.Withhold = func(s uint64) (Withheld, bool) { return Withheld{Tag: "privileged"}, s == seq }
	_, made := produce(t, w, req)
	for name, file := range made {
		if strings.Contains(name, "2019-07-04") || bytes.Contains(file.Data, []byte("2019-07-04")) {
			t.Errorf("%s tells when it was written", name)
		}
	}
}

// A zip in which a name stands twice, or one that differs in case alone, shows
// one reader one file and another the other: it is no whole production.
func TestNamesThatStandTwice(t *testing.T) {
	w := furnish(t)
	_, made := produce(t, w, request(all(w.a.Size())))
	for name, more := range map[string]string{
		"the same": fileRecords, "the manifest": fileManifest, "another case": "Records.jsonl", "in a folder": "annex/annex.json", "from outside": "../" + fileRecords,
		"by its root": "/" + fileProofs, "a reader of other systems": "annex\\annex.json", "": "",
	} {
		for _, first := range []bool{true, false} {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			add := func(name string, data []byte) {
				f, err := z.Create(name)
				must(t, err)
				_, err = f.Write(data)
				must(t, err)
			}
			if first && more != "" {
				add(more, []byte("{}\n"))
			}
			for file, f := range made {
				add(file, f.Data)
			}
			if !first && more != "" {
				add(more, []byte("{}\n"))
			}
			must(t, z.Close())
			r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
			if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
				t.Fatal(err)
			}
			v, err := Verify(t.Context(), r, VerifyKeys{Log: w.logKey()}, nil)
			must(t, err)
			if v.OK() != (more == "") {
				t.Errorf("%s, first %v: %s %v", name, first, v.Result, v.Findings)
			}
		}
	}
}
