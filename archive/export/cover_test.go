package export

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// secrets returns every form in which anything of a message could be found in
// a file: what was said, and what tells of it.
func (w *ward) secrets(seq uint64) map[string]string {
	rec, err := w.a.Record(w.t.Context(), seq)
	must(w.t, err)
	leaf, err := rec.Leaf.Marshal()
	must(w.t, err)
	out := map[string]string{
		"jws": string(rec.Body), "leaf": jws.EncodeB64(leaf), "random": jws.EncodeB64(rec.Random[:]),
		"body hash": hexSum(rec.Body), "content": jws.EncodeB64(rec.Leaf.Content[:]),
	}
	if payload := payloadOf(rec.Body); payload != nil {
		p, err := envelope.ParsePayload(payload)
		must(w.t, err)
		out["payload"], out["mid"], out["digest"] = jws.EncodeB64(payload), p.Mid, digestOf(rec.Body)
		for i, a := range p.Att {
			out[fmt.Sprint("bid", i)], out[fmt.Sprint("key", i)], out[fmt.Sprint("ct", i)] = a.BID, a.Key, a.CTSHA256
			if a.Name != "late.jpg" { // another message has one, too
				out[fmt.Sprint("name", i)] = a.Name
			}
		}
	}
	return out
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// outwardText returns what leaves of a production, with every JWS in it opened.
func outwardText(t *testing.T, files fstest.MapFS) string {
	t.Helper()
	var out strings.Builder
	for name, f := range files {
		if strings.HasPrefix(name, "annex/") {
			continue
		}
		out.WriteString(name + "\n")
		out.Write(f.Data)
		for _, m := range compactForm.FindAll(f.Data, -1) {
			out.Write(payloadOf(m))
		}
	}
	return out.String()
}

var compactForm = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)

// chain has a message with two versions, what hangs at it, a redelivery, what
// the relay says of it, and the same sender's next message, which names it.
type chain struct {
	*ward
	files
	message, edit, receipt, redelivery, event, event2, blob, next uint64
}

func newChain(t *testing.T) *chain {
	w := furnish(t)
	c := &chain{ward: w, files: files{}}
	late := attachment("late.jpg")
	late.BID = id16("late", 2)
	key := sha256.Sum256([]byte("late"))
	late.Key, late.CTSHA256 = jws.EncodeB64(key[:]), jws.EncodeB64(key[:])
	compact, p := w.compose("anna", "Mr Quist of bed 9 has hepatitis", func(p *envelope.Payload) {
		p.Att = []envelope.Attachment{c.attach(t, "quist-lab.txt", "text/plain", []byte("Quist: positive")), late}
		p.Subject = &envelope.Subject{MRN: "777123"}
	})
	var note archive.MessageNote
	c.message, note = w.deliver("anna", compact, p)
	ref := &envelope.Ref{Dev: p.Dev, Mid: p.Mid, Digest: digestOf(compact)}
	var editMid string
	c.edit = w.send("anna", "Mr Quist of bed 8 has hepatitis", func(e *envelope.Payload) {
		e.Typ, e.Ref, editMid = envelope.TypEdit, ref, e.Mid
	})
	c.receipt = w.send("li", "", func(r *envelope.Payload) {
		r.Typ, r.Ref, r.Body, r.Status, r.At = envelope.TypReceipt, ref, nil, "read", relayTime
	})
	c.redelivery = w.relayed(proof.KindRedelivery, proof.ClassGeneral, note, fmt.Appendf(nil, `{"of":%d}`, c.message), nil)
	c.event = w.relayed(proof.KindRelay, proof.ClassGeneral, archive.RelayNote{ID: "r2", Kind: "relay.delivered", Time: relayTime}, fmt.Appendf(nil, `{"mid":%q}`, p.Mid), nil)
	c.blob = w.blob(c.message, late.BID, archive.BlobStored)
	c.event2 = w.relayed(proof.KindRelay, proof.ClassGeneral, archive.RelayNote{ID: "r3", Kind: "relay.delivered", Time: relayTime}, fmt.Appendf(nil, `{"mid":%q}`, editMid), nil)
	c.next = w.send("anna", "dinner is at six", func(n *envelope.Payload) { n.Prev = ref.Digest })
	return c
}

// quick are the formats but PDF, which compresses what it says: nobody would
// find it there, and it has no other rows than HTML.
func quick() []string {
	return slices.DeleteFunc(FormatNames(), func(name string) bool { return name == "pdf" })
}

// everySecond is half of the formats, the other half where i is odd: two cases
// that follow each other have all of them.
func everySecond(formats []string, i int) (half []string) {
	for k, f := range formats {
		if (k+i)%2 == 0 {
			half = append(half, f)
		}
	}
	return half
}

