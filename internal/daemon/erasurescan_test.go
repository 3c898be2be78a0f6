package daemon

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
)

// canaryMark begins every canary and stands nowhere else; a canary is a word
// of lower-case letters, so that the index has it as a term.
const (
	canaryMark   = "zqxjvk"
	canaryLength = len(canaryMark) + 14
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
	inPlain    = "plain"
)

// keyHolder is what an attacker has been given beside the files.
type keyHolder struct {
	master   [seal.MasterSize]byte
	recovery *seal.RecoveryKey
}

// scanData reads a whole data directory, and other folders for plain bytes.
func scanData(t *testing.T, dir string, holds keyHolder, others ...string) *scan {
	t.Helper()
	s := &scan{
		t: t, dir: dir, holds: holds, files: readTree(t, dir),
		found: map[string]map[string]bool{}, pieces: map[place][]string{}, blobs: map[[32]byte]bool{},
	}
	s.openKeyrings()
	for path, b := range s.files {
		s.plain(path, b)
		s.records(path, b)
		s.dictionaries(path, b)
	}
	s.postings()
	for path, b := range s.files {
		if strings.HasPrefix(path, "blobs/") {
			s.attachment(path, b)
		}
	}
	for _, other := range others {
		for path, b := range readTree(t, other) {
			s.plain(path, b)
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
			out[name], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// openKeyrings opens whatever of the directory's top may be a keyring: also
// what a replacement left, and the recovery copy.
func (s *scan) openKeyrings() {
	id, err := proof.ParseIdentity(s.files["identity.json"])
	if err != nil {
		s.t.Fatal(err)
	}
	for path, b := range s.files {
		if ring, err := seal.Unwrap(b, s.holds.master, id.Origin); err == nil {
			s.rings = append(s.rings, ring)
		}
		if ring, err := seal.Recover(b, s.holds.recovery, id.Origin); err == nil && strings.HasPrefix(path, "keyring") {
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

var base64Run = regexp.MustCompile(`[A-Za-z0-9_-]{32,}`)

// canariesIn returns the canaries in b, also those in a JWS's parts.
func canariesIn(b []byte) (out []string) {
	add := func(b []byte) {
		for {
			i := bytes.Index(b, []byte(canaryMark))
			if i < 0 {
				return
			}
			if len(b) >= i+canaryLength && !slices.Contains(out, string(b[i:i+canaryLength])) {
				out = append(out, string(b[i:i+canaryLength]))
			}
			b = b[i+1:]
		}
	}
	add(b)
	for _, run := range base64Run.FindAll(b, -1) {
		for from := range 4 {
			part := run[from:]
			plain := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
			n, _ := base64.RawURLEncoding.Decode(plain, part) // what precedes a fault is decoded
			add(plain[:n])
		}
	}
	return out
}

// eachOffset calls f with every offset of b from which on size bytes are there
// and at which a nonce may stand: whole blocks of zeros, the holes of the
// databases, hold none.
func eachOffset(b []byte, size int, f func(at int)) {
	const block = 4096
	zero := make([]byte, block)
	for from := 0; from < len(b); from += block {
		end := min(from+block, len(b))
		if bytes.Equal(b[from:end], zero[:end-from]) && (end == len(b) || b[end] == 0) {
			continue
		}
		for at := max(0, from-nonceSize); at < end && at+size <= len(b); at++ {
			f(at)
		}
	}
}

const nonceSize = 12

// counterBlock is the nth block of AES-GCM's keystream, from 0.
type counterBlock struct {
	block   cipher.Block
	in, out [aes.BlockSize]byte
}

func newCounterBlock(t *testing.T, key []byte) *counterBlock {
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return &counterBlock{block: block}
}

// at decrypts the nth block of the ciphertext behind the nonce at b's begin.
func (c *counterBlock) at(b []byte, n int) []byte {
	copy(c.in[:nonceSize], b)
	binary.BigEndian.PutUint32(c.in[nonceSize:], uint32(n)+2) // NIST SP 800-38D section 7.1
	c.block.Encrypt(c.out[:], c.in[:])
	from := nonceSize + n*aes.BlockSize
	for i := range c.out {
		c.out[i] ^= b[from+i]
	}
	return c.out[:]
}

// from decrypts everything behind the nonce at b's begin.
func (c *counterBlock) from(b []byte) []byte {
	var iv [aes.BlockSize]byte
	copy(iv[:], b[:nonceSize])
	iv[aes.BlockSize-1] = 2
	out := make([]byte, len(b)-nonceSize)
	cipher.NewCTR(c.block, iv[:]).XORKeyStream(out, b[nonceSize:])
	return out
}

// The note's length stands behind 32 random bytes, and a note is JSON.
const (
	noteBlock = 2
	noteAt    = 32 + 4
)

// records seeks sealed records at every offset, under every key.
func (s *scan) records(path string, b []byte) {
	var ciphers []*counterBlock
	for _, key := range s.keys(bodyKeys) {
		ciphers = append(ciphers, newCounterBlock(s.t, key))
	}
	eachOffset(b, nonceSize+(noteBlock+1)*aes.BlockSize, func(at int) {
		for _, c := range ciphers {
			head := c.at(b[at:], noteBlock)
			if head[0] != 0 || head[1] != 0 || head[2] > 0x20 {
				continue
			}
			n := int(binary.BigEndian.Uint32(head))
			if n > 0 && head[4] != '{' || n == 0 && head[4] != '{' && head[4] != 'e' {
				continue
			}
			s.record(place{inRecord, path, at}, n, c.from(b[at:min(len(b), at+erasureWindow)]))
		}
	})
}

// record takes in what a record says. Behind its end stands noise.
func (s *scan) record(at place, note int, plain []byte) {
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

// attachment tries every key that stood in a message on a file, chunk by chunk,
// and as well as a file that was cut short.
func (s *scan) attachment(path string, b []byte) {
	const sealed = envelope.ChunkSize + 16
	for key := range s.blobs {
		c := newCounterBlock(s.t, key[:])
		var canaries []string
		for from := 0; from < len(b); from += sealed {
			chunk := b[from:min(len(b), from+sealed)]
			for _, last := range []byte{0, 1} {
				nonce := make([]byte, nonceSize, nonceSize+len(chunk))
				binary.BigEndian.PutUint64(nonce[3:11], uint64(from/sealed))
				nonce[nonceSize-1] = last
				canaries = append(canaries, canariesIn(c.from(append(nonce, chunk...)))...)
			}
		}
		if len(canaries) > 0 {
			s.pieces[place{inBlob, path, 0}] = canaries
			s.note(inBlob, canaries)
		}
	}
}
