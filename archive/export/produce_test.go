package export

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/jws"
)

func rowsOf(t *testing.T, b []byte) []Row {
	t.Helper()
	var rows []Row
	for line := range strings.Lines(string(b)) {
		var r Row
		must(t, json.Unmarshal([]byte(line), &r))
		rows = append(rows, r)
	}
	return rows
}

func TestAProductionIsVerified(t *testing.T) {
	w := furnish(t)
	sum, files := produce(t, w, request(all(w.a.Size())))
	v := verify(t, files, w.logKey())
	if !v.OK() || len(v.Findings) != 0 {
		t.Fatalf("%s: %v", v.Result, v.Findings)
	}
	// 17 entries without genesis: all but the access entry have a row, all rows but the quarantined one their data.
	if v.Records != 16 || v.Verified != 15 || v.Withheld != 1 || v.Excluded != 1 || v.Annex != "verified" {
		t.Errorf("records %d, verified %d, withheld %d, excluded %d, annex %s", v.Records, v.Verified, v.Withheld, v.Excluded, v.Annex)
	}
	if v.Assurance["enrolled"] != 2 || v.Assurance["relay-asserted"] != 4 {
		t.Errorf("assurance: %v", v.Assurance)
	}
	c := sum.Manifest.Counts
	if c.Matched != 17 || c.Produced != 15 || c.Withheld["quarantine"] != 1 || c.Withheld["access"] != 1 || c.Quarantined != 1 {
		t.Errorf("counts: %+v", c)
	}
	outward := clone(files)
	for _, name := range []string{fileAnnex, fileAnnexSig, fileAnnexManifest} {
		delete(outward, name)
	}
	if v := verify(t, outward, w.logKey()); !v.OK() || v.Annex != "absent" {
		t.Errorf("without its annex: %s, %s, %v", v.Result, v.Annex, v.Findings)
	}
	if v := verify(t, files, nil); v.Result != SelfConsistent || v.OK() || len(v.Findings) != 0 {
		t.Errorf("without a key: %s, %v", v.Result, v.Findings)
	}
	if v := verify(t, files, newWard(t).logKey()); v.Result != Failed || len(v.Findings) != 1 {
		t.Errorf("with another log's key: %s, %v", v.Result, v.Findings)
	}
}

func TestTheOutwardPartHoldsNoWorkProduct(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	for name, f := range files {
		if strings.HasPrefix(name, "annex/") {
			continue
		}
		for _, secret := range []string{"2026-17", "audit of ward 7", "somebody else's matter", "not to be shown"} {
			if bytes.Contains(f.Data, []byte(secret)) {
				t.Errorf("%s holds %q", name, secret)
			}
		}
	}
	var annex struct {
		Matter, Query, Parsed, Reason, Principal string
		Exclusions                               []Exclusion
	}
	must(t, json.Unmarshal(files[fileAnnex].Data, &annex))
	if annex.Matter != "2026-17" || annex.Query != "wound" || annex.Parsed != `"wound"` || annex.Principal != "mjones" {
		t.Errorf("annex: %+v", annex)
	}
	if len(annex.Exclusions) != 2 || annex.Exclusions[0].Reason != ReasonQuarantined || annex.Exclusions[1] != (Exclusion{Seq: annex.Exclusions[1].Seq, Kind: proof.KindAccess, Reason: ReasonInternal}) {
		t.Errorf("exclusions: %+v", annex.Exclusions)
	}
}

