package export

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"holdfast/archive/proof"
)

// names reports whether a finding of v names the file, and the seq or line if given.
func names(v *Verdict, file string, seq, line uint64) bool {
	return slices.ContainsFunc(v.Findings, func(f Finding) bool {
		return f.File == file && (seq == 0 || f.Seq != nil && *f.Seq == seq || line != 0 && f.Line == line)
	})
}

// A thousand seeded single-byte changes, each in a copy: every one is named.
func TestEveryByteCounts(t *testing.T) {
	w := newWard(t)
	w.user("anna", "anna@ward.test", "Anna Lund")
	w.addDevice("anna", edKey(t), w.enrol)
	for i := range 2 {
		w.send("anna", fmt.Sprintf("message %d", i), nil)
	}
	_, files := produce(t, w, request(all(w.a.Size())))
	whole := Names()
	var rowSeq []uint64 // of each byte of records.jsonl
	for i, line := range bytes.SplitAfter(files[fileRecords].Data, []byte{'\n'}) {
		for range line {
			rowSeq = append(rowSeq, uint64(i)+1)
		}
	}
	key, rnd := w.logKey(), rand.New(rand.NewPCG(1, 2))
	missed := 0
	for i := range byteChanges {
		name := whole[i%len(whole)]
		f := *files[name]
		f.Data = slices.Clone(f.Data)
		at := rnd.IntN(len(f.Data))
		f.Data[at] ^= byte(1 + rnd.IntN(255))
		changed := fstest.MapFS{}
		for n, g := range files {
			changed[n] = g
		}
		changed[name] = &f
		v, err := Verify(context.Background(), changed, VerifyKeys{Log: key}, nil)
		must(t, err)
		var seq uint64
		if name == fileRecords {
			seq = rowSeq[at]
		}
		ok := names(v, name, seq, seq)
		if strings.HasSuffix(name, ".jws") {
			ok = names(v, strings.TrimSuffix(name, ".jws")+".json", 0, 0)
		}
		if v.Result != Failed || !ok {
			missed++
			t.Errorf("byte %d of %s, seq %d: %s, %v", at, name, seq, v.Result, v.Findings)
		}
	}
	if missed > 0 {
		t.Errorf("%d of %d changes missed", missed, byteChanges)
	}
}

// lines edits a file line by line.
func lines(f *fstest.MapFile, edit func(lines []string) []string) {
	all := strings.SplitAfter(string(f.Data), "\n")
	f.Data = []byte(strings.Join(edit(all[:len(all)-1]), ""))
}

