package export

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
)

// draw fills a ward with anything that devices and the relay may send.
func draw(t *testing.T, rt *rapid.T) (*ward, files) {
	w, f := newWard(t), files{}
	w.control(proof.KindEpoch, proof.ClassControl, archive.EpochBody{Epoch: "e1"})
	people := []string{"anna", "li"}
	for _, usr := range people {
		w.user(usr, usr+"@ward.test", rapid.SampledFrom([]string{"Anna Lund", "=cmd()", "O'Neil, \u202eRay", "李"}).Draw(rt, "name"))
		w.addDevice(usr, edKey(t), w.enrol)
	}
	var sent []*envelope.Ref
	n := rapid.IntRange(0, 14).Draw(rt, "messages")
	for i := range n {
		usr := rapid.SampledFrom(people).Draw(rt, "usr")
		compact, p := w.compose(usr, rapid.SampledFrom([]string{"hello", "", "Quist", "a\nFrom b\r\n.\n", "\u0000\u001b[2J\u2028", "þ\u0014®", strings.Repeat("long ", 400), "🙂👩‍⚕️"}).Draw(rt, "text"), func(p *envelope.Payload) {
			p.Conv.ID = rapid.SampledFrom([]string{"c1", "c2", "../x", "Quist"}).Draw(rt, "conv")
			if len(sent) > 0 && rapid.IntRange(0, 3).Draw(rt, "ref") == 0 {
				p.Typ, p.Ref = rapid.SampledFrom([]string{envelope.TypEdit, envelope.TypRecall, envelope.TypReaction, envelope.TypExpiry}).Draw(rt, "typ"), rapid.SampledFrom(sent).Draw(rt, "of")
			}
			if len(sent) > 0 {
				p.Prev = sent[len(sent)-1].Digest
			}
			if rapid.Bool().Draw(rt, "file") {
				size := rapid.SampledFrom([]int{0, 1, envelope.ChunkSize, envelope.ChunkSize + 1}).Draw(rt, "size")
				p.Att = []envelope.Attachment{f.attach(t, fmt.Sprintf("%d.%s", i, rapid.SampledFrom([]string{"txt", "PDF", "exe", "../..", "a\u202egnp"}).Draw(rt, "ext")), "text/plain", bytes.Repeat([]byte{'x'}, size))}
			}
		})
		w.deliver(usr, compact, p)
		sent = append(sent, &envelope.Ref{Dev: p.Dev, Mid: p.Mid, Digest: digestOf(compact)})
		if rapid.IntRange(0, 5).Draw(rt, "quarantine") == 0 {
			w.relayed(proof.KindQuarantine, proof.ClassGeneral, archive.QuarantineNote{ID: "q", Kind: "env", Time: relayTime, Code: "bad_signature"}, []byte("not to be shown"), nil)
		}
	}
	return w, f
}

func drawRequest(rt *rapid.T, w *ward, f files) Request {
	all := FormatNames()
	if rapid.IntRange(0, 9).Draw(rt, "slow") > 0 {
		all = slices.DeleteFunc(all, func(name string) bool { return name == "pdf" })
	}
	format := rapid.SampledFrom(all).Draw(rt, "format")
	req := full(w, f, format)
	if known, ok := formatOf(format); ok {
		req.Unit = rapid.SampledFrom(known.Units).Draw(rt, "unit")
	}
	req.At = w.a.Size()
	req.Seqs = these(rapid.SliceOfNDistinct(rapid.Uint64Range(1, req.At-1), 0, int(req.At)/2, rapid.ID).Draw(rt, "seqs")...)
	chosen := slices.Sorted(func(yield func(uint64) bool) {
		for seq := range req.Seqs {
			if !yield(seq) {
				return
			}
		}
	})
	req.Seqs = these(chosen...)
	req.Zone = rapid.SampledFrom([]*time.Location{nil, time.UTC, mustZone("America/New_York"), mustZone("Pacific/Kiritimati")}).Draw(rt, "zone")
	req.Split = rapid.SampledFrom([]Split{{}, {Bytes: 1}, {Bytes: 5000}, {Custodian: true}, {Custodian: true, Bytes: 3000}}).Draw(rt, "split")
	if rapid.Bool().Draw(rt, "alone") {
		req.Family = nil
	}
	if rapid.Bool().Draw(rt, "without files") {
		req.Attachment, req.FileText = nil, nil
	}
	if rapid.Bool().Draw(rt, "without numbers") {
		req.Bates = Bates{}
	}
	if rapid.Bool().Draw(rt, "covered") {
		seq := rapid.Uint64Range(1, req.At-1).Draw(rt, "redacted")
		req.Redact = []Redaction{{Pattern: regexp.MustCompile("Quist|hell"), Reason: "privacy"}, {Seq: &seq, Reason: "by order"}}
	}
	if rapid.Bool().Draw(rt, "withheld") {
		tagged := rapid.Uint64Range(1, req.At-1).Draw(rt, "tagged")
		req.Withhold = func(seq uint64) (Withheld, bool) {
			return Withheld{Tag: "part2", Basis: "42 CFR Part 2"}, seq == tagged
		}
	}
	return req
}