func TestRowsSayWhatHeldThen(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	rows := rowsOf(t, files[fileRecords].Data)
	byText := map[string]Row{}
	for _, r := range rows {
		byText[r.Text] = r
	}
	before, after := byText["Bed 4 needs a second line"], byText["picture of the other wound"]
	if before.From.Name != "Anna Lund" || after.From.Name != "Anna Berg" || before.From.Entry >= after.From.Entry {
		t.Errorf("from: %+v, later %+v", before.From, after.From)
	}
	if before.To[0].Name != "李小龍" || before.To[1] != (Person{Usr: "nobody"}) {
		t.Errorf("to: %+v", before.To)
	}
	if before.Assurance != "enrolled" || after.Assurance != "relay-asserted" || !slices.Equal(after.Flags, []string{"edit-by-other"}) {
		t.Errorf("assurance %s, %s, flags %v", before.Assurance, after.Assurance, after.Flags)
	}
	pic := byText["picture of the wound"]
	if after.Ref.Mid != pic.Mid || after.Ref.Dev != pic.Dev || after.Typ != "edit" {
		t.Errorf("ref: %+v", after.Ref)
	}
	if a := pic.Attachments; a[0].Status != "stored" || a[0].Entry != 0 || a[1].Status != "stored" || a[1].Entry == 0 || a[1].Name != "late.jpg" {
		t.Errorf("attachments: %+v", a)
	}
	if r := byText["好的，馬上來"]; r.Prio != "stat" || *r.Subject != (Subject{"0042", "e9", 1951}) || r.Conversation.Name != "Ward 7" || r.Sent == "" || r.Relayed != relayTime {
		t.Errorf("row: %+v", r)
	}
	if evil := byText["=1+2\u202e evil \u0007 <b>"]; evil.Seq == 0 {
		t.Error("the escaped text does not read back")
	}
	for _, r := range "\u202e\u0007" {
		if bytes.ContainsRune(files[fileRecords].Data, r) {
			t.Errorf("%U stands in records.jsonl unescaped", r)
		}
	}
	if c, err := jws.Parse([]byte(pic.JWS), "amx+jws"); err != nil || c.Verify(w.keys["anna"].Public()) != nil {
		t.Errorf("the row's JWS: %v", err)
	}
	seen := map[proof.Kind]int{}
	for _, r := range rows {
		seen[r.Kind]++
		if r.Kind == proof.KindQuarantine && (r.Withheld != ReasonQuarantined || r.Code != "bad_signature" || r.Text+r.Body+r.JWS != "") {
			t.Errorf("quarantined row: %+v", r)
		}
	}
	if seen[proof.KindRedelivery] != 1 || seen[proof.KindDirectory] != 5 || seen[proof.KindRelay] != 1 || seen[proof.KindBlob] != 1 || seen[proof.KindEpoch] != 1 {
		t.Errorf("kinds: %v", seen)
	}
}

// One seq withheld leaves nothing derived from its original: not even its leaf.
func TestWithheldEntriesHaveNoProof(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	var doc struct {
		V          int
		Checkpoint string
		Genesis    proofEntry
		Entries    []proofEntry
	}
	must(t, json.Unmarshal(files[fileProofs].Data, &doc))
	rows := map[uint64]Row{}
	for _, r := range rowsOf(t, files[fileRecords].Data) {
		rows[r.Seq] = r
	}
	evidence, records := map[uint64]int{}, 0
	for _, e := range doc.Entries {
		if e.As == asEvidence {
			evidence[e.Seq]++
			continue
		}
		records++
		if rows[e.Seq].Withheld != "" || rows[e.Seq].Seq == 0 {
			t.Errorf("a proof of seq %d, which is withheld", e.Seq)
		}
	}
	for seq, n := range evidence {
		if n != 1 {
			t.Errorf("entry %d is there %d times as evidence", seq, n)
		}
	}
	if doc.V != 2 || doc.Genesis.Seq != 0 || records != 15 || len(evidence) != 6 {
		t.Errorf("%d records, %d evidence", records, len(evidence))
	}
}

func TestRepeatable(t *testing.T) {
	w := furnish(t)
	at := w.a.Size()
	req := request(all(at))
	req.At = at
	_, first := produce(t, w, req)
	w.user("anna", "else@ward.test", "Somebody Else")
	w.blob(8, attachment("late.jpg").BID, archive.BlobMissing)
	w.send("anna", "later", nil)
	_, second := produce(t, w, req)
	if !bytes.Equal(first[fileRecords].Data, second[fileRecords].Data) {
		t.Error("records.jsonl differs on a later day")
	}
	if v := verify(t, second, w.logKey()); !v.OK() || v.LogSize <= at {
		t.Errorf("the second: %s, %v", v.Result, v.Findings)
	}
}

