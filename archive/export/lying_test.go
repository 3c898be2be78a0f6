package export

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// Even an archive that holds all of its keys and lies is found out where a
// sender's signature or the order of the log speaks against it.
func TestALyingArchiveIsFoundOut(t *testing.T) {
	for name, tell := range map[string]func(l *lyingLog, anna, li crypto.Signer) fstest.MapFS{
		"the truth": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			who, dev := l.user("anna", "Anna", "true"), l.device("anna", anna)
			m := l.message(anna, anna, said("anna", "x"), nil)
			r := l.row(m, told{"anna": {Usr: "anna", UPN: "anna", Mail: "anna", Name: "Anna", Entry: who}})
			return l.production([]Row{r}, append(l.evidence(who, dev), l.proofOf(m, dev)))
		},
		"a signature that is none": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			dev := l.device("anna", anna)
			m := l.message(anna, anna, said("anna", "x"), withoutSignature)
			return l.production([]Row{l.row(m, nil)}, append(l.evidence(dev), l.proofOf(m, dev)))
		},
		"a message signed by another's device": func(l *lyingLog, anna, li crypto.Signer) fstest.MapFS {
			dev := l.device("li", li)
			m := l.message(li, li, said("anna", "x"), nil)
			return l.production([]Row{l.row(m, nil)}, append(l.evidence(dev), l.proofOf(m, dev)))
		},
		"a message for another archive": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			dev := l.device("anna", anna)
			p := said("anna", "x")
			p.Arc = "other"
			m := l.message(anna, anna, p, nil)
			return l.production([]Row{l.row(m, nil)}, append(l.evidence(dev), l.proofOf(m, dev)))
		},
		"a note that names another key": func(l *lyingLog, anna, li crypto.Signer) fstest.MapFS {
			dev := l.device("anna", anna)
			m := l.message(anna, li, said("anna", "x"), nil)
			return l.production([]Row{l.row(m, nil)}, append(l.evidence(dev), l.proofOf(m, dev)))
		},
		"a device that came later": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			m := l.message(anna, anna, said("anna", "x"), nil)
			dev := l.device("anna", anna)
			return l.production([]Row{l.row(m, nil)}, append(l.evidence(dev), l.proofOf(m, dev)))
		},
		"a device whose key did not prove itself": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			data, err := envelope.DeviceAdd{Arc: "other", Usr: "anna", Dev: "anna-phone", Key: anna}.Event()
			must(l.t, err)
			dev := l.add(proof.KindDirectory, `{"id":"d","time":"","verdict":{"op":"device.add","accepted":true,"assurance":"enrolled"}}`, data, nil)
			m := l.message(anna, anna, said("anna", "x"), nil)
			return l.production([]Row{l.row(m, nil)}, append(l.evidence(dev), l.proofOf(m, dev)))
		},
		"a name that came later": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			dev := l.device("anna", anna)
			m := l.message(anna, anna, said("anna", "x"), nil)
			who := l.user("anna", "Anna", "true")
			r := l.row(m, told{"anna": {Usr: "anna", UPN: "anna", Mail: "anna", Name: "Anna", Entry: who}})
			return l.production([]Row{r}, append(l.evidence(dev, who), l.proofOf(m, dev)))
		},
		"another's name": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			who, dev := l.user("li", "Li", "true"), l.device("anna", anna)
			m := l.message(anna, anna, said("anna", "x"), nil)
			r := l.row(m, told{"anna": {Usr: "anna", UPN: "li", Mail: "li", Name: "Li", Entry: who}})
			return l.production([]Row{r}, append(l.evidence(who, dev), l.proofOf(m, dev)))
		},
		"a name that was refused": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			who, dev := l.user("anna", "Anna", "false"), l.device("anna", anna)
			m := l.message(anna, anna, said("anna", "x"), nil)
			r := l.row(m, told{"anna": {Usr: "anna", UPN: "anna", Mail: "anna", Name: "Anna", Entry: who}})
			return l.production([]Row{r}, append(l.evidence(who, dev), l.proofOf(m, dev)))
		},
		"a leaf that says another seq": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			m := l.add(proof.KindRelay, `{"id":"r","kind":"relay.delivered","time":""}`, []byte("{}"), func(leaf *proof.Leaf) { leaf.Seq = 9 })
			r := l.row(m, nil)
			r.Seq = m
			return l.production([]Row{r}, []proofEntry{l.proofOf(m, 0)})
		},
		"a body length that is not the body's": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			m := l.add(proof.KindRelay, `{"id":"r","kind":"relay.delivered","time":""}`, []byte("{}"), func(leaf *proof.Leaf) { leaf.BodyLen = 512 })
			return l.production([]Row{l.row(m, nil)}, []proofEntry{l.proofOf(m, 0)})
		},
		"a note that was made up": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			m := l.add(proof.KindRelay, `{"id":"r","kind":"relay.delivered","time":""}`, []byte("{}"), func(leaf *proof.Leaf) { leaf.Note = proof.Hash{1} })
			return l.production([]Row{l.row(m, nil)}, []proofEntry{l.proofOf(m, 0)})
		},
		"one entry twice": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			m := l.add(proof.KindRelay, `{"id":"r","kind":"relay.delivered","time":""}`, []byte("{}"), nil)
			return l.production([]Row{l.row(m, nil), l.row(m, nil)}, []proofEntry{l.proofOf(m, 0), l.proofOf(m, 0)})
		},
		"two entries in the wrong order": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			a := l.add(proof.KindRelay, `{"id":"r","kind":"relay.delivered","time":""}`, []byte("{}"), nil)
			b := l.add(proof.KindRelay, `{"id":"r","kind":"relay.delivered","time":""}`, []byte("{}"), nil)
			return l.production([]Row{l.row(b, nil), l.row(a, nil)}, []proofEntry{l.proofOf(b, 0), l.proofOf(a, 0)})
		},
		"a withheld row twice": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			m := l.add(proof.KindQuarantine, `{"id":"r","kind":"env","time":"","code":"malformed"}`, []byte("{}"), nil)
			files := l.production([]Row{l.row(m, nil), l.row(m, nil)}, nil)
			resign(l.t, files, l.key, func(m *Manifest) {
				m.Counts = Counts{Matched: 2, Withheld: map[string]uint64{"quarantine": 2}}
			})
			return files
		},
		"a status from another message's attachment": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			return l.attached(anna, 99, 1000)
		},
		"a status from later than the production": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			return l.attached(anna, 0, 3)
		},
		"a status from its own attachment": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			return l.attached(anna, 0, 1000)
		},
		"an entry that is work product": func(l *lyingLog, anna, _ crypto.Signer) fstest.MapFS {
			m := l.add(proof.KindAccess, "", []byte("{}"), nil)
			return l.production([]Row{l.row(m, nil)}, []proofEntry{l.proofOf(m, 0)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLyingLog(t).begin(nil)
			files := tell(l, edKey(t), ecKey(t))
			key, err := l.id.LogVerifier()
			must(t, err)
			v := verify(t, files, key)
			if v.OK() != (name == "the truth" || name == "a status from its own attachment") {
				t.Errorf("%s: %v", v.Result, v.Findings)
			}
			if v.Result == Failed && !slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Seq != nil }) {
				t.Errorf("no entry is named: %v", v.Findings)
			}
		})
	}
}

