//go:build fixture

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// TestMakeOldWard makes testdata/ward-2019.tar.gz, an archive that was filled
// in the first three months of 2019 and has stood still since: received times
// cannot be made up afterwards, and what a schedule lets go is years old. It
// runs in a bubble of testing/synctest, whose clock begins in the year 2000.
// The archive's master key is all zeros.
//
//	go test -tags fixture -run TestMakeOldWard ./internal/demo
func TestMakeOldWard(t *testing.T) {
	dir := filepath.Join(t.TempDir(), oldWardName)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2019, 1, 7, 8, 0, 0, 0, time.UTC)))
		w := newOldWard(t, dir)
		w.fill()
		if err := w.log.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if err := pack(dir, filepath.Join("testdata", oldWardName+".tar.gz")); err != nil {
		t.Fatal(err)
	}
}

// oldWard is the archive and the relay's stream that it took in.
type oldWard struct {
	t    *testing.T
	log  *archive.Archive
	dir  *envelope.Directory
	seq  uint64
	set  *set
	keys map[string]ed25519.PrivateKey
	n    map[string]uint64
	prev map[string]string

	sealTo envelope.PublicKey
}

const oldEpoch = "2019"

func newOldWard(t *testing.T, dir string) *oldWard {
	recovery, err := seal.NewRecoveryKey()
	must(t, err)
	_, err = archive.Create(t.Context(), dir, archive.CreateOptions{ArchiveID: archiveID, Recovery: recovery.Public()})
	must(t, err)
	a, err := archive.Open(t.Context(), dir, archive.Options{Reserve: 1, LowWater: 1})
	must(t, err)
	s, err := readSet("../../cmd/holdfast-relay/testdata/ward.jsonl")
	must(t, err)
	w := &oldWard{
		t: t, log: a, set: s, dir: envelope.NewDirectory(archiveID, envelope.Pins{}),
		keys: map[string]ed25519.PrivateKey{}, n: map[string]uint64{}, prev: map[string]string{},
	}
	r := a.RecipientKeys()[0]
	key, err := envelope.NewPrivateKey(envelope.KEM(r.KEM), r.Private)
	must(t, err)
	w.sealTo = key.Public()
	body, err := json.Marshal(archive.EpochBody{Epoch: oldEpoch})
	must(t, err)
	_, err = a.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindEpoch, Class: proof.ClassControl, Body: body}}})
	must(t, err)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill puts the ward's people and a quarter of messages into the archive.
func (w *oldWard) fill() {
	for _, u := range w.set.users {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		must(w.t, err)
		w.keys[u.User] = key
		upsert, err := envelope.UserUpsertEvent(envelope.User{Usr: u.User, UPN: u.Mail, Mail: u.Mail, Name: u.Name})
		must(w.t, err)
		w.directory(upsert)
		device, err := envelope.DeviceAdd{Arc: archiveID, Usr: u.User, Dev: u.User + "-phone", At: time.Now(), Key: key}.Event()
		must(w.t, err)
		w.directory(device)
	}
	said := 0
	for i := range w.set.messages {
		m := &w.set.messages[i]
		if m.Typ != "" || len(m.Att) > 0 || m.Text == "" {
			continue
		}
		w.say(m)
		if said++; said == 90 {
			return
		}
		time.Sleep(24 * time.Hour)
	}
	w.t.Fatal("the set has too few messages")
}

func (w *oldWard) directory(data []byte) {
	at := envelope.Position{Seq: w.seq + 1}
	verdict := w.dir.Judge(at, data)
	if !verdict.Accepted {
		w.t.Fatalf("a directory event is refused: %s", verdict.Reason)
	}
	must(w.t, w.dir.Apply(at, data, verdict))
	text, err := json.Marshal(verdict)
	must(w.t, err)
	note, err := json.Marshal(archive.DirectoryNote{ID: w.id(), Time: envelope.FormatTime(time.Now()), Verdict: text})
	must(w.t, err)
	w.take(archive.Entry{Kind: proof.KindDirectory, Class: proof.ClassControl, Note: note, Body: data})
}

// say signs a message of the set anew, as a phone of 2019 would have.
func (w *oldWard) say(m *message) {
	var mid [16]byte
	rand.Read(mid[:])
	w.n[m.From]++
	p := &envelope.Payload{
		V: 1, Typ: envelope.TypMsg, Arc: archiveID, Mid: jws.EncodeB64(mid[:]), Usr: m.From, Dev: m.From + "-phone", N: w.n[m.From], Prev: w.prev[m.From],
		Sent: envelope.FormatTime(time.Now()), Conv: &envelope.Conv{ID: m.In, Kind: "group", Name: w.set.conversations[m.In]}, Body: &envelope.Body{Text: m.Text},
	}
	compact, err := envelope.SignMessage(w.keys[m.From], p)
	must(w.t, err)
	digest, err := envelope.Digest(compact)
	must(w.t, err)
	w.prev[m.From] = jws.EncodeB64(digest[:])
	device := ""
	for d := range w.dir.Devices() {
		if d.Usr == m.From {
			device = d.Kid
		}
	}
	sealed, err := envelope.Seal(w.sealTo, archiveID, p.Mid, compact)
	must(w.t, err)
	note, err := json.Marshal(archive.MessageNote{ID: w.id(), Time: p.Sent, Assurance: string(envelope.RelayAsserted), Device: device})
	must(w.t, err)
	w.take(archive.Entry{
		Kind: proof.KindMessage, Class: proof.ClassGeneral, Note: note, Body: compact, Envelope: sha256.Sum256(sealed),
		Dedupe: &archive.Dedupe{Device: p.Dev, N: p.N, Digest: digest},
	})
}

func (w *oldWard) id() string { return fmt.Sprintf("%s-%d", oldEpoch, w.seq+1) }

// take appends an entry as the relay's next event.
func (w *oldWard) take(e archive.Entry) {
	w.seq++
	e.Epoch, e.RelaySeq = oldEpoch, w.seq
	_, err := w.log.Append(context.Background(), archive.Batch{Entries: []archive.Entry{e}, Cursor: &archive.Cursor{Epoch: oldEpoch, Seq: w.seq}})
	must(w.t, err)
}

// pack writes a folder as a compressed archive.
func pack(dir, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	zip, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	files := tar.NewWriter(zip)
	err = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() == "reserve" || e.Name() == "lock" {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		header := &tar.Header{Name: name[len(filepath.Dir(dir))+1:], Mode: int64(info.Mode().Perm()), Typeflag: tar.TypeDir}
		if !e.IsDir() {
			header.Typeflag, header.Size = tar.TypeReg, info.Size()
		}
		if err := files.WriteHeader(header); err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(files, f)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range []io.Closer{files, zip, out} {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}