func TestFilesOfAProduction(t *testing.T) {
	w := furnish(t)
	sink := newSink()
	_, err := Produce(t.Context(), w.source(), request(all(w.a.Size())), sink)
	must(t, err)
	if !slices.Equal(sink.order, Names()) || sink.order[len(sink.order)-1] != "manifest.json" {
		t.Errorf("order: %v", sink.order)
	}
	dir := t.TempDir()
	must(t, os.CopyFS(dir, sink.files))
	check := exec.CommandContext(t.Context(), "sha256sum", "--strict", "-c", "SHA256SUMS")
	check.Dir = dir
	out, err := check.CombinedOutput()
	if err != nil || strings.Count(string(out), ": OK\n") != 5 {
		t.Errorf("sha256sum: %v: %s", err, out)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(sink.files[fileCustody].Data), byteOrderMark))).ReadAll()
	must(t, err)
	if len(rows) != 6 || rows[2][1] != "mjones" || rows[2][3] != "proofs.json" || rows[3][3] != "files.jsonl, which lists 1 files" || !strings.Contains(string(out), "custody.csv: OK") {
		t.Errorf("custody: %v", rows)
	}
	// A JOSE library that knows nothing of us verifies the manifest as it lies there.
	detached := strings.TrimSpace(string(sink.files[fileSignature].Data))
	obj, err := jose.ParseDetached(detached, sink.files[fileManifest].Data, []jose.SignatureAlgorithm{jose.EdDSA})
	must(t, err)
	key, err := w.a.Identity().Key()
	must(t, err)
	if err := obj.DetachedVerify(sink.files[fileManifest].Data, key); err != nil {
		t.Errorf("go-jose: %v", err)
	}
}

func TestZips(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	for _, folder := range []string{"", "production-1/"} {
		var buf bytes.Buffer
		z := zip.NewWriter(&buf)
		for name, f := range files {
			dst, err := z.Create(folder + name)
			must(t, err)
			_, err = dst.Write(f.Data)
			must(t, err)
		}
		must(t, z.Close())
		r, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
		must(t, err)
		v, err := Verify(t.Context(), r, VerifyKeys{Log: w.logKey()}, nil)
		must(t, err)
		if !v.OK() {
			t.Errorf("zip with %q: %s: %v", folder, v.Result, v.Findings)
		}
	}
}

// Two files of one name: which of them a reader gets is a matter of chance.
func TestAZipWithTwoFilesOfOneName(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, name := range append(Names(), fileCustody) {
		dst, err := z.Create(name)
		must(t, err)
		_, err = dst.Write(files[name].Data)
		must(t, err)
	}
	must(t, z.Close())
	r, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	must(t, err)
	v, err := Verify(t.Context(), r, VerifyKeys{Log: w.logKey()}, nil)
	must(t, err)
	if v.Result != Failed {
		t.Errorf("%s: %v", v.Result, v.Findings)
	}
}

func TestNothingProduced(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(these()))
	if v := verify(t, files, w.logKey()); !v.OK() || v.Records != 0 {
		t.Errorf("an empty production: %s, %v", v.Result, v.Findings)
	}
	if !json.Valid(files[fileProofs].Data) || !json.Valid(files[fileAnnex].Data) {
		t.Error("an empty production's JSON is not JSON")
	}
}

func TestTextIsStable(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	files["records.jsonl"].Data[40] ^= 1
	v := verify(t, files, w.logKey())
	var a, b bytes.Buffer
	must(t, v.WriteText(&a))
	must(t, verify(t, files, w.logKey()).WriteText(&b))
	if a.String() != b.String() || !strings.HasPrefix(a.String(), "FAILED\nlog         holdfast.invalid/ward.test/") {
		t.Errorf("text: %s", a.String())
	}
	for _, want := range []string{"finding     records.jsonl line 1 seq 1: changed: ", "not proven  who held a device's key"} {
		if !strings.Contains(a.String(), want) {
			t.Errorf("no %q in %s", want, a.String())
		}
	}
}

func TestVerifyNeedsNoArchive(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	key, err := w.a.Identity().LogVerifier()
	must(t, err)
	dir := t.TempDir()
	must(t, os.CopyFS(filepath.Join(dir, "p"), files))
	must(t, w.a.Close())
	v, err := Verify(t.Context(), os.DirFS(filepath.Join(dir, "p")), VerifyKeys{Log: key}, nil)
	must(t, err)
	if !v.OK() {
		t.Errorf("%s: %v", v.Result, fmt.Sprint(v.Findings))
	}
}