// Whatever is covered, whichever way and in whichever format: nothing by which
// it could be known leaves, the rest is proven, and all of it is verified.
func TestNothingOfWhatIsCoveredLeaves(t *testing.T) {
	c := newChain(t)
	n := func(seq uint64) *uint64 { return &seq }
	for i, what := range []struct {
		name   string
		redact []Redaction
	}{
		{"the message", []Redaction{{Seq: n(c.message), Reason: "privacy"}}},
		{"its edit", []Redaction{{Seq: n(c.edit), Reason: "privacy"}}},
		{"a pattern", []Redaction{{Pattern: regexp.MustCompile(`(?i)quist`), Reason: "privacy"}}},
		{"both", []Redaction{{Pattern: regexp.MustCompile(`hepatitis`), Reason: "x"}, {Seq: n(c.message), Pattern: regexp.MustCompile(`Quist|quist`), Reason: "y"}}},
		{"its MRN", []Redaction{{Pattern: regexp.MustCompile(`777\d{3}`), Reason: "privacy"}, {Pattern: regexp.MustCompile(`Quist`), Reason: "privacy"}}},
		{"a file name", []Redaction{{Pattern: regexp.MustCompile(`quist-lab|Quist`), Reason: "privacy"}}},
		{"one of many", []Redaction{{Seq: n(c.message), Pattern: regexp.MustCompile(`Quist`), Reason: "privacy"}}},
	} {
		for _, format := range everySecond(quick(), i) {
			t.Run(what.name+" "+format, func(t *testing.T) {
				req := full(c.ward, c.files, format)
				req.Redact = what.redact
				s, made := produce(t, c.ward, req)
				v := verify(t, made, c.logKey())
				if !v.OK() {
					t.Fatalf("%s: %v", v.Result, v.Findings)
				}
				text := outwardText(t, made)
				for _, seq := range []uint64{c.message, c.edit} {
					for what, secret := range c.secrets(seq) {
						if strings.Contains(text, secret) {
							t.Errorf("the %s of entry %d leaves", what, seq)
						}
					}
				}
				if strings.Contains(text, "Quist") || strings.Contains(text, "positive") {
					t.Error("what is covered leaves")
				}
				if s.Redacted != 2 || !strings.Contains(text, covered) {
					t.Errorf("%d redacted, %d unproven", s.Redacted, v.Unproven)
				}
				// The redacted, the receipt, redelivery, events, blob and next message have no proof; all others have.
				if v.Unproven != 8 {
					t.Errorf("%d rows without a proof", v.Unproven)
				}
			})
		}
	}
}

func TestNothingOfWhatIsWithheldLeaves(t *testing.T) {
	c := newChain(t)
	for i, tagged := range []uint64{c.message, c.edit} {
		for k, among := range []bool{true, false} {
			for _, format := range everySecond(quick(), i+k) {
				t.Run(fmt.Sprintf("%d %s %v", i, format, among), func(t *testing.T) {
					req := full(c.ward, c.files, format)
					req.Withhold = func(seq uint64) (Withheld, bool) {
						return Withheld{Tag: "privileged", Basis: "attorney-client", Description: "advice on liability", By: "counsel@ward.test"}, seq == tagged
					}
					if !among {
						// What is tagged did not match: only what tells of it did.
						req.Tagged, req.Family = []uint64{c.message, c.edit}, nil
						req.Seqs = these(c.receipt, c.redelivery, c.event, c.blob, c.event2, c.next)
						req.Withhold = func(seq uint64) (Withheld, bool) {
							return Withheld{Tag: "privileged", Basis: "attorney-client"}, seq == c.message || seq == c.edit
						}
					}
					s, made := produce(t, c.ward, req)
					v := verify(t, made, c.logKey())
					if !v.OK() && v.Result != SignedOnly {
						t.Fatalf("%s: %v", v.Result, v.Findings)
					}
					text := outwardText(t, made)
					for _, seq := range []uint64{c.message, c.edit} {
						for what, secret := range c.secrets(seq) {
							if strings.Contains(text, secret) {
								t.Errorf("the %s of entry %d leaves", what, seq)
							}
						}
					}
					for _, secret := range []string{"Quist", "positive", "hepatitis", "777123", "counsel@ward.test"} {
						if strings.Contains(text, secret) {
							t.Errorf("%q leaves", secret)
						}
					}
					want := uint64(3) // the two versions and the receipt
					if !among {
						want = 1
					}
					rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(made[filePrivilege].Data, []byte(byteOrderMark)))).ReadAll()
					must(t, err)
					if s.WithheldBy["privileged"] != want || uint64(len(rows)) != want+1 || s.Manifest.Counts.WithheldBy["privileged"] != want {
						t.Errorf("%d withheld, log: %v", s.WithheldBy["privileged"], rows)
					}
					if among && (rows[1][4] != "Anna Berg <anna.berg@ward.test>" || rows[1][7] != "attorney-client" || rows[1][8] != "advice on liability") {
						t.Errorf("log: %q", rows[1])
					}
					by := slices.ContainsFunc(exclusionsOf(t, made), func(x Exclusion) bool { return x.By == "counsel@ward.test" && x.Reason == "privileged" })
					if among && !by {
						t.Error("the annex does not say who withheld it")
					}
				})
			}
		}
	}
}
