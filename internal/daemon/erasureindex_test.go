package daemon

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"

	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/blevesearch/vellum"
	zap "github.com/blevesearch/zapx/v17"
)

// writerID is the length of what a file of the index names its writer by, in
// hex digits.
const writerID = 32

// indexFileKey derives the key of one file of an index, as archive/search does.
func (s *scan) indexFileKey(key []byte, name, id string) []byte {
	out, err := hkdf.Key(sha256.New, key, []byte(id), "holdfast index file v1\x00"+name, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// likeDictionary sees what begins every dictionary: vellum's version 1 and type 0.
var likeDictionary = looks{0, isDictionaryHead}

//go:norace
func isDictionaryHead(head []byte) bool {
	return binary.LittleEndian.Uint64(head) == 1 && binary.LittleEndian.Uint64(head[8:]) == 0
}

// dictionaries seeks the index's dictionaries at every offset of a file, under
// every index key and writer's id that stands in the file.
func (s *scan) dictionaries(path string, content [sha256.Size]byte, b []byte) {
	name := filepath.Base(path)
	ids := []string{"root"} // that of root.bolt
	runs(b, writerID, hexDigits, func(run []byte) {
		for from := range len(run) - writerID + 1 {
			if id := string(run[from : from+writerID]); !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	})
	if !strings.HasPrefix(path, "index/") && len(ids) == 1 {
		return // no file of an index, whatever its name
	}
	for _, key := range s.keys(indexKeys) {
		for _, id := range ids {
			key := s.indexFileKey(key, name, id)
			for _, at := range s.sights(content, b, key, likeDictionary) {
				s.dictionary(place{inIndex, path, at}, key, b)
			}
		}
	}
}

// dictionary reads the terms of a dictionary. Its sealed length stands before
// it.
func (s *scan) dictionary(at place, key, b []byte) {
	block, err := aes.NewCipher(key)
	if err != nil {
		s.t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		s.t.Fatal(err)
	}
	for back := 1; back <= binary.MaxVarintLen32 && back <= at.at; back++ {
		size, n := binary.Uvarint(b[at.at-back : at.at])
		if n != back || size > uint64(len(b)-at.at) {
			continue
		}
		plain, err := aead.Open(nil, nil, b[at.at:at.at+int(size)], []byte(filepath.Base(at.path)))
		if err != nil {
			continue
		}
		s.terms(at, plain)
		return
	}
	s.torn = append(s.torn, at)
}

func (s *scan) terms(at place, plain []byte) {
	fst, err := vellum.Load(plain)
	if err != nil {
		s.t.Fatalf("%s: a dictionary at %d: %v", at.path, at.at, err)
	}
	s.pieces[at] = []string{}
	it, err := fst.Iterator(nil, nil)
	for ; err == nil; err = it.Next() {
		term, _ := it.Current()
		canaries := canariesIn(term)
		s.pieces[at] = append(s.pieces[at], canaries...)
		s.note(inIndex, canaries)
	}
}

// postings reads every segment of the index as bleve does, and so opens its
// pieces one by one: postings, stored fields, values.
func (s *scan) postings() {
	writer, reader := index.WriterHook, index.ReaderHook
	defer func() { index.WriterHook, index.ReaderHook = writer, reader }()
	for path := range s.files {
		if !strings.HasSuffix(path, ".zap") {
			continue
		}
		for _, key := range s.keys(indexKeys) {
			s.segment(path, key)
		}
	}
}

func (s *scan) segment(path string, key []byte) {
	at := place{inPostings, path, 0}
	index.ReaderHook = func(id string, _ []byte) (func([]byte) ([]byte, error), error) {
		name := filepath.Base(path)
		block, err := aes.NewCipher(s.indexFileKey(key, name, id))
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		return func(sealed []byte) ([]byte, error) {
			plain, err := aead.Open(nil, nil, sealed, []byte(name))
			if err == nil {
				s.pieces[at] = append(s.pieces[at], canariesIn(plain)...)
			}
			return plain, err
		}, err
	}
	seg, err := new(zap.ZapPlugin).Open(filepath.Join(s.dir, path))
	if err != nil {
		return // another key's
	}
	defer seg.Close()
	for _, field := range seg.Fields() {
		dict, err := seg.Dictionary(field)
		if err != nil {
			continue
		}
		for term := range s.found {
			list, err := dict.PostingsList([]byte(term), nil, nil)
			if err == nil && list.Count() > 0 {
				s.pieces[at] = append(s.pieces[at], term)
			}
		}
	}
	s.documents(seg)
	s.note(inPostings, s.pieces[at])
}

func (s *scan) documents(seg segment.Segment) {
	for doc := range seg.Count() {
		// What the hook opens on the way is what is looked at.
		if err := seg.VisitStoredFields(doc, func(string, byte, []byte, []uint64) bool { return true }); err != nil {
			return
		}
	}
	if values, ok := seg.(segment.DocValueVisitable); ok {
		if _, err := values.VisitDocValues(0, seg.Fields(), func(string, []byte) {}, nil); err != nil {
			return
		}
	}
}