func mustZone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return z
}

// Whatever an archive holds and whatever is asked for: what is produced is
// verified; produced again later its records are the same to the byte; and with
// the same anchor and time everything is.
func TestWhateverIsProducedIsVerified(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w, f := draw(t, rt)
		req := drawRequest(rt, w, f)
		numbers, err := Numbers(t.Context(), w.source(), req)
		must(t, err)
		s, first := produce(t, w, req)
		if v := verify(t, first, w.logKey()); !v.OK() && (v.Result != SignedOnly || v.Unproven+v.Withheld == 0) {
			rt.Fatalf("%s %s: %s: %v", req.Format, req.Unit, v.Result, v.Findings)
		}
		var given uint64
		for _, span := range s.Spans {
			given += span.Count
		}
		if given != numbers {
			rt.Fatalf("%d Bates numbers were given, %d foretold", given, numbers)
		}
		w.user("anna", "else@ward.test", "Somebody Else")
		w.send("anna", "later", nil)
		req.Created = time.Unix(1_790_000_000, 0)
		_, second := produce(t, w, req)
		expectSame(rt, first, second, func(name string) bool {
			return !slices.Contains(own, name) && !strings.Contains(name, "manifest") && name != fileAnnex
		})
		anchor, err := w.a.Checkpoint(t.Context())
		must(t, err)
		req.Anchor = anchor
		_, third := produce(t, w, req)
		w.send("anna", "later still", nil)
		_, fourth := produce(t, w, req)
		expectSame(rt, third, fourth, func(string) bool { return true })
	})
}

func expectSame(rt *rapid.T, a, b fstest.MapFS, which func(name string) bool) {
	names := func(m fstest.MapFS) []string {
		return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(name string) bool { return !which(name) })
	}
	if !slices.Equal(names(a), names(b)) {
		rt.Fatalf("files %v, then %v", names(a), names(b))
	}
	for _, name := range names(a) {
		if !bytes.Equal(a[name].Data, b[name].Data) {
			rt.Fatalf("%s differs the second time", name)
		}
	}
}

func TestRequestsOfFormats(t *testing.T) {
	w, f := town(t)
	for name, change := range map[string]func(r *Request){
		"no such format":     func(r *Request) { r.Format = "docx" },
		"no such unit":       func(r *Request) { r.Format, r.Unit = "eml", render.ConversationDay },
		"units of lines":     func(r *Request) { r.Format, r.Unit = JSONL, render.ConversationDay },
		"the local zone":     func(r *Request) { r.Zone = time.Local },
		"a prefix of none":   func(r *Request) { r.Bates.Prefix = "acme" },
		"too many digits":    func(r *Request) { r.Bates.Digits = 16 },
		"nothing to cover":   func(r *Request) { r.Redact = []Redaction{{Reason: "x"}} },
		"covers nothing":     func(r *Request) { r.Redact = []Redaction{{Reason: "x", Pattern: regexp.MustCompile("a*")}} },
		"without a reason":   func(r *Request) { r.Redact = []Redaction{{Pattern: regexp.MustCompile("a")}} },
		"another log's note": func(r *Request) { r.Anchor = []byte(strings.Replace(string(r.Anchor), "ward", "bard", 1)) },
	} {
		req := full(w, f, "csv")
		var err error
		req.Anchor, err = w.a.Checkpoint(t.Context())
		must(t, err)
		change(&req)
		sink := newSink()
		if _, err := Produce(t.Context(), w.source(), req, sink); err == nil || len(sink.order) != 0 {
			t.Errorf("%s: %v, files %v", name, err, sink.order)
		}
	}
}