func TestWhatWasDoneIsNamed(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	key := w.logKey()
	for name, tt := range map[string]struct {
		change  func(files fstest.MapFS)
		result  Result
		file    string
		seq     uint64
		problem Problem
	}{
		"a row is gone": {func(f fstest.MapFS) {
			lines(f[fileRecords], func(l []string) []string { return slices.Delete(l, 5, 6) })
		}, Failed, fileRecords, 6, Missing},
		"three rows are gone": {func(f fstest.MapFS) {
			lines(f[fileRecords], func(l []string) []string { return slices.Delete(l, 4, 7) })
		}, Failed, fileRecords, 7, Missing},
		"the last row is gone": {func(f fstest.MapFS) {
			lines(f[fileRecords], func(l []string) []string { return l[:len(l)-1] })
		}, Failed, fileRecords, 17, Missing},
		"a row is there twice": {func(f fstest.MapFS) {
			lines(f[fileRecords], func(l []string) []string { return slices.Insert(l, 6, l[5]) })
		}, Failed, fileRecords, 6, Added},
		"two rows are swapped": {func(f fstest.MapFS) {
			lines(f[fileRecords], func(l []string) []string { l[5], l[6] = l[6], l[5]; return l })
		}, Failed, fileRecords, 6, Added},
		"a row is made up": {func(f fstest.MapFS) {
			lines(f[fileRecords], func(l []string) []string { return append(l, strings.Replace(l[5], `"seq":6`, `"seq":99`, 1)) })
		}, Failed, fileRecords, 99, Added},
		"a row says another seq": {func(f fstest.MapFS) {
			lines(f[fileRecords], func(l []string) []string { l[5] = strings.Replace(l[5], `"seq":6`, `"seq":60`, 1); return l })
		}, Failed, fileRecords, 6, Changed},
		"the quarantined row is gone": {func(f fstest.MapFS) {
			lines(f[fileRecords], func(l []string) []string { return slices.Delete(l, 9, 10) })
		}, Failed, fileRecords, 0, Changed},
		"a proof is gone": {func(f fstest.MapFS) {
			lines(f[fileProofs], func(l []string) []string { return slices.DeleteFunc(l, isRecord(6)) })
		}, Failed, fileRecords, 6, Added},
		"the proofs are cut short": {func(f fstest.MapFS) { f[fileProofs].Data = f[fileProofs].Data[:len(f[fileProofs].Data)-100] }, Failed, fileProofs, 0, Changed},
		"the records are cut short": {func(f fstest.MapFS) {
			f[fileRecords].Data = f[fileRecords].Data[:len(f[fileRecords].Data)-100]
		}, Failed, fileRecords, 17, Changed},
		"records.jsonl is gone":         {func(f fstest.MapFS) { delete(f, fileRecords) }, Failed, fileRecords, 0, Missing},
		"proofs.json is gone":           {func(f fstest.MapFS) { delete(f, fileProofs) }, Failed, fileProofs, 0, Missing},
		"custody.csv is gone":           {func(f fstest.MapFS) { delete(f, fileCustody) }, Failed, fileCustody, 0, Missing},
		"SHA256SUMS is gone":            {func(f fstest.MapFS) { delete(f, fileSums) }, Failed, fileSums, 0, Missing},
		"manifest.json is gone":         {func(f fstest.MapFS) { delete(f, fileManifest) }, NotProduction, fileManifest, 0, Missing},
		"manifest.jws is gone":          {func(f fstest.MapFS) { delete(f, fileSignature) }, NotProduction, fileSignature, 0, Missing},
		"the signature is empty":        {func(f fstest.MapFS) { f[fileSignature].Data = nil }, NotProduction, fileSignature, 0, Missing},
		"annex.json is gone":            {func(f fstest.MapFS) { delete(f, fileAnnex) }, Failed, fileAnnex, 0, Missing},
		"the annex's signature is gone": {func(f fstest.MapFS) { delete(f, fileAnnexSig) }, Failed, fileAnnexSig, 0, Missing},
		"the annex's manifest is gone":  {func(f fstest.MapFS) { delete(f, fileAnnexManifest) }, Failed, fileAnnexManifest, 0, Missing},
		"a file is added":               {func(f fstest.MapFS) { f["notes.txt"] = &fstest.MapFile{} }, Failed, "notes.txt", 0, Added},
		"a folder is added":             {func(f fstest.MapFS) { f["more/notes.txt"] = &fstest.MapFile{} }, Failed, "more/", 0, Added},
		"a file is added to the annex":  {func(f fstest.MapFS) { f["annex/x\x1b[2J"] = &fstest.MapFile{} }, Failed, `annex/x\u001b[2J`, 0, Added},
		"records.jsonl is no file":      {func(f fstest.MapFS) { f[fileRecords].Mode = fs.ModeNamedPipe }, Failed, fileRecords, 0, Changed},
		"records.jsonl goes on for ever": {func(f fstest.MapFS) {
			f[fileRecords].Data = append(f[fileRecords].Data, bytes.Repeat([]byte{'x'}, MaxLine+10)...)
		}, Failed, fileRecords, 0, Changed},
		"a proof's line is too long": {func(f fstest.MapFS) {
			f[fileProofs].Data = append([]byte(proofsOpen), bytes.Repeat([]byte{' '}, MaxLine+10)...)
		}, Failed, fileProofs, 0, Changed},
	} {
		t.Run(name, func(t *testing.T) {
			changed := clone(files)
			tt.change(changed)
			v := verify(t, changed, key)
			found := slices.ContainsFunc(v.Findings, func(f Finding) bool {
				return f.File == tt.file && f.Problem == tt.problem && (tt.seq == 0 || f.Seq != nil && *f.Seq == tt.seq)
			})
			if v.Result != tt.result || !found {
				t.Errorf("%s: %v", v.Result, v.Findings)
			}
		})
	}
}