// A checkpoint under the right key, over a tree whose genesis is of another log.
func TestTheCheckpointIsOfTheSameLog(t *testing.T) {
	l := newLyingLog(t).begin(nil)
	m := l.add(proof.KindRelay, `{"id":"r","kind":"relay.delivered","time":""}`, []byte("{}"), nil)
	skey, vkey, err := note.GenerateKey(rand.Reader, "holdfast.invalid/other/0011223344556677")
	must(t, err)
	l.signer, err = note.NewSigner(skey)
	must(t, err)
	files := l.production([]Row{l.row(m, nil)}, []proofEntry{l.proofOf(m, 0)})
	resign(t, files, l.key, func(m *Manifest) { m.Origin = l.signer.Name() })
	key, err := note.NewVerifier(vkey)
	must(t, err)
	if v := verify(t, files, key); v.Result != Failed {
		t.Errorf("%s: %v", v.Result, v.Findings)
	}
}

// An annex that is the archive's own, and of another request for the same rows.
func TestAnotherAnnexIsNotThisOne(t *testing.T) {
	w := furnish(t)
	req := request(these(6))
	req.At = w.a.Size()
	_, files := produce(t, w, req)
	req.Reason = "curiosity"
	_, other := produce(t, w, req)
	swapped := clone(files)
	for _, name := range []string{fileAnnex, fileAnnexSig, fileAnnexManifest} {
		swapped[name] = other[name]
	}
	if v := verify(t, swapped, w.logKey()); v.Result != Failed || !names(v, fileAnnex, 0, 0) || v.Annex != "failed" {
		t.Errorf("%s, annex %s: %v", v.Result, v.Annex, v.Findings)
	}
	for _, name := range []string{fileAnnex, fileAnnexSig, fileAnnexManifest} {
		delete(swapped, name)
	}
	if v := verify(t, swapped, w.logKey()); !v.OK() {
		t.Errorf("%s: %v", v.Result, v.Findings)
	}
}

