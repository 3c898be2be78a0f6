package export

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/render"

	"holdfast/archive"
	"holdfast/ingest/envelope"
)

// clinic has messages about the patient 4711, from and to people whose names
// stand nowhere but where people's names belong.
type clinic struct {
	*ward
	files
	seqs          []uint64 // what carries the number
	secret        uint64   // of those: psychotherapy notes
	moved, movedB uint64   // of those: an original whose edit is about another patient, and that edit
}

// strangers are all names of people who are not the patient, however they are
// written, and what else tells who they are.
var strangers = []string{
	"quenneville", "zebulon", "oyarzabal", "ximena", "thaddeus", "wolstenholme", "uqz1-nephro", "uxo2-nephro", "utw3-nephro", "northgate",
	"uclaim4-kin", "grandmother", "mjones",
}

func newClinic(t *testing.T) *clinic {
	w := newWard(t)
	c := &clinic{ward: w, files: files{}}
	w.control(proof.KindEpoch, proof.ClassControl, archive.EpochBody{Epoch: "e1"})
	w.user("uqz1-nephro", "z.quenneville@northgate.test", "Zebulon Quenneville")
	w.user("uxo2-nephro", "x.oyarzabal@northgate.test", "Ximena Oyarzabal")
	w.user("utw3-nephro", "t.wolstenholme@northgate.test", "Thaddeus Wolstenholme")
	w.user("pat", "pat@home.test", "Pat Smith")
	for _, usr := range []string{"uqz1-nephro", "uxo2-nephro", "pat"} {
		w.addDevice(usr, ecKey(t), w.enrol)
	}
	say := func(usr, text string, conv envelope.Conv, change func(p *envelope.Payload)) uint64 {
		conv.Members = envelope.Members{{Usr: "uqz1-nephro", Name: "Zebulon Quenneville"}, {Usr: "uxo2-nephro"}, {Usr: "utw3-nephro"}, {Usr: "pat"}}
		seq := w.send(usr, text, func(p *envelope.Payload) {
			p.Conv, p.Subject = &conv, &envelope.Subject{MRN: "4711"}
			p.To = []envelope.Party{{Usr: "uqz1-nephro", Name: "Zebulon Quenneville"}, {Usr: "uxo2-nephro"}, {Usr: "utw3-nephro"}, {Usr: "pat"}, {Usr: "uclaim4-kin", Name: "the grandmother"}}
			if change != nil {
				change(p)
			}
		})
		c.seqs = append(c.seqs, seq)
		return seq
	}
	group := envelope.Conv{ID: "uqz1-nephro:uxo2-nephro", Kind: "group", Name: "Dialysis"}
	say("uqz1-nephro", "dialysis at eight", group, nil)
	say("uxo2-nephro", "noted, with a picture", group, func(p *envelope.Payload) {
		p.Att = []envelope.Attachment{c.attach(t, "shunt.png", "image/png", bytes.Repeat([]byte("pixel"), 100))}
	})
	say("pat", "I would rather come at nine", group, nil)
	say("uqz1-nephro", "fine", envelope.Conv{ID: "d", Kind: "direct", Name: "Ximena Oyarzabal"}, nil)
	say("uqz1-nephro", "and a group named after one", envelope.Conv{ID: "g2", Kind: "group", Name: "Team wolstenholme"}, nil)
	c.secret = say("uxo2-nephro", "the dream about the well", group, nil)
	c.moved = say("uqz1-nephro", "hepatitis is positive", group, nil)
	original, err := w.a.Record(t.Context(), c.moved)
	must(t, err)
	p, err := envelope.ParsePayload(payloadOf(original.Body))
	must(t, err)
	ref := &envelope.Ref{Dev: p.Dev, Mid: p.Mid, Digest: digestOf(original.Body)}
	c.movedB = say("uqz1-nephro", "hepatitis is positive, other patient", group, func(p *envelope.Payload) {
		p.Typ, p.Ref, p.Subject = envelope.TypEdit, ref, &envelope.Subject{MRN: "4712"}
	})
	c.seqs = c.seqs[:len(c.seqs)-1] // it hangs there
	first, err := w.a.Record(t.Context(), c.seqs[0])
	must(t, err)
	fp, err := envelope.ParsePayload(payloadOf(first.Body))
	must(t, err)
	w.send("uxo2-nephro", "", func(r *envelope.Payload) {
		r.Typ, r.Body, r.Status, r.At, r.Conv, r.To = envelope.TypReceipt, nil, "read", relayTime, nil, []envelope.Party{{Usr: "uqz1-nephro"}}
		r.Ref = &envelope.Ref{Dev: fp.Dev, Mid: fp.Mid, Digest: digestOf(first.Body)}
	})
	w.relayed(proof.KindRelay, proof.ClassGeneral, archive.RelayNote{ID: "r", Kind: "relay.delivered", Time: relayTime}, fmt.Appendf(nil, `{"mid":%q}`, fp.Mid), nil)
	return c
}

