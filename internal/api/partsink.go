package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// headerFrom says behind how many bytes of its file a part goes on. A file may
// come in several parts, and its first bytes may be there from an export that
// was cut off.
const headerFrom = "Holdfast-From"

// tellEvery is how often a stream says how far the export has come.
const tellEvery = time.Second

// errResume ends a resumed export whose beginning is not what came before.
var errResume = &Problem{Title: "the production is not the one that was begun", Status: http.StatusConflict, Code: CodeChanged, Exit: ExitData,
	Hint: "what came before cannot be gone on with: remove the partial folder, and export anew"}

// partSink turns files into parts of the response. Nothing is sent before the
// first file is created, so that what fails earlier is an ordinary problem.
type partSink struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	parts   *multipart.Writer // nil until the first file
	open    *partFile
	listing listing
	begun   *Begun       // how the stream begins; nil: with the first file
	resume  *Resume      // what the client has; nil: nothing
	extend  time.Time    // when the write deadline is set anew
	still   func() error // asked every second: whether there may be more

	reached Progress // how far the export has come
	told    time.Time
}

func newPartSink(w http.ResponseWriter) *partSink {
	return &partSink{w: w, rc: http.NewResponseController(w), listing: newListing(), told: time.Now()}
}

// Create begins a file.
func (s *partSink) Create(name string) (io.WriteCloser, error) {
	if !ValidFile(name) {
		return nil, errors.New("a production's file has a name that no client takes")
	}
	if err := s.idle(); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	if err := s.proceed(); err != nil {
		return nil, err
	}
	s.open = &partFile{sink: s, name: name, sum: sha256.New()}
	if r := s.resume; r != nil {
		s.open.had = s.listing.files < r.Files
		if s.listing.files == r.Files && r.Part != nil {
			s.open.skip, s.open.want = r.Part.Size, r.Part.SHA256
		}
	}
	return s.open, nil
}

// start begins the stream.
func (s *partSink) start() error {
	if s.parts != nil {
		return nil
	}
	s.parts = multipart.NewWriter(s.w)
	s.w.Header().Set("Content-Type", mime.FormatMediaType("multipart/mixed", map[string]string{"boundary": s.parts.Boundary()}))
	if s.begun == nil {
		return nil
	}
	if err := s.say(partBegun, s.begun); err != nil {
		return err
	}
	return s.rc.Flush()
}

// reach notes how far the export has come; it is told with what is sent next.
func (s *partSink) reach(done, total uint64) { s.reached.Done, s.reached.Total = done, total }

// idle returns an error while a file is open.
func (s *partSink) idle() error {
	if s.open != nil {
		return errors.New("a production's file was not closed")
	}
	return nil
}

// proceed is deadline for what is handed out, which nobody gets any longer than
// they may.
func (s *partSink) proceed() error {
	if time.Now().Before(s.extend) {
		return nil
	}
	if err := s.still(); err != nil {
		return err
	}
	return s.deadline()
}

// deadline gives the next writes writeTimeout. It is set anew every second at
// most: that is often enough.
func (s *partSink) deadline() error {
	now := time.Now()
	if now.Before(s.extend) {
		return nil
	}
	s.extend = now.Add(time.Second)
	return s.rc.SetWriteDeadline(now.Add(writeTimeout))
}

// tell says how far the export has come, if that was not said lately. The file
// that is open goes on in a part of its own.
func (s *partSink) tell() error {
	if time.Since(s.told) < tellEvery {
		return nil
	}
	s.told = time.Now()
	if s.open != nil {
		s.open.part = nil
	}
	if err := s.say(partProgress, s.reached); err != nil {
		return err
	}
	return s.rc.Flush()
}

func (s *partSink) complete(c Completion) error {
	if s.parts == nil {
		return errors.New("a production without files")
	}
	c.Files, c.Bytes, c.SHA256 = s.listing.files, s.listing.bytes, s.listing.digest()
	return s.final(partComplete, c)
}

