package export

import (
	"bytes"
	"crypto"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

const secretReason = "Officer Brand read it out on 4 West"

// approve appends a person's approval of usr's newest device. What underWay sends was judged before and comes into the log after.
func (w *ward) approve(usr string, underWay func()) uint64 {
	w.t.Helper()
	kid, err := jws.Thumbprint(w.keys[usr].Public())
	must(w.t, err)
	given := w.device[kid]
	n := envelope.ApprovalNote{V: 1, Kid: kid, Usr: usr, Dev: usr + "-phone", Added: given[len(given)-1], Epoch: "e1", RelaySeq: w.relay}
	note, err := json.Marshal(n)
	must(w.t, err)
	placed, err := w.a.Append(w.t.Context(), archive.Batch{Entries: []archive.Entry{{
		Kind: proof.KindDevice, Class: proof.ClassControl, Note: note, Body: []byte(`{"reason":"` + secretReason + `"}`)}}})
	must(w.t, err)
	w.device[kid] = append(given, placed[0].Seq)
	at := envelope.Position{Seq: w.relay}
	if underWay != nil {
		underWay()
	}
	if _, ok := w.dir.Approve(envelope.Approval{Kid: kid, At: at}); !ok {
		w.t.Fatal("the directory does not take the approval")
	}
	return placed[0].Seq
}

func TestAProductionSaysThatAPersonApproved(t *testing.T) {
	w := furnish(t)
	var underWay uint64
	approval := w.approve("li", func() { underWay = w.send("li", "under way", nil) })
	after := w.send("li", "after the approval", nil)
	_, files := produce(t, w, request(all(w.a.Size())))
	v := verify(t, files, w.logKey())
	if !v.OK() || v.Approved != 1 {
		t.Fatalf("%s, %d approved: %v", v.Result, v.Approved, v.Findings)
	}
	var text strings.Builder
	must(t, v.WriteText(&text))
	if !strings.Contains(text.String(), "approved    1 ") {
		t.Errorf("the verdict does not say so:\n%s", text.String())
	}
	approved := 0
	for line := range bytes.Lines(files[fileRecords].Data) {
		var row Row
		must(t, json.Unmarshal(line, &row))
		if row.Seq == underWay && row.Assurance != "relay-asserted" {
			t.Errorf("what was under way is %s", row.Assurance)
		}
		if row.Approved != 0 {
			approved++
			if row.Seq != after || row.Approved != approval || row.Assurance != "enrolled" {
				t.Errorf("row %d, %s, approved by %d", row.Seq, row.Assurance, row.Approved)
			}
		}
	}
	if approved != 1 {
		t.Errorf("%d rows say that a person approved", approved)
	}
	// Who approved it and why is work product.
	for name, f := range files {
		if bytes.Contains(f.Data, []byte("Officer Brand")) {
			t.Errorf("%s tells who approved", name)
		}
	}
	// Nothing can be taken away or put in its place.
	for name, change := range map[string]func(files fstest.MapFS){
		"the row says another entry": func(files fstest.MapFS) { replace(t, files, fileRecords, `"approved":`, `"approved":1`) },
		"the row says none":          func(files fstest.MapFS) { replace(t, files, fileRecords, `"approved":`, `"xapproved":`) },
		"the proof has the body":     func(files fstest.MapFS) { replace(t, files, fileProofs, `\"relay_seq\":`, `\"relay_seq\":1`) },
	} {
		changed := clone(files)
		change(changed)
		if v := verify(t, changed, w.logKey()); v.Result != Failed {
			t.Errorf("%s: %s", name, v.Result)
		}
	}
}

func replace(t *testing.T, files fstest.MapFS, name, old, with string) {
	t.Helper()
	data := bytes.Replace(files[name].Data, []byte(old), []byte(with), 1)
	if bytes.Equal(data, files[name].Data) {
		t.Fatalf("%s has no %s", name, old)
	}
	files[name].Data = data
}

// approval appends one to a log that takes anything.
func (l *lyingLog) approval(n envelope.ApprovalNote) uint64 {
	l.t.Helper()
	note, err := json.Marshal(n)
	must(l.t, err)
	return l.add(proof.KindDevice, string(note), []byte("{}"), nil)
}

func TestALyingArchiveCannotInventAnApproval(t *testing.T) {
	const truth = "the truth"
	for name, tell := range map[string]func(l *lyingLog, anna crypto.Signer, n envelope.ApprovalNote, dev uint64) []uint64{
		truth: func(l *lyingLog, _ crypto.Signer, n envelope.ApprovalNote, _ uint64) []uint64 {
			return []uint64{l.approval(n)}
		},
		"of another key": func(l *lyingLog, _ crypto.Signer, n envelope.ApprovalNote, _ uint64) []uint64 {
			n.Kid = jws.EncodeB64(make([]byte, 32))
			return []uint64{l.approval(n)}
		},
		"of another person's": func(l *lyingLog, _ crypto.Signer, n envelope.ApprovalNote, _ uint64) []uint64 {
			n.Usr = "li"
			return []uint64{l.approval(n)}
		},
		"of another device": func(l *lyingLog, _ crypto.Signer, n envelope.ApprovalNote, _ uint64) []uint64 {
			n.Dev = "anna-tablet"
			return []uint64{l.approval(n)}
		},
		"of another entry's": func(l *lyingLog, _ crypto.Signer, n envelope.ApprovalNote, _ uint64) []uint64 {
			n.Added++
			return []uint64{l.approval(n)}
		},
		"given after the relay had sent the message": func(l *lyingLog, _ crypto.Signer, n envelope.ApprovalNote, _ uint64) []uint64 {
			n.RelaySeq = 9
			return []uint64{l.approval(n)}
		},
		"an entry of another kind": func(l *lyingLog, _ crypto.Signer, n envelope.ApprovalNote, dev uint64) []uint64 { return []uint64{dev} },
		"one that is not shown": func(l *lyingLog, _ crypto.Signer, n envelope.ApprovalNote, _ uint64) []uint64 {
			return []uint64{l.approval(n), 0}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLyingLog(t).begin(nil)
			anna := edKey(t)
			kid, err := jws.Thumbprint(anna.Public())
			must(t, err)
			dev := l.device("anna", anna)
			n := envelope.ApprovalNote{V: 1, Kid: kid, Usr: "anna", Dev: "anna-phone", Added: dev, Epoch: "e1", RelaySeq: dev}
			told := tell(l, anna, n, dev)
			m := l.message(anna, anna, said("anna", "x"), nil)
			r := l.row(m, nil)
			r.Approved = told[0]
			shown := []uint64{dev}
			if told[0] != dev && len(told) == 1 {
				shown = append(shown, told[0])
			}
			files := l.production([]Row{r}, append(l.evidence(shown...), l.proofOf(m, dev)))
			key, err := l.id.LogVerifier()
			must(t, err)
			v := verify(t, files, key)
			if v.OK() != (name == truth) || v.OK() && v.Approved != 1 {
				t.Errorf("%s, %d approved: %v", v.Result, v.Approved, v.Findings)
			}
			if v.Result == Failed && !slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Seq != nil && *f.Seq == m }) {
				t.Errorf("the message is not named: %v", v.Findings)
			}
		})
	}
	t.Run("later than the message", func(t *testing.T) {
		l := newLyingLog(t).begin(nil)
		anna := edKey(t)
		kid, err := jws.Thumbprint(anna.Public())
		must(t, err)
		dev := l.device("anna", anna)
		m := l.message(anna, anna, said("anna", "x"), nil)
		r := l.row(m, nil)
		r.Approved = l.approval(envelope.ApprovalNote{V: 1, Kid: kid, Usr: "anna", Dev: "anna-phone", Added: dev, Epoch: "e1", RelaySeq: 1})
		files := l.production([]Row{r}, append(l.evidence(dev, r.Approved), l.proofOf(m, dev)))
		key, err := l.id.LogVerifier()
		must(t, err)
		if v := verify(t, files, key); v.Result != Failed {
			t.Errorf("%s", v.Result)
		}
	})
	t.Run("with its body", func(t *testing.T) {
		l := newLyingLog(t).begin(nil)
		anna := edKey(t)
		kid, err := jws.Thumbprint(anna.Public())
		must(t, err)
		dev := l.device("anna", anna)
		given := l.approval(envelope.ApprovalNote{V: 1, Kid: kid, Usr: "anna", Dev: "anna-phone", Added: dev, Epoch: "e1", RelaySeq: dev})
		m := l.message(anna, anna, said("anna", "x"), nil)
		r := l.row(m, nil)
		r.Approved = given
		shown := l.evidence(dev, given)
		shown[1].Body = "{}"
		key, err := l.id.LogVerifier()
		must(t, err)
		if v := verify(t, l.production([]Row{r}, append(shown, l.proofOf(m, dev))), key); v.Result != Failed {
			t.Errorf("%s: a body that should have stayed in the house is not told of", v.Result)
		}
	})
}

// A message whose approval cannot be shown is not produced as if there were none.
func TestAnApprovalThatIsGoneIsTold(t *testing.T) {
	w := furnish(t)
	approval := w.approve("li", nil)
	after := w.send("li", "after", nil)
	s, err := Produce(t.Context(), Source{Log: &brokenLog{Archive: w.a, fail: map[uint64]error{approval: archive.ErrDamaged}}, Places: w}, request(these(after)), newSink())
	must(t, err)
	if s.Excluded[ReasonEvidence] != 1 {
		t.Errorf("excluded %v", s.Excluded)
	}
}
