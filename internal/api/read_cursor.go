package api

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/ijson"
)

// cursorKey seals cursors and watches. It is made anew at every start: a cursor
// stands in shells' histories, and under a key that lasts it would tell who
// holds that key what was searched for, by trying.
type cursorKey [sha256.Size]byte

func newCursorKey() (cursorKey, error) {
	var k cursorKey
	_, err := rand.Read(k[:])
	return k, err
}

// cursor is a place in the answer to a look, or how far a watch has come. It is
// base64url of its JSON. Only the server that made it takes it back.
type cursor struct {
	V     int    `json:"v"`    // 1
	Made  string `json:"made"` // by which server: of its key
	Of    string `json:"of"`   // the look that it belongs to: query, order and scope
	Whom  string `json:"whom"` // whom its names, groups and scope stood for
	AsOf  uint64 `json:"as_of"`
	After uint64 `json:"after,omitempty"`
	Now   int64  `json:"now"` // Unix milliseconds: what "today" meant on the first page
	Watch bool   `json:"watch,omitempty"`
	Sent  int64  `json:"sent,omitempty"` // place: Unix milliseconds
	Seq   uint64 `json:"seq,omitempty"`
	Mac   string `json:"mac"`
}

const maxCursor = 1 << 10 // bytes

// made names a key without telling it.
func (k *cursorKey) made() string { return k.digest("made")[:8] }

// digest is a keyed digest of parts, none of which can pass for two.
func (k *cursorKey) digest(parts ...string) string {
	h := hmac.New(sha256.New, k[:])
	for _, p := range parts {
		_, _ = h.Write([]byte(strconv.Itoa(len(p)) + ":" + p)) // a hash takes everything
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

func (k *cursorKey) mac(c cursor) (string, error) {
	c.Mac = ""
	b, err := json.Marshal(c)
	return k.digest("cursor", string(b)), err
}

func (k *cursorKey) seal(c cursor) (string, error) {
	c.V, c.Made = 1, k.made()
	var err error
	if c.Mac, err = k.mac(c); err != nil {
		return "", err
	}
	b, err := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(b), err
}

// open reads a cursor that this server made. What it belongs to is for the
// caller to compare.
func (k *cursorKey) open(text string, watch bool) (*cursor, error) {
	if len(text) > maxCursor {
		return nil, errCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errCursor
	}
	var c cursor
	if err := ijson.UnmarshalStrict(b, &c); err != nil || c.V != 1 {
		return nil, errCursor
	}
	if c.Made != k.made() {
		return nil, errCursorOld
	}
	mac, err := k.mac(c)
	if err != nil || !hmac.Equal([]byte(mac), []byte(c.Mac)) || c.Watch != watch {
		return nil, errCursor
	}
	return &c, nil
}

// Problems of cursors.
var (
	errCursor = &Problem{Title: "that is no cursor of this daemon", Status: http.StatusBadRequest, Code: CodeCursor, Exit: ExitUsage,
		Hint: "give the cursor exactly as the page before this one said it, or begin with the first page"}
	errCursorOther = &Problem{Title: "the cursor belongs to something else", Status: http.StatusConflict, Code: CodeCursor, Exit: ExitUsage,
		Hint: "repeat query, order and options of the page that gave it, with the same role; or begin with the first page"}
	errCursorOld = &Problem{Title: "the cursor has expired: the daemon was started anew since", Status: http.StatusConflict, Code: CodeCursor, Exit: ExitTemporary,
		Hint: "begin with the first page; --as-of with its through_seq counts the same entries"}
	errCursorPeople = &Problem{Title: "the cursor has expired: whom the query's names stand for has changed since its first page", Status: http.StatusConflict, Code: CodeCursor, Exit: ExitTemporary,
		Hint: "begin with the first page: other messages belong to the answer now"}
)

// place returns where a cursor stands.
func (c *cursor) place() *Place {
	p := &Place{Seq: c.Seq}
	if c.Sent != 0 {
		p.Sent = time.UnixMilli(c.Sent).UTC()
	}
	return p
}

// scopeText is a caller's scope in words, for what a cursor belongs to.
func (c *caller) scopeText() string {
	if c.scope.All {
		return "all"
	}
	var b strings.Builder
	for _, g := range c.scope.Of {
		fmt.Fprintf(&b, "%q %q\n", g.Department, g.OU)
	}
	return b.String()
}
