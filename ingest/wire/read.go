package wire

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// ReadPage reads one page to the end of r and returns it whole and verified, or an error that wraps the sentinel naming the
// violation, or r's own error. At most MaxPage bytes are read. Unknown members of a line are ignored.
func ReadPage(r io.Reader, want Expect) (*Page, error) {
	limit := want.Limit
	if limit <= 0 || limit > MaxPageEvents {
		limit = MaxPageEvents
	}
	lines := newLineReader(r)
	page := &Page{}
	seq, head := want.After, want.Head
	for {
		line, err := lines.next()
		if err != nil {
			return nil, err
		}
		parsed, err := parseLine(line)
		if err != nil {
			if lines.atEOF {
				return nil, fmt.Errorf("%w: its last line breaks off", ErrTruncated)
			}
			return nil, fmt.Errorf("line after seq %d: %w", seq, err)
		}
		if parsed.end != nil {
			page.End = *parsed.end
			break
		}
		if len(page.Events) == limit {
			return nil, fmt.Errorf("page has more than the %d events asked for: %w", limit, ErrTooLarge)
		}
		e := parsed.event
		switch {
		case e.Seq <= seq:
			return nil, fmt.Errorf("%w: %d after %d", ErrRepeat, e.Seq, seq)
		case e.Seq != seq+1:
			return nil, fmt.Errorf("%w: %d after %d", ErrGap, e.Seq, seq)
		}
		seq, head = e.Seq, head.Next(e)
		page.Events = append(page.Events, e)
	}
	if err := lines.atEnd(); err != nil {
		return nil, err
	}
	if err := page.check(want, seq, head); err != nil {
		return nil, err
	}
	return page, nil
}

// check holds the end line against the events, whose last seq and head are given. The signature comes first, so that a HeadError is
// always evidence.
func (p *Page) check(want Expect, seq uint64, head Head) error {
	if p.End.Next != seq {
		return fmt.Errorf("%w: %d after seq %d", ErrNext, p.End.Next, seq)
	}
	if err := p.End.Verify(want.HeadKey, want.Arc, want.Epoch); err != nil {
		return fmt.Errorf("end line at seq %d: %w", seq, err)
	}
	if subtle.ConstantTimeCompare(p.End.Head[:], head[:]) != 1 {
		return &HeadError{End: p.End, Computed: head}
	}
	if p.End.High < p.End.Next || p.End.Oldest > p.End.High+1 {
		return fmt.Errorf("end line at seq %d: %w: oldest, next and high are out of order", seq, ErrMalformed)
	}
	return nil
}

// line is either line of a page; a pointer tells an absent member from a zero.
type line struct {
	Seq    *uint64 `json:"seq"`
	ID     *string `json:"id"`
	Kind   *string `json:"kind"`
	Time   *string `json:"time"`
	Data   *string `json:"data"`
	End    *bool   `json:"end"`
	Next   *uint64 `json:"next"`
	High   *uint64 `json:"high"`
	Oldest *uint64 `json:"oldest"`
	Head   *string `json:"head"`
	Sig    *string `json:"sig"`
}

// parsedLine holds an event, or an end line where end is set.
type parsedLine struct {
	event Event
	end   *End
}

func parseLine(b []byte) (parsedLine, error) {
	var l line
	if err := ijson.Unmarshal(b, &l); err != nil {
		return parsedLine{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	isEvent := l.Seq != nil || l.ID != nil || l.Kind != nil || l.Data != nil
	isEnd := l.End != nil || l.Next != nil || l.High != nil || l.Oldest != nil || l.Head != nil || l.Sig != nil
	if isEvent == isEnd || l.Time == nil {
		return parsedLine{}, fmt.Errorf("%w: neither an event nor an end line", ErrMalformed)
	}
	if _, err := parseTime(*l.Time); err != nil {
		return parsedLine{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if isEnd {
		end, err := l.asEnd()
		return parsedLine{end: end}, err
	}
	if l.Seq == nil || l.ID == nil || l.Kind == nil || l.Data == nil {
		return parsedLine{}, fmt.Errorf("%w: an event lacks a member", ErrMalformed)
	}
	if len(*l.ID) > MaxID || len(*l.Kind) > MaxKind || *l.Kind == "" {
		return parsedLine{}, fmt.Errorf("%w: an event's id or kind is too long, or its kind is empty", ErrMalformed)
	}
	return parsedLine{event: Event{Seq: *l.Seq, ID: *l.ID, Kind: *l.Kind, Time: *l.Time, Data: *l.Data}}, nil
}

func (l *line) asEnd() (*End, error) {
	if l.End == nil || !*l.End || l.Next == nil || l.High == nil || l.Oldest == nil || l.Head == nil || l.Sig == nil {
		return nil, fmt.Errorf("%w: an end line lacks a member", ErrMalformed)
	}
	head, err := parseHead(*l.Head)
	if err != nil {
		return nil, err
	}
	sig, err := jws.DecodeB64(*l.Sig)
	if err != nil || len(sig) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: an end line's sig is not 64 bytes of base64url", ErrMalformed)
	}
	return &End{Next: *l.Next, High: *l.High, Oldest: *l.Oldest, Head: head, Time: *l.Time, Sig: sig}, nil
}

func parseHead(s string) (Head, error) {
	b, err := jws.DecodeB64(s)
	if err != nil || len(b) != len(Head{}) {
		return Head{}, fmt.Errorf("%w: a head is not 32 bytes of base64url", ErrMalformed)
	}
	return Head(b), nil
}

// lineReader cuts a page into lines under the page's limit and passes over heartbeats.
type lineReader struct {
	r     *bufio.Reader
	read  int    // bytes of the page so far
	buf   []byte // a line longer than the bufio buffer
	atEOF bool   // the last line had no newline
}

func newLineReader(r io.Reader) *lineReader {
	// One byte above the limit is let through so that reaching it can be told from a page that just fits.
	return &lineReader{r: bufio.NewReaderSize(io.LimitReader(r, MaxPage+1), 64<<10)}
}

// next returns the next line that is not blank, without its newline; the bytes are valid until the next call. A line may be as long
// as the page: the page's limit bounds the memory.
func (l *lineReader) next() ([]byte, error) {
	for {
		b, err := l.line()
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimRight(b, "\r")) > 0 {
			return b, nil
		}
		if l.atEOF {
			return nil, ErrTruncated
		}
	}
}

func (l *lineReader) line() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.read += len(part)
		if l.read > MaxPage {
			return nil, fmt.Errorf("page is %w: over %d bytes", ErrTooLarge, MaxPage)
		}
		switch {
		case err == nil:
			part = part[:len(part)-1]
		case errors.Is(err, io.EOF):
			l.atEOF = true
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("%w: %w", ErrTruncated, err)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("read page: %w", err)
		}
		if len(l.buf) == 0 && !errors.Is(err, bufio.ErrBufferFull) {
			return part, nil
		}
		l.buf = append(l.buf, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l.buf, nil
		}
	}
}

// atEnd makes sure that nothing follows the end line.
func (l *lineReader) atEnd() error {
	if l.atEOF {
		return nil
	}
	_, err := l.r.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	case err != nil:
		return fmt.Errorf("read page: %w", err)
	}
	return fmt.Errorf("%w: bytes follow the end line", ErrMalformed)
}