func isRecord(seq uint64) func(string) bool {
	return func(l string) bool {
		return strings.HasPrefix(l, fmt.Sprintf(`{"as":"record","seq":%d,`, seq))
	}
}

// resign makes the list and the manifest fit the changed files again and signs
// it: what somebody can do who holds the identity key, but not the past.
func resign(t testing.TB, files fstest.MapFS, key crypto.Signer, change func(m *Manifest)) {
	t.Helper()
	relist(t, files, key, nil, change)
}

func relist(t testing.TB, files fstest.MapFS, key crypto.Signer, edit func(f []File) []File, change func(m *Manifest)) {
	t.Helper()
	m, err := parseManifest(files[fileManifest].Data)
	must(t, err)
	fit := func(f *File) {
		if files[f.Path] == nil {
			return
		}
		sum := sha256.Sum256(files[f.Path].Data)
		f.Size, f.SHA256 = uint64(len(files[f.Path].Data)), hex.EncodeToString(sum[:])
	}
	var rendered []File
	for line := range strings.Lines(string(files[fileList].Data)) {
		var f File
		must(t, json.Unmarshal([]byte(line), &f))
		fit(&f)
		rendered = append(rendered, f)
	}
	if edit != nil {
		rendered = edit(rendered)
	}
	var list []byte
	m.Rendered.Files, m.Rendered.Bytes = uint64(len(rendered)), 0
	for _, f := range rendered {
		b, err := marshalLine(f)
		must(t, err)
		list = append(append(list, b...), '\n')
		m.Rendered.Bytes += f.Size
	}
	files[fileList] = &fstest.MapFile{Data: list}
	for i := range m.Files {
		f := &m.Files[i]
		if f.Path == fileSums {
			files[fileSums] = &fstest.MapFile{Data: append(sums(rendered), sums(m.Files[:len(m.Files)-1])...)}
		}
		fit(f)
	}
	for _, name := range []string{fileAnnex, fileAnnexSig, fileAnnexManifest} {
		delete(files, name)
	}
	if change != nil {
		change(m)
	}
	text, err := marshalManifest(m)
	must(t, err)
	sig, err := signDetached(typManifest, key, text)
	must(t, err)
	files[fileManifest], files[fileSignature] = &fstest.MapFile{Data: text}, &fstest.MapFile{Data: sig}
}

// editRow changes the row of one seq and writes it as Produce would.
func editRow(t testing.TB, files fstest.MapFS, seq uint64, edit func(r *Row)) {
	t.Helper()
	lines(files[fileRecords], func(all []string) []string {
		for i, l := range all {
			var r Row
			must(t, json.Unmarshal([]byte(l), &r))
			if r.Seq == seq {
				edit(&r)
				b, err := r.line()
				must(t, err)
				all[i] = string(b) + "\n"
			}
		}
		return all
	})
}

func editProof(t testing.TB, files fstest.MapFS, as string, seq uint64, edit func(e *proofEntry)) {
	t.Helper()
	lines(files[fileProofs], func(all []string) []string {
		for i, l := range all {
			e, err := parseProofEntry([]byte(strings.TrimSuffix(strings.TrimSpace(l), ",")))
			if err != nil || e.As != as || e.Seq != seq {
				continue
			}
			comma := strings.HasSuffix(l, ",\n")
			edit(&e)
			b, err := marshalLine(e)
			must(t, err)
			all[i] = string(b) + "\n"
			if comma {
				all[i] = string(b) + ",\n"
			}
		}
		return all
	})
}

