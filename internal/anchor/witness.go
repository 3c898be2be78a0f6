package anchor

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"holdfast/archive/proof"
	"holdfast/internal/outward"
)

// The answers of C2SP tlog-witness.
const (
	typeSize   = "text/x.tlog.size"
	maxCosigs  = 16 << 10 // bytes of an answer: a few note signature lines
	maxHashes  = 63       // C2SP tlog-witness: of a consistency proof
	maxHandles = 3        // a witness that others feed as well may be ahead of what it just said
)

// Witness is a place with a witness: C2SP tlog-witness, add-checkpoint.
type Witness struct {
	key    *proof.Witness
	client *http.Client
	url    string

	// What the witness cosigned last, as far as is known, so that most times one
	// request is enough. Used by one Anchor at a time.
	origin string
	size   uint64
}

// NewWitness returns the witness with the given key at a URL prefix.
func NewWitness(prefix string, key *proof.Witness, client *http.Client) *Witness {
	return &Witness{key: key, client: client, url: strings.TrimSuffix(prefix, "/") + "/add-checkpoint"}
}

// Kind implements Place.
func (w *Witness) Kind() string { return KindWitness }

// Name implements Place: the name of the witness's key.
func (w *Witness) Name() string { return w.key.Name() }

// Anchor implements Place. The proof is the witness's cosignature, a note
// signature line with its line feed, checked against its key.
func (w *Witness) Anchor(ctx context.Context, a Ask) ([]byte, error) {
	old := uint64(0)
	if w.origin == a.Checkpoint.Line() {
		old = min(w.size, a.Checkpoint.Size)
	}
	for range maxHandles {
		answer, err := w.add(ctx, a, old)
		if err != nil {
			return nil, err
		}
		switch answer.Status {
		case http.StatusOK:
			line, err := w.cosignature(a.Signed, answer.Body)
			if err == nil {
				w.origin, w.size = a.Checkpoint.Line(), a.Checkpoint.Size
			}
			return line, err
		case http.StatusConflict:
			if old, err = w.conflict(a, old, answer); err != nil {
				return nil, err
			}
		case http.StatusUnprocessableEntity:
			return nil, fmt.Errorf("%w: the proof that the log grew from the %d entries it saw does not convince it", ErrRefused, old)
		case http.StatusForbidden, http.StatusNotFound:
			return nil, ErrUnknown
		default:
			return nil, fmt.Errorf("%w: status %d", ErrAnswer, answer.Status)
		}
	}
	return nil, fmt.Errorf("%w: it names another size each time", ErrAnswer)
}

// add sends the request:
//
//	old SIZE
//	a hash of the consistency proof in base64, a line each
//
//	the signed checkpoint
func (w *Witness) add(ctx context.Context, a Ask, old uint64) (*outward.Answer, error) {
	body := bytes.NewBuffer(fmt.Appendf(nil, "old %d\n", old))
	if 0 < old && old < a.Checkpoint.Size {
		hashes, err := a.Consistency(ctx, old)
		if err != nil {
			return nil, err
		}
		if len(hashes) > maxHashes {
			return nil, fmt.Errorf("a consistency proof of %d hashes", len(hashes))
		}
		for _, h := range hashes {
			body.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
		}
	}
	body.WriteByte('\n')
	body.Write(a.Signed)
	return outward.Post(ctx, w.client, w.url, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, body, maxCosigs)
}

// conflict reads which size the witness cosigned last, from which the proof has
// to start.
func (w *Witness) conflict(a Ask, old uint64, answer *outward.Answer) (uint64, error) {
	if answer.Type != typeSize {
		if old == a.Checkpoint.Size {
			return 0, fmt.Errorf("%w: it cosigned another root of %d entries", ErrRefused, old)
		}
		return 0, fmt.Errorf("%w: a conflict without a size", ErrAnswer)
	}
	text, ok := strings.CutSuffix(string(answer.Body), "\n")
	size, err := strconv.ParseUint(text, 10, 63)
	if !ok || err != nil || strconv.FormatUint(size, 10) != text {
		return 0, fmt.Errorf("%w: a conflict whose size is no number", ErrAnswer)
	}
	switch {
	case size > a.Checkpoint.Size:
		return 0, fmt.Errorf("%w: it cosigned %d entries, and the log has %d", ErrRefused, size, a.Checkpoint.Size)
	case size == old && size == a.Checkpoint.Size:
		return 0, fmt.Errorf("%w: it cosigned another root of %d entries", ErrRefused, size)
	case size == old:
		return 0, fmt.Errorf("%w: a conflict with the size that it asked for", ErrAnswer)
	}
	return size, nil
}

// cosignature picks the witness's own line out of its answer.
func (w *Witness) cosignature(signed, answer []byte) ([]byte, error) {
	for line := range bytes.Lines(answer) {
		if !bytes.HasPrefix(line, []byte("— ")) || !bytes.HasSuffix(line, []byte("\n")) {
			return nil, fmt.Errorf("%w: a line that is no note signature", ErrAnswer)
		}
		_, ok, err := w.key.Cosigned(Cosigned(signed, line))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		if ok {
			return bytes.Clone(line), nil
		}
	}
	return nil, fmt.Errorf("%w: it holds no cosignature of the witness's", ErrAnswer)
}

// Cosigned returns a signed checkpoint with a witness's cosignature line under
// it.
func Cosigned(signed, line []byte) []byte { return append(bytes.Clone(signed), line...) }