// fail ends a stream that has begun; else the problem is the whole answer and
// nothing is done here.
func (s *partSink) fail(p *Problem) error {
	if s.parts == nil {
		return nil
	}
	return s.final(partFailed, p)
}

func (s *partSink) final(name string, v any) error {
	if err := s.say(name, v); err != nil {
		return err
	}
	return errors.Join(s.parts.Close(), s.rc.Flush())
}

// say sends a part that is no file.
func (s *partSink) say(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := s.deadline(); err != nil {
		return err
	}
	part, err := s.parts.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {mime.FormatMediaType("form-data", map[string]string{"name": name})},
		"Content-Type":        {"application/json"},
	})
	if err != nil {
		return err
	}
	_, err = part.Write(b)
	return err
}

// partFile is the file being sent.
type partFile struct {
	sink *partSink
	part io.Writer // nil until there is something to send, and after something else was
	name string
	sum  hash.Hash
	size uint64
	had  bool   // the client has all of it
	skip uint64 // the client has so many of its first bytes
	want string // their SHA-256, hex
}

func (f *partFile) Write(b []byte) (int, error) {
	if err := f.sink.proceed(); err != nil {
		return 0, err
	}
	n := len(b)
	if f.size < f.skip || f.had {
		var err error
		if b, err = f.pass(b); err != nil {
			return 0, err
		}
	}
	if err := f.sink.tell(); err != nil || len(b) == 0 {
		return n, err
	}
	if err := f.begin(); err != nil {
		return 0, err
	}
	if _, err := f.part.Write(b); err != nil {
		return 0, err
	}
	f.take(b)
	return n, nil
}

// pass takes what the client has, and returns what it has not.
func (f *partFile) pass(b []byte) ([]byte, error) {
	if f.had {
		f.take(b)
		return nil, nil
	}
	n := min(uint64(len(b)), f.skip-f.size)
	f.take(b[:n])
	if f.size == f.skip && hex.EncodeToString(f.sum.Sum(nil)) != f.want {
		return nil, errResume
	}
	return b[n:], nil
}

func (f *partFile) take(b []byte) {
	f.sum.Write(b)
	f.size += uint64(len(b))
}

// begin begins a part, unless one is begun.
func (f *partFile) begin() (err error) {
	if f.part != nil {
		return nil
	}
	header := textproto.MIMEHeader{
		"Content-Disposition": {mime.FormatMediaType("attachment", map[string]string{"filename": f.name})},
		"Content-Type":        {"application/octet-stream"},
	}
	if f.size > 0 {
		header.Set(headerFrom, strconv.FormatUint(f.size, 10))
	}
	f.part, err = f.sink.parts.CreatePart(header)
	return err
}

// Close ends the file.
func (f *partFile) Close() error {
	s := f.sink
	if s.open != f {
		return errors.New("a production's file was closed twice")
	}
	s.open = nil
	if f.size < f.skip {
		return errResume
	}
	if !f.had && (f.size == 0 || f.size == f.skip) {
		// A part says that the file is there, or ends there.
		if err := f.begin(); err != nil {
			return err
		}
	}
	s.listing.add(f.name, f.sum, f.size)
	if r := s.resume; f.had && s.listing.files == r.Files && s.listing.digest() != r.SHA256 {
		return errResume
	}
	return s.rc.Flush()
}

// listing sums up files in order, on both ends of the stream.
type listing struct {
	sum          hash.Hash
	files, bytes uint64
}

func newListing() listing { return listing{sum: sha256.New()} }

func (l *listing) add(name string, sum hash.Hash, size uint64) {
	l.addHex(name, hex.EncodeToString(sum.Sum(nil)), size)
}

func (l *listing) addHex(name, sum string, size uint64) {
	var line strings.Builder
	fmt.Fprintf(&line, "%s  %s\n", sum, name)
	l.sum.Write([]byte(line.String()))
	l.files++
	l.bytes += size
}

func (l *listing) digest() string { return hex.EncodeToString(l.sum.Sum(nil)) }