// What the holder of the identity key can forge, the log refutes.
func TestASignedForgeryIsRefuted(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	row := map[uint64]Row{}
	for _, r := range rowsOf(t, files[fileRecords].Data) {
		row[r.Seq] = r
	}
	// Seqs of furnish: 2, 3, 12 users, 4, 5 devices, 6 to 8 messages, 13 the edit.
	for name, tt := range map[string]struct {
		row  uint64
		edit func(r *Row)
	}{
		"text":                   {6, func(r *Row) { r.Text = "Bed 5" }},
		"sender":                 {6, func(r *Row) { r.From.Usr = "li" }},
		"sender's name":          {6, func(r *Row) { r.From.Name = "Anna Berg" }},
		"the later name":         {6, func(r *Row) { *r.From = *row[13].From }},
		"another person's entry": {6, func(r *Row) { r.From.Entry = row[6].To[0].Entry }},
		"a recipient more":       {6, func(r *Row) { r.To = append(r.To, Person{Usr: "chief"}) }},
		"a name from nowhere":    {6, func(r *Row) { r.To[1].Name = "Chief" }},
		"received":               {6, func(r *Row) { r.Received = "2020-01-01T00:00:00.000Z" }},
		"sent":                   {6, func(r *Row) { r.Sent = "2020-01-01T00:00:00.000Z" }},
		"relayed":                {6, func(r *Row) { r.Relayed = "2020-01-01T00:00:00.000Z" }},
		"assurance":              {7, func(r *Row) { r.Assurance = "enrolled" }},
		"flags":                  {13, func(r *Row) { r.Flags = nil }},
		"attachment's status":    {8, func(r *Row) { r.Attachments[1].Status, r.Attachments[1].Entry = "blob_missing", 0 }},
		"attachment's entry":     {8, func(r *Row) { r.Attachments[1].Entry = 2 }},
		"prio":                   {7, func(r *Row) { r.Prio = "routine" }},
		"patient":                {7, func(r *Row) { r.Subject.MRN = "0043" }},
		"JWS of another":         {6, func(r *Row) { r.JWS = row[8].JWS }},
		"whole row of another":   {6, func(r *Row) { *r = row[8]; r.Seq = 6 }},
		"kind":                   {6, func(r *Row) { r.Kind, r.Body, r.JWS = proof.KindRelay, r.JWS, "" }},
		"withheld": {6, func(r *Row) {
			*r = Row{Seq: 6, Kind: proof.KindQuarantine, Received: r.Received, Withheld: ReasonQuarantined}
		}},
		"quarantined with text": {10, func(r *Row) { r.Text = "smuggled" }},
		"relay's event":         {11, func(r *Row) { r.Body = `{"mid":"y"}` }},
	} {
		t.Run("row: "+name, func(t *testing.T) {
			forged := clone(files)
			editRow(t, forged, tt.row, tt.edit)
			resign(t, forged, w.a.IdentitySigner(), nil)
			expectRefuted(t, verify(t, forged, w.logKey()), tt.row)
		})
	}
	other := map[string]proofEntry{}
	editProof(t, files, asRecord, 8, func(e *proofEntry) { other["record"] = *e })
	editProof(t, files, asEvidence, 5, func(e *proofEntry) { other["device"] = *e })
	for name, tt := range map[string]struct {
		as   string
		seq  uint64
		edit func(e *proofEntry)
	}{
		"leaf of another":     {asRecord, 6, func(e *proofEntry) { e.Leaf = other["record"].Leaf }},
		"all of another":      {asRecord, 6, func(e *proofEntry) { s := e.Seq; *e = other["record"]; e.Seq = s }},
		"path of another":     {asRecord, 6, func(e *proofEntry) { e.Path = other["record"].Path }},
		"path cut":            {asRecord, 6, func(e *proofEntry) { e.Path = e.Path[1:] }},
		"path too long":       {asRecord, 6, func(e *proofEntry) { e.Path = slices.Repeat(e.Path[:1], 64) }},
		"random of another":   {asRecord, 6, func(e *proofEntry) { e.Random = other["record"].Random }},
		"note":                {asRecord, 7, func(e *proofEntry) { e.Note = strings.Replace(e.Note, "relay-asserted", "enrolled", 1) }},
		"device of another":   {asRecord, 6, func(e *proofEntry) { e.Device = 5 }},
		"no device":           {asRecord, 6, func(e *proofEntry) { e.Device = 0 }},
		"a device too much":   {asRecord, 11, func(e *proofEntry) { e.Device = 5 }},
		"a body too much":     {asRecord, 6, func(e *proofEntry) { e.Body = "{}" }},
		"evidence changed":    {asEvidence, 2, func(e *proofEntry) { e.Body = strings.Replace(e.Body, "Lund", "Berg", 1) }},
		"evidence of another": {asEvidence, 4, func(e *proofEntry) { *e = other["device"] }},
		"evidence renamed":    {asEvidence, 4, func(e *proofEntry) { e.As = asRecord }},
		"neither":             {asEvidence, 4, func(e *proofEntry) { e.As = "hearsay" }},
	} {
		t.Run("proof: "+name, func(t *testing.T) {
			forged := clone(files)
			editProof(t, forged, tt.as, tt.seq, tt.edit)
			resign(t, forged, w.a.IdentitySigner(), nil)
			expectRefuted(t, verify(t, forged, w.logKey()), 0)
		})
	}
	for name, change := range map[string]func(m *Manifest){
		"more produced":        func(m *Manifest) { m.Counts.Produced++; m.Counts.Matched++ },
		"more withheld":        func(m *Manifest) { m.Counts.Withheld["quarantine"] = 0; m.Counts.Matched-- },
		"an earlier at":        func(m *Manifest) { m.At, m.Last = 10, 9 },
		"a later first":        func(m *Manifest) { m.First = 7 },
		"at past the log":      func(m *Manifest) { m.At = 1000 },
		"another origin":       func(m *Manifest) { m.Origin = "holdfast.invalid/other/00" },
		"another checkpoint":   func(m *Manifest) { m.Checkpoint += "\n" },
		"seqs of the proofs":   func(m *Manifest) { m.Files[0].Seqs++ },
		"files rendered":       func(m *Manifest) { m.Rendered.Files++ },
		"bytes rendered":       func(m *Manifest) { m.Rendered.Bytes++ },
		"nothing rendered":     func(m *Manifest) { m.Rendered = nil },
		"another format":       func(m *Manifest) { m.Format = "fhir" },
		"a path out":           func(m *Manifest) { m.Files[2].Path = "../../etc/passwd" },
		"an absolute path":     func(m *Manifest) { m.Files[2].Path = "/etc/passwd" },
		"a file twice":         func(m *Manifest) { m.Files[2] = m.Files[1] },
		"a file less":          func(m *Manifest) { m.Files = m.Files[:3] },
		"a huge size":          func(m *Manifest) { m.Files[0].Size = 1 << 52 },
		"another version":      func(m *Manifest) { m.V = 3 },
		"an older version":     func(m *Manifest) { m.V = 1 },
		"no time":              func(m *Manifest) { m.Created = "yesterday" },
		"counts that overflow": func(m *Manifest) { m.Counts.Withheld["quarantine"] = 1<<53 - 1 },
	} {
		t.Run("manifest: "+name, func(t *testing.T) {
			forged := clone(files)
			resign(t, forged, w.a.IdentitySigner(), change)
			expectRefuted(t, verify(t, forged, w.logKey()), 0)
		})
	}
	t.Run("nothing", func(t *testing.T) {
		same := clone(files)
		resign(t, same, w.a.IdentitySigner(), nil)
		if v := verify(t, same, w.logKey()); !v.OK() {
			t.Errorf("the forger's tools alone are refuted: %v", v.Findings)
		}
	})
	for name, edit := range map[string]func(f []File) []File{
		"more seqs":      func(f []File) []File { f[0].Seqs++; return f },
		"another size":   func(f []File) []File { f[0].Size++; return f },
		"a path out":     func(f []File) []File { f[0].Path = "../../etc/passwd"; return f },
		"its own proofs": func(f []File) []File { f[0].Path = fileProofs; return f },
		"the annex":      func(f []File) []File { f[0].Path = "annex/x.jsonl"; return f },
		"a file twice":   func(f []File) []File { return append(f, f[0]) },
		"nothing":        func([]File) []File { return nil },
		"a file more":    func(f []File) []File { return append(f, File{Path: "more.jsonl", SHA256: f[0].SHA256}) },
	} {
		t.Run("list: "+name, func(t *testing.T) {
			forged := clone(files)
			relist(t, forged, w.a.IdentitySigner(), edit, nil)
			expectRefuted(t, verify(t, forged, w.logKey()), 0)
		})
	}
	t.Run("checksums of other files", func(t *testing.T) {
		forged := clone(files)
		resign(t, forged, w.a.IdentitySigner(), nil)
		text := bytes.Replace(forged[fileSums].Data, []byte("records.jsonl"), []byte("records.JSONL"), 1)
		forged[fileSums].Data = text
		resign(t, forged, w.a.IdentitySigner(), func(m *Manifest) {
			sum := sha256.Sum256(text)
			m.Files[len(m.Files)-1].SHA256 = hex.EncodeToString(sum[:])
		})
		forged[fileSums].Data = text
		if v := verify(t, forged, w.logKey()); v.Result != Failed || !names(v, fileSums, 0, 0) || len(v.Findings) != 1 {
			t.Errorf("%s: %v", v.Result, v.Findings)
		}
	})
	t.Run("another key", func(t *testing.T) {
		forged := clone(files)
		resign(t, forged, edKey(t), nil)
		if v := verify(t, forged, w.logKey()); v.OK() || !names(v, fileManifest, 0, 0) {
			t.Errorf("%s: %v", v.Result, v.Findings)
		}
	})
}

