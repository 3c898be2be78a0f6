package daemon

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
)

// erasureWindow is more than any sealed record of these tests has, in bytes:
// so much is decrypted from each place where one begins.
const erasureWindow = 32 << 10

// scan is what can be read of a data directory by whoever has the master key,
// the recovery key and every byte of every file. It uses nothing of the
// archive's own reading: a record need not be in a live page, nor whole.
//
// What is exhaustive about it: a sealed record or index dictionary begins with
// its nonce, and AES-GCM is AES-CTR with a tag behind. So the block at which
// its plaintext has a known form (a record's length of the note, a
// dictionary's header) is decrypted for each key at each offset of each file as
// if a nonce stood there. Neither file id nor seq nor length nor tag are needed
// for that: a record is found in a free page, behind a page's end, under a
// damaged header or cut short, with the one condition that its nonce and its
// first bytes are there; without its nonce nobody can open it.
type scan struct {
	t     *testing.T
	dir   string
	files map[string][]byte
	holds keyHolder
	rings []*seal.Keyring

	found  map[string]map[string]bool // canary → in which kinds of places
	pieces map[place][]string         // what opens → the canaries in it
	torn   []place                    // where a dictionary begins that is not whole
	blobs  map[[32]byte]bool          // keys of attachments, from whatever opened
	read   int64
}

// place is where a piece begins that opens.
type place struct {
	what string // one of the places below
	path string
	at   int
}

// Kinds of places.
const (
	inRecord   = "record"
	inIndex    = "index"    // a term of a dictionary
	inPostings = "postings" // that the term's list names entries
	inBlob     = "blob"
	inText     = "text" // of an attachment, beside it
	inPlain    = "plain"
)

// keyHolder is what an attacker has been given beside the files.
type keyHolder struct {
	master   [seal.MasterSize]byte
	recovery *seal.RecoveryKey
}

// scanData reads a whole data directory that nobody has open, and other folders
// for plain bytes.
func scanData(t *testing.T, dir string, holds keyHolder, others ...string) *scan {
	t.Helper()
	s := scanBytes(t, dir, holds)
	s.postings()
	for _, at := range s.torn {
		t.Errorf("%s: a dictionary at %d opens in part, and how long it is is not known", at.path, at.at)
	}
	for _, other := range others {
		for path, b := range readTree(t, other) {
			s.plain(path, b)
		}
	}
	return s
}

// scanBytes reads a data directory without asking any file to be whole: it may
// be a copy that was made while the daemon ran.
func scanBytes(t *testing.T, dir string, holds keyHolder) *scan {
	t.Helper()
	s := &scan{
		t: t, dir: dir, holds: holds, files: readTree(t, dir),
		found: map[string]map[string]bool{}, pieces: map[place][]string{}, blobs: map[[32]byte]bool{},
	}
	s.openKeyrings()
	for path, b := range s.files {
		content := sha256.Sum256(b)
		s.plain(path, b)
		s.records(path, content, b)
		s.dictionaries(path, content, b)
	}
	for path, b := range s.files {
		if strings.HasPrefix(path, "blobs/") {
			s.attachment(path, b)
		}
	}
	return s
}

