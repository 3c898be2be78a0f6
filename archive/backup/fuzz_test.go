package backup

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/internal/jws"
)

var fuzzKey = ed25519.NewKeyFromSeed(make([]byte, 32))

func sampleManifest() *Manifest {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	h := strings.Repeat("ab", 32)
	return &Manifest{
		V: 1, ID: NewID(at, 7), ArchiveID: "ward.test", Origin: "holdfast.invalid/ward.test/0011223344556677", Version: "1.0", Schema: 1, Created: at.Format(time.RFC3339),
		Size: 7, Root: h, Last: h, Checkpoint: "a note", Cursor: &Cursor{Epoch: "e1", Seq: 3, Head: h}, Keyring: 4, Identity: h,
		Keys: []archive.KeyID{{Name: "bodies/2026-11.control.g1", ID: h[:32]}},
		Files: []File{
			{Path: "bodies/2026-11.control.g1.db", Size: 10, SHA256: h, Records: 7},
			{Path: "identity.json", Size: 10, SHA256: h, Finished: true},
			{Path: "log/000000.db", Size: 10, SHA256: h, Records: 7},
		},
		Lists: []List{{Folder: "00", SHA256: h, Files: 1, Bytes: 5}},
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := sampleManifest().Sign(fuzzKey); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(m *Manifest){
		"another version":    func(m *Manifest) { m.V = 2 },
		"another id":         func(m *Manifest) { m.ID = "20261122T120000Z-8" },
		"another time":       func(m *Manifest) { m.Created = "2026-11-22T12:00:01Z" },
		"no keyring":         func(m *Manifest) { m.Keyring = 0 },
		"root":               func(m *Manifest) { m.Root = "AB" },
		"cursor":             func(m *Manifest) { m.Cursor.Head = "" },
		"a path out":         func(m *Manifest) { m.Files[0].Path = "bodies/../../etc/passwd" },
		"an absolute path":   func(m *Manifest) { m.Files[0].Path = "/etc/passwd" },
		"the keyring":        func(m *Manifest) { m.Files[2].Path = "keyring" },
		"files out of order": func(m *Manifest) { m.Files[0], m.Files[1] = m.Files[1], m.Files[0] },
		"a file twice":       func(m *Manifest) { m.Files[1] = m.Files[0] },
		"a gap in the log":   func(m *Manifest) { m.Files[2].Path = "log/000001.db" },
		"no log":             func(m *Manifest) { m.Files = m.Files[:2] },
		"no identity":        func(m *Manifest) { m.Files[1].SHA256 = strings.Repeat("cd", 32) },
		"a key left out":     func(m *Manifest) { m.Keys = nil },
		"a key's name":       func(m *Manifest) { m.Keys[0].Name = "bodies/../x" },
		"negative":           func(m *Manifest) { m.Files[0].Size = -1 },
		"too large":          func(m *Manifest) { m.Files[0].Size = maxSize + 1 },
		"a list's folder":    func(m *Manifest) { m.Lists[0].Folder = ".." },
		"a list twice":       func(m *Manifest) { m.Lists = append(m.Lists, m.Lists[0]) },
	} {
		m := sampleManifest()
		change(m)
		if _, err := m.Sign(fuzzKey); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	good, err := sampleManifest().Sign(fuzzKey)
	if err != nil {
		f.Fatal(err)
	}
	c, err := jws.Parse(good, ManifestType)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Payload)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		compact, err := jws.Sign(ManifestType, fuzzKey, payload)
		if err != nil {
			return
		}
		m, err := ParseManifest(compact)
		if err != nil {
			return
		}
		again, err := m.Sign(fuzzKey)
		if err != nil {
			t.Fatalf("what was read is not written: %v", err)
		}
		if n, err := ParseManifest(again); err != nil || n.ID != m.ID || len(n.Files) != len(m.Files) {
			t.Fatalf("what was written is not read: %v", err)
		}
	})
}

func FuzzParseSidecar(f *testing.F) {
	s := &Sidecar{V: 1, ArchiveID: "a", Origin: "o", Generation: 3, Size: 1, SHA256: strings.Repeat("0", 2*sha256.Size), Created: "2026-11-22T12:00:00Z",
		Keys: []archive.KeyID{{Name: "index/000000", ID: strings.Repeat("0", 32)}, {Name: "recipients/k-1", ID: strings.Repeat("0", 32)}}}
	good, err := s.Sign(fuzzKey)
	if err != nil {
		f.Fatal(err)
	}
	c, err := jws.Parse(good, SidecarType)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		compact, err := jws.Sign(SidecarType, fuzzKey, payload)
		if err != nil {
			return
		}
		if s, _, err := parseSidecar(compact); err == nil {
			if _, err := s.Sign(fuzzKey); err != nil {
				t.Fatalf("what was read is not written: %v", err)
			}
		}
	})
}

func FuzzParseList(f *testing.F) {
	h := strings.Repeat("ab", 32)
	f.Add(MarshalList([]File{{Path: "blobs/ab/" + h, Size: 5, SHA256: h}}), "ab")
	f.Add([]byte("x 1 y\n"), "ab")
	f.Fuzz(func(t *testing.T, text []byte, folder string) {
		files, err := ParseList(text, folder)
		if err == nil && !bytes.Equal(MarshalList(files), text) {
			t.Fatalf("%q is written as %q", text, MarshalList(files))
		}
	})
}

func FuzzParseMarker(f *testing.F) {
	f.Add([]byte(`{"v":1,"archive_id":"a","origin":"o"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMarker(text)
		if err != nil {
			return
		}
		again, err := m.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := parseMarker(again); err != nil || *n != *m {
			t.Fatalf("%q: %v", again, err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("20261122T120000Z-7")
	f.Fuzz(func(t *testing.T, id string) {
		if at, size, err := ParseID(id); err == nil && NewID(at, size) != id {
			t.Fatalf("%q is written as %q", id, NewID(at, size))
		}
	})
}
