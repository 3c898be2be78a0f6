package load

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"holdfast/internal/ijson"
)

// maxLine is the longest line that is read, in bytes: attachments are inline.
const maxLine = 16 << 20

// ErrLine says that a line cannot be understood. The text of the error names file and line, never content.
var ErrLine = errors.New("line not understood")

// The lines of Holdfast's own sets, one JSON object each, told apart by their first member; no other members are allowed.
//
// A person, before they are first named:
//
//	{"user":"amara.okafor","name":"Amara Okafor","mail":"amara.okafor@ward.invalid","upn":"...","relay_asserted":true}
//
// user is the relay's usr; upn and mail default to user@ward.invalid. relay_asserted leaves the hospital's vouching out of their devices.
//
// A conversation, or its new members:
//
//	{"conv":"4w","kind":"direct|group|patient","name":"4 West nurses","members":["amara.okafor",...]}
//
// A message:
//
//	{"id":"m1","time":"2026-03-02T07:00:00.000Z","from":"amara.okafor","in":"4w","text":"..."}
//
// with, where wanted: "typ" (msg), "to" (default: the other members), "dev" (phone), "lang", "mime", "prio", "ttl_s", "subject" {"mrn",
// "encounter","born"}, "label" [...], "ref" (the id of an earlier line, for edit, recall, receipt, reaction, expiry), "status" (of a receipt),
// "members" (of a member message: the conversation's from then on), "att" [{"name","mime","data"}] with data in standard base64.
type wardLine struct {
	User          string   `json:"user"`
	Name          string   `json:"name"`
	UPN           string   `json:"upn"`
	Mail          string   `json:"mail"`
	RelayAsserted bool     `json:"relay_asserted"`
	Conv          string   `json:"conv"`
	Kind          string   `json:"kind"`
	Members       []string `json:"members"`
	ID            string   `json:"id"`
	Time          string   `json:"time"`
	From          string   `json:"from"`
	In            string   `json:"in"`
	Typ           string   `json:"typ"`
	To            []string `json:"to"`
	Dev           string   `json:"dev"`
	Text          *string  `json:"text"`
	Lang          string   `json:"lang"`
	MIME          string   `json:"mime"`
	Prio          string   `json:"prio"`
	TTL           int64    `json:"ttl_s"`
	Subject       *subject `json:"subject"`
	Label         []string `json:"label"`
	Ref           string   `json:"ref"`
	Status        string   `json:"status"`
	Att           []file   `json:"att"`
}

type subject struct {
	MRN       string `json:"mrn"`
	Encounter string `json:"encounter"`
	Born      int64  `json:"born"`
}

type file struct {
	Name string `json:"name"`
	MIME string `json:"mime"`
	Data []byte `json:"data"`
}

// smsLine is a line of the NUS SMS corpus. time, from and to are often "unknown".
type smsLine struct {
	ID        string `json:"id"`
	From      string `json:"from"`
	To        string `json:"to"`
	Country   string `json:"country"`
	Time      string `json:"time"`
	Collected string `json:"collected"` // year/month
	Text      string `json:"text"`
}

// turnLine is a line of MTS-Dialog. The speaker may be empty.
type turnLine struct {
	Conversation string `json:"conversation"`
	Section      string `json:"section"`
	Turn         int64  `json:"turn"`
	Speaker      string `json:"speaker"`
	Text         string `json:"text"`
}

// parseLine returns a *wardLine, *smsLine or *turnLine.
func parseLine(b []byte) (any, error) {
	var probe struct {
		Collected json.RawMessage `json:"collected"`
		Turn      json.RawMessage `json:"turn"`
	}
	if err := ijson.Unmarshal(b, &probe); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLine, err)
	}
	var v any = new(wardLine)
	switch {
	case probe.Collected != nil:
		v = new(smsLine)
	case probe.Turn != nil:
		v = new(turnLine)
	}
	if err := ijson.UnmarshalStrict(b, v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLine, err)
	}
	return v, nil
}

// source is one input line with its place.
type source struct {
	path  string
	line  int
	bytes []byte // valid until the next
}

// fail puts the place before an error.
func (s source) fail(err error) error { return fmt.Errorf("%s:%d: %w", s.path, s.line, err) }

// countReader counts the bytes of a file as they are read, before they are unpacked.
type countReader struct {
	r io.Reader
	n *int64
}

func (c countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

// readLines yields the lines of a file that are not blank, unpacking gzip by its magic number.
func readLines(path string, read *int64) iter.Seq2[source, error] {
	return func(yield func(source, error) bool) {
		f, err := os.Open(path) // #nosec G304 -- the operator names it
		if err != nil {
			yield(source{}, err)
			return
		}
		defer f.Close()
		plain := bufio.NewReaderSize(countReader{f, read}, 256<<10)
		in := io.Reader(plain)
		if magic, err := plain.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
			unpacked, err := gzip.NewReader(plain)
			if err != nil {
				yield(source{}, fmt.Errorf("%s: %w", path, err))
				return
			}
			in = unpacked
		}
		scan := bufio.NewScanner(in)
		scan.Buffer(make([]byte, 64<<10), maxLine)
		n := 0
		for scan.Scan() {
			n++
			if len(bytes.TrimSpace(scan.Bytes())) == 0 {
				continue
			}
			if !yield(source{path, n, scan.Bytes()}, nil) {
				return
			}
		}
		if err := scan.Err(); err != nil {
			yield(source{}, fmt.Errorf("%s:%d: %w", path, n+1, err))
		}
	}
}

// totalSize is the size of the files as they lie on disk.
func totalSize(paths []string) (int64, error) {
	total := int64(0)
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		total += info.Size()
	}
	return total, nil
}
