// Package ijson reads I-JSON (RFC 7493), the only JSON that Holdfast takes from outside: relay pages, envelope headers, message
// payloads, directory events, API requests and load files.
//
// Two readers of the same bytes must never see two different values, so everything that parsers are known to disagree about is refused:
// invalid UTF-8, unpaired surrogates, member names that are equal or differ only in case, numbers of magnitude 2^53 or more, nesting
// deeper than 32, and bytes after the value. The format is specified in ingest/AMX.md §0.
//
// It is ground: every package may import it; it imports nothing of this module.
package ijson

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is the deepest nesting of objects and arrays that is read.
const MaxDepth = 32

// ErrMalformed is wrapped by every error of this package.
var ErrMalformed = errors.New("malformed JSON")

// An Error says what is wrong and where. It never quotes the input: the input may be a message.
type Error struct {
	Offset int    // byte at which reading stopped
	Reason string // free of content
}

func (e *Error) Error() string {
	return fmt.Sprintf("malformed JSON at byte %d: %s", e.Offset, e.Reason)
}

// Unwrap makes every Error an ErrMalformed.
func (e *Error) Unwrap() error { return ErrMalformed }

// Check verifies that b is one I-JSON value (RFC 7493) with nothing but white space around it.
func Check(b []byte) error {
	return check(b, nil, false)
}

// Unmarshal checks b and decodes it into v, a pointer. A member whose name differs from a field's name only in case is malformed, and
// so is null for a member that is neither a pointer, a slice, a map nor an interface. Unknown members are allowed and skipped.
func Unmarshal(b []byte, v any) error { return unmarshal(b, v, false) }

// UnmarshalStrict is Unmarshal, but unknown members are malformed at every level whose Go type is a struct.
func UnmarshalStrict(b []byte, v any) error { return unmarshal(b, v, true) }

func unmarshal(b []byte, v any, strict bool) error {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return fmt.Errorf("ijson: decode into %T: it must be a pointer", v)
	}
	if err := check(b, shapeOf(t.Elem()), strict); err != nil {
		return err
	}
	// Duplicates were refused above, so the decoder need not look for them a second time.
	err := json.Unmarshal(b, v, jsontext.AllowDuplicateNames(true))
	if err == nil {
		return nil
	}
	// The decoder's own text may quote the input, so only the place is passed on.
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return &Error{Offset: int(semantic.ByteOffset), Reason: "a value of the wrong type or out of range"}
	}
	return &Error{Offset: 0, Reason: "cannot be decoded"}
}