// access asks for the package.
func (c *clinic) access(format string, policy ThirdParties) Request {
	req := request(func(yield func(uint64, error) bool) {
		for _, seq := range c.seqs {
			if !yield(seq, nil) {
				return
			}
		}
	})
	req.Format, req.Family, req.Attachment, req.FileText = format, c.family, c.open, c.text
	req.Recipient, req.Purpose, req.Bates = "Pat Smith", "patient-access", Bates{Prefix: "PA-"}
	req.Created = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	req.Custodians = func([]string) []string { return []string{"Thaddeus Wolstenholme"} }
	req.Holds = func(uint64) []string { return []string{"M-7/12"} }
	req.Tagged = []uint64{c.secret}
	req.Withhold = func(seq uint64) (Withheld, bool) {
		return Withheld{Tag: "psychotherapy", Basis: "notes", Description: "d", By: "mjones"}, seq == c.secret
	}
	req.Patient = &Patient{MRN: "4711", ThirdParties: policy, Usrs: []string{"pat"}, Contact: "the Privacy Office, +1 555 0100"}
	req.Near = near(Near{Seq: 77, MRN: "4712", Why: "=1+2"})
	return req
}

func near(all ...Near) iter.Seq2[Near, error] {
	return func(yield func(Near, error) bool) {
		for _, n := range all {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// opened returns what leaves, folded, with every JWS, encoded part and zip in it
// opened, so that nothing can hide from a search.
func opened(t *testing.T, made fstest.MapFS) string {
	t.Helper()
	out := outwardText(t, made)
	for name, f := range made {
		if path.Ext(name) != ".rsmf" {
			continue
		}
		_, encoded, _ := strings.Cut(string(f.Data), "filename=rsmf.zip")
		_, encoded, _ = strings.Cut(encoded, "\r\n\r\n")
		encoded, _, _ = strings.Cut(encoded, "\r\n--")
		raw, err := base64.StdEncoding.DecodeString(strings.Map(func(r rune) rune {
			if r == '\r' || r == '\n' {
				return -1
			}
			return r
		}, encoded))
		must(t, err)
		z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		must(t, err)
		for _, in := range z.File {
			r, err := in.Open()
			must(t, err)
			b, err := io.ReadAll(r)
			must(t, err)
			out += in.Name + string(b)
		}
	}
	return strings.ToLower(out)
}

// Nobody but the patient can be known by anything that leaves, in any format,
// and the package is as it was signed all the same.
func TestThirdPartiesDoNotLeave(t *testing.T) {
	c := newClinic(t)
	for _, policy := range []ThirdParties{InitialsThirdParties, HideThirdParties} {
		for _, format := range FormatNames() {
			if format == "pdf" && policy == HideThirdParties {
				continue // its streams are compressed; what it renders is what html does
			}
			s, made := produce(t, c.ward, c.access(format, policy))
			if v := verify(t, made, c.logKey()); v.Result != SignedOnly || v.Verified != 0 || v.Unproven != s.Manifest.Counts.Produced || v.Annex != "verified" {
				t.Fatalf("%s %s: %s, %d of %d rows proven: %v", format, policy, v.Result, v.Verified, v.Records, v.Findings)
			}
			text := opened(t, made)
			for _, name := range strangers {
				if i := strings.Index(text, name); i >= 0 {
					t.Errorf("%s %s: %q leaves: %q", format, policy, name, text[max(0, i-80):min(len(text), i+80)])
				}
			}
			for _, seq := range c.seqs {
				for what, secret := range c.secrets(seq) {
					if what != "name0" && strings.Contains(text, strings.ToLower(secret)) {
						t.Errorf("%s %s: the %s of entry %d leaves", format, policy, what, seq)
					}
				}
			}
			for _, gone := range []string{"dream", "hepatitis", "m-7/12"} {
				if strings.Contains(text, gone) {
					t.Errorf("%s %s: %q leaves", format, policy, gone)
				}
			}
			if format != "pdf" {
				c.shows(t, format, policy, text)
			}
			if !slices.Equal(s.MRNs, []string{"4711"}) || !slices.Contains(s.Usrs, "uqz1-nephro") || s.Near != 1 {
				t.Errorf("%s %s: MRNs %q, usrs %q, %d near", format, policy, s.MRNs, s.Usrs, s.Near)
			}
		}
	}
}

// shows checks what a reduced package does show.
func (c *clinic) shows(t *testing.T, format string, policy ThirdParties, text string) {
	t.Helper()
	want := []string{"dialysis at eight", "rather come at nine", "person-1"}
	if policy == InitialsThirdParties {
		want = append(want, "z. q. (person-1)", "x. o. (person-")
	}
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("%s %s: %q is not there", format, policy, part)
		}
	}
	if policy == HideThirdParties && (strings.Contains(text, "z. q.") || strings.Contains(text, "p. s.")) {
		t.Errorf("%s: initials of who is hidden", format)
	}
	if format != "dat" && format != "rsmf" && !strings.Contains(text, "pat smith") {
		t.Errorf("%s %s: the patient is not named", format, policy)
	}
	if (format == "csv" || format == "jsonl") && !strings.Contains(text, "pat@home.test") {
		t.Errorf("%s %s: the patient is not shown as they are", format, policy)
	}
	if strings.Contains(text, "oyarzabal") || !strings.Contains(text, "conversation-1") && (format == "csv" || format == "jsonl") {
		t.Errorf("%s %s: conversations are not told by labels", format, policy)
	}
}

// With show the package has its proofs, and still nothing of what is withheld.
func TestShownThirdParties(t *testing.T) {
	c := newClinic(t)
	for _, format := range []string{"jsonl", "html"} {
		s, made := produce(t, c.ward, c.access(format, ShowThirdParties))
		v := verify(t, made, c.logKey())
		if v.Result != Verified || v.Verified == 0 {
			t.Fatalf("%s: %s, %d proven: %v", format, v.Result, v.Verified, v.Findings)
		}
		text := opened(t, made)
		if !strings.Contains(text, "zebulon quenneville") {
			t.Errorf("%s: nobody is named", format)
		}
		for _, seq := range []uint64{c.secret, c.moved, c.movedB} {
			for what, secret := range c.secrets(seq) {
				if strings.Contains(text, strings.ToLower(secret)) {
					t.Errorf("%s: the %s of entry %d, which is withheld, leaves", format, what, seq)
				}
			}
		}
		if by := s.WithheldBy; by["psychotherapy"] != 1 || by[TagOtherPatient] != 2 {
			t.Errorf("%s: withheld %v", format, by)
		}
	}
}

// What the package says of itself is counted, and is checked.
func TestAboutIsChecked(t *testing.T) {
	c := newClinic(t)
	s, made := produce(t, c.ward, c.access("csv", InitialsThirdParties))
	about := string(made[fileAbout].Data)
	for _, want := range []string{
		"record number  4711\n", "messages that carry no medical record number are not covered", "     1  psychotherapy notes (45 cfr 164.524(a)(1)(i))\n",
		"     2  about another patient\n", "privacy office, +1 555 0100.\n", "initials", "164.524(a)(4)", "reviewed", fmt.Sprintf(": %d entries", s.Manifest.Counts.Produced),
	} {
		if want == "164.524(a)(4)" {
			want = "164.524(a)(3) and (4)"
		}
		if !strings.Contains(strings.ToLower(about), want) {
			t.Errorf("about.txt does not say %q:\n%s", want, about)
		}
	}
	if made[filePrivilege] != nil {
		t.Error("a patient's package has a privilege log")
	}
	if got := string(made[fileNear].Data); got != "\ufeffseq,mrn,why\r\n77,4712,'=1+2\r\n" {
		t.Errorf("near.csv: %q", got)
	}
	for name, change := range map[string]func(m fstest.MapFS){
		"fewer withheld": func(m fstest.MapFS) {
			m[fileAbout].Data = bytes.Replace(m[fileAbout].Data, []byte("     2  about"), []byte("     1  about"), 1)
		},
		"nothing": func(m fstest.MapFS) { m[fileAbout].Data = nil },
	} {
		bad := clone(made)
		change(bad)
		resign(t, bad, c.a.IdentitySigner(), nil)
		if v := verify(t, bad, c.logKey()); v.Result != Failed || !slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.File == fileAbout }) {
			t.Errorf("%s: %s: %v", name, v.Result, v.Findings)
		}
	}
	for name, change := range map[string]func(m fstest.MapFS){
		"about gone":   func(m fstest.MapFS) { delete(m, fileAbout) },
		"near changed": func(m fstest.MapFS) { m[fileNear].Data[len(m[fileNear].Data)-3] ^= 1 },
		"near gone":    func(m fstest.MapFS) { delete(m, fileNear) },
	} {
		bad := clone(made)
		change(bad)
		if v := verify(t, bad, c.logKey()); v.Result != Failed {
			t.Errorf("%s: %s", name, v.Result)
		}
	}
	// What is no patient's package has neither.
	req := c.access("csv", ShowThirdParties)
	req.Patient, req.Near = nil, nil
	_, other := produce(t, c.ward, req)
	if other[fileAbout] != nil || other[fileNear] != nil {
		t.Error("another production has what patients' packages have")
	}
	other[fileNear] = made[fileNear]
	if v := verify(t, other, c.logKey()); v.Result != Failed {
		t.Errorf("near.csv was added: %s", v.Result)
	}
}