// A cosignature on the anchor is checked with the witness's key, and said.
func TestTheWitnessIsSaid(t *testing.T) {
	l := newLyingLog(t).begin(nil)
	signer, witness := newWitness(t, "witness.test")
	_, other := newWitness(t, "other.test")
	key, err := l.id.LogVerifier()
	must(t, err)
	keys := VerifyKeys{Log: key, Witness: []*proof.Witness{witness, other}}
	for _, cosigned := range []bool{true, false} {
		l.cosigner = nil
		if cosigned {
			l.cosigner = signer
		}
		v, err := Verify(t.Context(), l.production(nil, nil), keys, nil)
		must(t, err)
		var text bytes.Buffer
		must(t, v.WriteText(&text))
		said := strings.Contains(text.String(), "anchored by witness.test at 2026-03-01T00:00:00Z\n")
		if !v.OK() || (len(v.Anchored) == 1) != cosigned || said != cosigned || !slices.Contains(v.Unanchored, "other.test") ||
			slices.Contains(v.Unanchored, "witness.test") == cosigned || !strings.Contains(text.String(), "not proven  that the witness other.test") {
			t.Errorf("cosigned %v: %s by %v, not by %v: %v\n%s", cosigned, v.Result, v.Anchored, v.Unanchored, v.Findings, text.String())
		}
	}
	// A line under the witness's name and hash that is no signature of it.
	signer.key = edKey(t)
	l.cosigner = signer
	v, err := Verify(t.Context(), l.production(nil, nil), keys, nil)
	must(t, err)
	if v.Result != Failed || len(v.Anchored) != 0 {
		t.Errorf("a false cosignature: %s by %v", v.Result, v.Anchored)
	}
}

// What another version of the program renders otherwise is not proven, not
// changed; what this one renders otherwise is changed.
func TestAnotherVersionsRendering(t *testing.T) {
	w, f := town(t)
	req := full(w, f, "csv")
	_, made := produce(t, w, req)
	made["records.csv"].Data = bytes.Replace(made["records.csv"].Data, []byte("seq,kind"), []byte("Seq,kind"), 1)
	made["records.csv"].Data = bytes.Replace(made["records.csv"].Data, []byte("line 3 of"), []byte("line 4 of"), 1)
	resign(t, made, w.a.IdentitySigner(), nil)
	for tool, want := range map[string]Result{"": Failed, req.Tool: Failed, "holdfast later": Verified} {
		v, err := Verify(t.Context(), made, VerifyKeys{Log: w.logKey(), Tool: tool}, nil)
		must(t, err)
		if v.Result != want || want == Verified && v.Unrendered == 0 {
			t.Errorf("%q: %s, %d not rendered: %v", tool, v.Result, v.Unrendered, v.Findings)
		}
	}
}

// cosigner signs as a witness does (C2SP tlog-cosignature).
type cosigner struct {
	name string
	hash uint32
	key  crypto.Signer
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Sign(msg []byte) ([]byte, error) {
	at := uint64(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Unix())
	sig, err := c.key.Sign(rand.Reader, append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), msg...), crypto.Hash(0))
	return append(binary.BigEndian.AppendUint64(nil, at), sig...), err
}

func newWitness(t *testing.T, name string) (*cosigner, *proof.Witness) {
	t.Helper()
	key := edKey(t)
	typed := append([]byte{4}, key.Public().(ed25519.PublicKey)...)
	sum := sha256.Sum256(append([]byte(name+"\n"), typed...))
	w, err := proof.ParseWitnessKey(fmt.Appendf(nil, "%s+%x+%s", name, sum[:4], base64.StdEncoding.EncodeToString(typed)))
	must(t, err)
	return &cosigner{name, w.KeyHash(), key}, w
}