// Produce signs with no key but the one that identity.json names.
func TestAForeignSignerIsRefused(t *testing.T) {
	w, other := furnish(t), newLyingLog(t)
	src := Source{Log: foreignSigner{w.a, other.key}, Places: w}
	sink := newSink()
	if _, err := Produce(context.Background(), src, request(all(w.a.Size())), sink); err == nil || len(sink.order) != 0 {
		t.Errorf("a foreign identity key signs: %v", err)
	}
}

type foreignSigner struct {
	*archive.Archive
	key crypto.Signer
}

func (f foreignSigner) IdentitySigner() crypto.Signer { return f.key }

// The first entry has to begin a log, and be given as what it is.
func TestTheGenesisEntryBeginsTheLog(t *testing.T) {
	for name, change := range map[string]func(leaf *proof.Leaf){
		"another prev": func(leaf *proof.Leaf) { leaf.Prev = proof.Hash{1} },
		"another kind": func(leaf *proof.Leaf) { leaf.Kind = proof.KindStart },
	} {
		l := newLyingLog(t).begin(change)
		key, err := l.id.LogVerifier()
		must(t, err)
		if v := verify(t, l.production(nil, nil), key); v.Result != Failed || !names(v, fileProofs, 0, 0) {
			t.Errorf("%s: %s: %v", name, v.Result, v.Findings)
		}
	}
	l := newLyingLog(t).begin(nil)
	key, err := l.id.LogVerifier()
	must(t, err)
	files := l.production(nil, nil)
	files[fileProofs].Data = bytes.Replace(files[fileProofs].Data, []byte(`"as":"genesis"`), []byte(`"as":"record"`), 1)
	resign(t, files, l.key, nil)
	if v := verify(t, files, key); v.Result != Failed {
		t.Errorf("given as a record: %s: %v", v.Result, v.Findings)
	}
}

// A signature by the right key under a header that names another.
func TestTheSignatureNamesItsKey(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	payload := []byte("{}\n")
	honest, err := signDetached(typManifest, key, payload)
	must(t, err)
	kid, err := jws.Thumbprint(key.Public())
	must(t, err)
	public := key.Public().(ed25519.PublicKey)
	if err := verifyDetached(typManifest, public, honest, payload); err != nil {
		t.Error(err)
	}
	header, _, _ := bytes.Cut(honest, []byte{'.'})
	text, err := jws.DecodeBytes(header)
	must(t, err)
	other := jws.EncodeB64(bytes.Replace(text, []byte(kid), []byte(jws.EncodeB64(make([]byte, 32))), 1))
	sig := ed25519.Sign(key, []byte(other+"."+jws.EncodeB64(payload)))
	if err := verifyDetached(typManifest, public, []byte(other+".."+jws.EncodeB64(sig)+"\n"), payload); err == nil {
		t.Error("a header that names another key is accepted")
	}
	for _, odd := range []string{"", "..", "a..b", string(honest[:len(honest)-1]), string(honest) + "\n", strings.Replace(string(honest), "..", ".e30K.", 1)} {
		if err := verifyDetached(typManifest, public, []byte(odd), payload); err == nil {
			t.Errorf("%q is accepted", odd)
		}
	}
}