// The same request gives the same package, labels and all: by that one that
// was cut off is gone on with.
func TestPatientPackageAgain(t *testing.T) {
	c := newClinic(t)
	anchor, err := c.a.Checkpoint(t.Context())
	must(t, err)
	for _, format := range []string{"jsonl", "csv", "html"} {
		for _, unit := range []render.UnitKind{"", render.ConversationDay} {
			if unit != "" && format == "jsonl" {
				continue
			}
			req := c.access(format, InitialsThirdParties)
			req.Anchor, req.Unit, req.At = anchor, unit, c.a.Size()
			_, first := produce(t, c.ward, req)
			_, again := produce(t, c.ward, req)
			for name, f := range first {
				if again[name] == nil || !bytes.Equal(f.Data, again[name].Data) {
					t.Errorf("%s: %s is another one", format, name)
				}
			}
			if v := verify(t, first, c.logKey()); v.Result != SignedOnly {
				t.Errorf("%s by %q: %s: %v", format, unit, v.Result, v.Findings)
			}
		}
	}
}

func TestPatientRequestsAreRefused(t *testing.T) {
	c := newClinic(t)
	for name, change := range map[string]func(r *Request){
		"no number":   func(r *Request) { r.Patient.MRN = "" },
		"no policy":   func(r *Request) { r.Patient.ThirdParties = "" },
		"a policy":    func(r *Request) { r.Patient.ThirdParties = "all" },
		"custodians":  func(r *Request) { r.Split.Custodian = true },
		"near, alone": func(r *Request) { r.Patient = nil },
	} {
		req := c.access("csv", HideThirdParties)
		change(&req)
		sink := newSink()
		if _, err := Produce(t.Context(), c.source(), req, sink); err == nil || len(sink.order) > 0 {
			t.Errorf("%s: %v, %v", name, err, sink.order)
		}
	}
}

