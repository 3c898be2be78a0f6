package api

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"strconv"

	"holdfast/internal/ijson"
)

// intake takes the parts of an export.
type intake struct {
	sink    Sink
	hear    Hearing
	seen    map[string]bool
	listing listing
	open    *arriving
	part    *Received // the beginning that is there of the next file; nil: none
	reached Progress
}

// arriving is a file that has not come whole.
type arriving struct {
	name string
	to   io.WriteCloser
	sum  hash.Hash
	size uint64
}

// growing is a sink that has the beginnings of files.
type growing interface {
	// Grow goes on with a file behind its first from bytes, over which sum is.
	Grow(name string, from uint64) (w io.WriteCloser, sum hash.Hash, err error)
}

// noting is a sink that is told of each file that came whole.
type noting interface {
	Note(name string, size uint64, sum string) error
}

func newIntake(sink Sink, hear Hearing, r *Resume) *intake {
	in := &intake{sink: sink, hear: hear, seen: map[string]bool{}, listing: newListing()}
	if r == nil {
		return in
	}
	in.part = r.Part
	if f, ok := sink.(*folder); ok {
		for _, had := range f.had {
			in.seen[had.Name] = true
			in.listing.addHex(had.Name, had.SHA256, had.Size)
		}
	}
	return in
}

func (in *intake) read(parts *multipart.Reader) (*Completion, error) {
	for first := true; ; first = false {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil, interrupted(err)
		}
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil {
			return nil, protocol(err)
		}
		switch {
		case kind == "attachment":
			err = in.file(params["filename"], part)
		case kind != "form-data":
			err = protocol(errors.New("a part that no production has"))
		case params["name"] == partBegun && first:
			err = in.begun(part)
		case params["name"] == partProgress:
			err = in.progress(part)
		case params["name"] == partFailed:
			err = failed(part)
		case params["name"] == partComplete:
			return in.complete(part, parts)
		default:
			err = protocol(errors.New("a part that no production has"))
		}
		if err != nil {
			return nil, err
		}
	}
}

func (in *intake) begun(part io.Reader) error {
	var b Begun
	if err := readJSON(part, &b); err != nil || in.hear.Begun == nil {
		return err
	}
	return in.hear.Begun(b)
}

func (in *intake) progress(part io.Reader) error {
	if err := readJSON(part, &in.reached); err != nil {
		return err
	}
	in.tell(0)
	return nil
}

func (in *intake) tell(more uint64) {
	if in.hear.Progress == nil {
		return
	}
	if in.open != nil {
		more += in.open.size
	}
	in.hear.Progress(in.reached, in.listing.bytes+more)
}

// file takes one part: a file from its beginning, or more of one.
func (in *intake) file(name string, part *multipart.Part) error {
	from := uint64(0)
	if text := part.Header.Get(headerFrom); text != "" {
		var err error
		if from, err = strconv.ParseUint(text, 10, 63); err != nil {
			return protocol(err)
		}
	}
	if in.open == nil || in.open.name != name {
		if err := in.start(name, from); err != nil {
			return err
		}
	} else if from == 0 || from != in.open.size {
		return protocol(errors.New("a part that goes on elsewhere than its file ended"))
	}
	a := in.open
	src := &source{r: part, progress: in.tell}
	n, err := io.Copy(io.MultiWriter(a.to, a.sum), src)
	a.size += uint64(n) // #nosec G115 -- never negative
	switch {
	case src.err != nil:
		return interrupted(src.err)
	case err != nil:
		return output("a file of the production cannot be written", err)
	}
	return nil
}

// start begins a file, after the one before it, which is whole now.
func (in *intake) start(name string, from uint64) error {
	if err := in.finish(); err != nil {
		return err
	}
	if !ValidFile(name) || in.seen[name] || in.listing.files >= maxFiles {
		return protocol(errors.New("a file that no production has"))
	}
	in.seen[name] = true
	had := in.part
	in.part = nil
	a := &arriving{name: name, sum: sha256.New(), size: from}
	var err error
	if more, ok := in.sink.(growing); ok && had != nil && had.Size == from {
		a.to, a.sum, err = more.Grow(name, from)
	} else if from == 0 {
		a.to, err = in.sink.Create(name)
	} else {
		return protocol(errors.New("a part that goes on with a file that did not begin"))
	}
	if err != nil {
		return output("a file of the production cannot be made", err)
	}
	in.open = a
	return nil
}

// finish ends the file that is open, if one is; it is durable once finish returns.
func (in *intake) finish() error {
	a := in.open
	if a == nil {
		return nil
	}
	in.open = nil
	if err := a.to.Close(); err != nil {
		return output("a file of the production cannot be written", err)
	}
	sum := hex.EncodeToString(a.sum.Sum(nil))
	in.listing.addHex(a.name, sum, a.size)
	if notes, ok := in.sink.(noting); ok {
		if err := notes.Note(a.name, a.size, sum); err != nil {
			return output("the partial folder cannot be written", err)
		}
	}
	return nil
}

// leave closes a file that did not come whole.
func (in *intake) leave() error {
	if in.open == nil {
		return nil
	}
	return in.open.to.Close()
}

// complete checks that what came is what was sent, and that nothing follows.
func (in *intake) complete(part io.Reader, parts *multipart.Reader) (*Completion, error) {
	if err := in.finish(); err != nil {
		return nil, err
	}
	var c Completion
	if err := readJSON(part, &c); err != nil {
		return nil, err
	}
	if c.Files != in.listing.files || c.Bytes != in.listing.bytes || c.SHA256 != in.listing.digest() {
		return nil, &Problem{Title: "the production did not arrive as it was sent", Code: CodeInterrupted, Exit: ExitData,
			Detail: fmt.Sprintf("%d files, %d bytes came; %d files, %d bytes were sent", in.listing.files, in.listing.bytes, c.Files, c.Bytes),
			Hint:   "export again; nothing was kept"}
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		return nil, interrupted(errors.Join(errors.New("no end after the last part"), err))
	}
	return &c, nil
}

// source remembers whether it was reading that failed, and how far it came.
type source struct {
	r        io.Reader
	n        uint64
	err      error
	progress func(n uint64)
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.n += uint64(n) // #nosec G115 -- never negative
	s.progress(s.n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// failed returns the problem with which the daemon ended an export.
func failed(part io.Reader) error {
	b, err := readFinal(part)
	if err != nil {
		return err
	}
	p, err := parseProblem(b)
	if err != nil {
		return protocol(err)
	}
	return p
}

func readJSON(part io.Reader, v any) error {
	b, err := readFinal(part)
	if err != nil {
		return err
	}
	if err := ijson.Unmarshal(b, v); err != nil {
		return protocol(err)
	}
	return nil
}

func readFinal(part io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(part, maxFinal+1))
	if err != nil {
		return nil, interrupted(err)
	}
	if len(b) > maxFinal {
		return nil, protocol(errors.New("a part beyond all bounds"))
	}
	return b, nil
}