// readTree reads every regular file below a folder, by path.
func readTree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil && name != "reserve" { // preallocated, never written to
			out[name], _, err = readData(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// readData reads a file up to its last byte that was ever written, and returns
// the file's size, too. What lies in a hole is zero, and is not read from the
// disk.
func readData(path string) (b []byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	fd, size := int(f.Fd()), info.Size()
	for at := int64(0); at < size; {
		from, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole to the end
		}
		if err != nil {
			return nil, 0, err
		}
		to, err := unix.Seek(fd, from, unix.SEEK_HOLE)
		if err != nil {
			return nil, 0, err
		}
		b = append(b, make([]byte, to-int64(len(b)))...)
		if _, err := f.ReadAt(b[from:], from); err != nil {
			return nil, 0, err
		}
		at = to
	}
	return b, size, nil
}

// openKeyrings opens whatever of the directory's top may be a keyring: also
// what a replacement left, and the recovery copy.
func (s *scan) openKeyrings() {
	id, err := proof.ParseIdentity(s.files["identity.json"])
	if err != nil {
		s.t.Fatal(err)
	}
	for path, b := range s.files {
		if strings.Contains(path, "/") || len(b) < seal.KeySize {
			continue
		}
		if ring, err := seal.Unwrap(b, s.holds.master, id.Origin); err == nil {
			s.rings = append(s.rings, ring)
		} else if ring, err := seal.Recover(b, s.holds.recovery, id.Origin); err == nil {
			s.rings = append(s.rings, ring)
		}
	}
	if len(s.rings) < 2 {
		s.t.Fatal("the keyring and its recovery copy do not open")
	}
}

// keys returns all keys that any of the keyrings has.
func (s *scan) keys(of func(*seal.Keyring) map[string][]byte) [][]byte {
	var out [][]byte
	for _, ring := range s.rings {
		for _, key := range of(ring) {
			if !slices.ContainsFunc(out, func(k []byte) bool { return bytes.Equal(k, key) }) {
				out = append(out, key)
			}
		}
	}
	return out
}

func bodyKeys(k *seal.Keyring) map[string][]byte {
	out := map[string][]byte{"state": k.State, "dedupe": k.Dedupe}
	for name, key := range k.Bodies {
		out[name] = key
	}
	return out
}

func indexKeys(k *seal.Keyring) map[string][]byte { return k.Index }

func (s *scan) note(where string, canaries []string) {
	for _, c := range canaries {
		if s.found[c] == nil {
			s.found[c] = map[string]bool{}
		}
		s.found[c][where] = true
	}
}

// plain seeks canaries in a file as it is, and in its name.
func (s *scan) plain(path string, b []byte) {
	s.read += int64(len(b))
	s.note(inPlain, canariesIn([]byte(path)))
	s.note(inPlain, canariesIn(b))
}

// looks is what a place looks like at which something sealed begins: the nth
// block of its plaintext.
type looks struct {
	block int
	like  func(plain []byte) bool
}

// sighting is a file's content and a key, for which all offsets were looked at.
type sighting struct {
	content [sha256.Size]byte
	key     string
	block   int
}

// sightings remembers what was seen: copies of a directory have most files and
// keys in common.
var sightings = map[sighting][]int{}

// sights returns the offsets of b at which, under the key, something begins
// that looks like what is sought. Where 64 bytes are zero, as in the holes of
// the databases, no nonce stands.
func (s *scan) sights(content [sha256.Size]byte, b, key []byte, l looks) []int {
	seen := sighting{content, string(key), l.block}
	if at, known := sightings[seen]; known {
		return at
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		s.t.Fatal(err)
	}
	at := sightsOf(b, block, l)
	sightings[seen] = at
	return at
}

// sightsOf does the work. Nobody shares anything with it, and the race
// detector's bookkeeping would make it twenty times slower.
//
//go:norace
func sightsOf(b []byte, block cipher.Block, l looks) (out []int) {
	var in, plain [aes.BlockSize]byte
	binary.BigEndian.PutUint32(in[nonceSize:], uint32(l.block)+2) // NIST SP 800-38D section 7.1
	from, empty := nonceSize+l.block*aes.BlockSize, 0
	for at := 0; at+from+aes.BlockSize <= len(b); at++ {
		if b[at] != 0 {
			empty = 0
		} else if empty++; empty > 64 {
			for at+8 < len(b) && binary.NativeEndian.Uint64(b[at+1:]) == 0 {
				at += 8
			}
			continue
		}
		copy(in[:nonceSize], b[at:])
		block.Encrypt(plain[:], in[:])
		for i := range plain {
			plain[i] ^= b[at+from+i]
		}
		if l.like(plain[:]) {
			out = append(out, at)
		}
	}
	return out
}

const nonceSize = 12

// counterMode decrypts everything behind the nonce at b's begin, without the
// tag and so without knowing where it ends.
func counterMode(t *testing.T, key, b []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	var iv [aes.BlockSize]byte
	copy(iv[:], b[:nonceSize])
	iv[aes.BlockSize-1] = 2
	out := make([]byte, len(b)-nonceSize)
	cipher.NewCTR(block, iv[:]).XORKeyStream(out, b[nonceSize:])
	return out
}

// The note's length stands behind 32 random bytes, and a note is JSON.
const (
	noteBlock = 2
	noteAt    = 32 + 4
)

// likeRecord sees a note's length and the begin of what follows it.
var likeRecord = looks{noteBlock, isNoteBlock}

//go:norace
func isNoteBlock(head []byte) bool {
	n := binary.BigEndian.Uint32(head)
	return n < 0x2000 && (head[4] == '{' || n == 0 && head[4] == 'e')
}

// records seeks sealed records at every offset, under every key.
func (s *scan) records(path string, content [sha256.Size]byte, b []byte) {
	for _, key := range s.keys(bodyKeys) {
		for _, at := range s.sights(content, b, key, likeRecord) {
			s.record(place{inRecord, path, at}, counterMode(s.t, key, b[at:min(len(b), at+erasureWindow)]))
		}
	}
}

// record takes in what a record says. Behind its end stands noise.
func (s *scan) record(at place, plain []byte) {
	note := int(binary.BigEndian.Uint32(plain[noteAt-4:]))
	canaries := canariesIn(plain)
	s.pieces[at] = append(s.pieces[at], canaries...)
	s.note(inRecord, canaries)
	if noteAt+note > len(plain) {
		return
	}
	_, payload, _ := bytes.Cut(plain[noteAt+note:], []byte("."))
	payload, _, _ = bytes.Cut(payload, []byte("."))
	text := make([]byte, base64.RawURLEncoding.DecodedLen(len(payload)))
	n, err := base64.RawURLEncoding.Decode(text, payload)
	var message struct {
		Att []struct {
			Key string `json:"key"`
		} `json:"att"`
	}
	if err != nil || json.Unmarshal(text[:n], &message) != nil {
		return
	}
	for _, a := range message.Att {
		if key, err := base64.RawURLEncoding.DecodeString(a.Key); err == nil && len(key) == 32 {
			s.blobs[[32]byte(key)] = true
		}
	}
}

// attachment tries every key that stood in a message on a file, as the key of an
// attachment's text, and chunk by chunk, also of a file that was cut short.
func (s *scan) attachment(path string, b []byte) {
	const sealed = envelope.ChunkSize + 16
	for key := range s.blobs {
		textKey, err := hkdf.Key(sha256.New, key[:], nil, "holdfast blob text v1", 32)
		if err != nil {
			s.t.Fatal(err)
		}
		if canaries := canariesIn(counterMode(s.t, textKey, b)); len(canaries) > 0 {
			s.pieces[place{inText, path, 0}] = canaries
			s.note(inText, canaries)
		}
		var canaries []string
		for from := 0; from < len(b); from += sealed {
			chunk := b[from:min(len(b), from+sealed)]
			for _, last := range []byte{0, 1} {
				nonce := make([]byte, nonceSize, nonceSize+len(chunk))
				binary.BigEndian.PutUint64(nonce[3:11], uint64(from/sealed))
				nonce[nonceSize-1] = last
				canaries = append(canaries, canariesIn(counterMode(s.t, key[:], append(nonce, chunk...)))...)
			}
		}
		if len(canaries) > 0 {
			s.pieces[place{inBlob, path, 0}] = canaries
			s.note(inBlob, canaries)
		}
	}
}