func TestInitials(t *testing.T) {
	for name, want := range map[string]string{
		"Anna Lund": "A. L.", "anna-maria o'neil": "A. M. O.", "Dr. José Ángel García Lorca": "D. J. Á.", "李小龍": "", "Li 李": "", "김민수": "",
		"X": "", "X Y": "", "J Doe": "J. D.", "": "", "4 West": "W.", "محمد علي": "م. ع.", "Žižek": "Ž.", "’t Hooft": "H.", "\u202eevil": "E.",
	} {
		if got := initials(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// Without any tag a message that was moved to another patient is withheld all
// the same; and what is wholly covered is still a disclosure about the patient.
func TestPatientWithoutTags(t *testing.T) {
	c := newClinic(t)
	req := c.access("csv", ShowThirdParties)
	req.Withhold, req.Tagged = nil, nil
	s, made := produce(t, c.ward, req)
	if text := opened(t, made); strings.Contains(text, "hepatitis") || s.WithheldBy[TagOtherPatient] != 2 {
		t.Errorf("what is about another patient leaves: withheld %v", s.WithheldBy)
	}
	req.Seqs = func(yield func(uint64, error) bool) { yield(c.seqs[0], nil) }
	req.Redact = []Redaction{{Seq: &c.seqs[0], Reason: "r"}}
	s, made = produce(t, c.ward, req)
	if v := verify(t, made, c.logKey()); !slices.Equal(s.MRNs, []string{"4711"}) || s.Redacted != 1 || len(v.Findings) > 0 {
		t.Errorf("MRNs %q, %d covered, %v", s.MRNs, s.Redacted, v.Findings)
	}
}