func expectRefuted(t *testing.T, v *Verdict, seq uint64) {
	t.Helper()
	if v.Result != Failed || seq != 0 && !names(v, fileRecords, seq, 0) {
		t.Errorf("%s: %v", v.Result, v.Findings)
	}
}

// A log made anew, with an identity of its own, is consistent and nothing more.
func TestAnotherLogIsOnlySelfConsistent(t *testing.T) {
	w, forger := furnish(t), furnish(t)
	_, files := produce(t, forger, request(all(forger.a.Size())))
	if v := verify(t, files, nil); v.Result != SelfConsistent {
		t.Errorf("%s: %v", v.Result, v.Findings)
	}
	if v := verify(t, files, w.logKey()); v.Result != Failed || !names(v, fileProofs, 0, 0) {
		t.Errorf("%s: %v", v.Result, v.Findings)
	}
}

func TestSpecialFilesAreNotOpened(t *testing.T) {
	w := furnish(t)
	_, files := produce(t, w, request(all(w.a.Size())))
	dir := t.TempDir()
	must(t, os.CopyFS(dir, files))
	must(t, os.Remove(filepath.Join(dir, fileCustody)))
	must(t, syscall.Mkfifo(filepath.Join(dir, fileCustody), 0o600))
	must(t, os.Rename(filepath.Join(dir, fileSums), filepath.Join(dir, "..", "sums")))
	must(t, os.Symlink("../sums", filepath.Join(dir, fileSums)))
	v, err := Verify(t.Context(), os.DirFS(dir), VerifyKeys{Log: w.logKey()}, nil)
	must(t, err)
	if v.OK() || !names(v, fileCustody, 0, 0) || !names(v, fileSums, 0, 0) {
		t.Errorf("%s: %v", v.Result, v.Findings)
	}
}
