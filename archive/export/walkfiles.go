package export

import (
	"errors"
	"fmt"
	"io"

	"holdfast/archive/proof"
)

// natives checks the files that stand beside an item's record.
func (w *walk) natives(it *item) {
	prefix := w.v.m.volume(w.volume)
	dir := "."
	if prefix != "" {
		dir = prefix[:len(prefix)-1]
	}
	if it.says.Text != "" {
		w.textFile(it.says.Text, fmt.Sprintf("%stexts/%012d.txt", prefix, it.row.Seq), it.row.Seq, it.row.Text)
	}
	for i, c := range it.says.Attachments {
		if c.Text != "" && c.Text != fmt.Sprintf("%stexts/%012d-%d.txt", prefix, it.row.Seq, i+1) {
			w.v.v.entry(fileProofs, 0, it.row.Seq, Changed, "it names a text that is not its own")
		}
		if c.Path != "" && it.payload != nil {
			w.v.native(dir, it.row.Seq, i, &it.payload.Att[i], c.Path, c.SHA256)
		}
	}
}

// textFile compares a file with a message's text.
func (w *walk) textFile(name, want string, seq uint64, text string) {
	if name != want {
		w.v.v.entry(fileProofs, 0, seq, Changed, "it names a text that is not its own")
		return
	}
	w.v.list.see(name)
	b, err := readSmall(w.v.fsys, name, int64(len(text)))
	switch {
	case err != nil:
		w.v.v.entry(name, 0, seq, problemOf(err), "it is not the text of its message")
	case string(b) != text:
		w.v.v.entry(name, 0, seq, Changed, "it is not the text of its message")
	}
}

// maxFileText bounds what could be read of one attachment, in bytes.
const maxFileText = 64 << 20

// text returns what could be read of an attachment, from its file.
func (w *walk) text(it *item, i int) string {
	b, err := readSmall(w.v.fsys, it.says.Attachments[i].Text, maxFileText)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(b)
}

// rested answers for a row by the evidence that its proof names.
type rested struct {
	book  *book
	rests []uint64
	at    uint64
}

// User implements AsOf.
func (r *rested) User(usr string, at proof.Leaf) (Person, bool) {
	for _, seq := range r.rests {
		if p, ok := r.book.seen[seq].asUser(usr, at); ok {
			return p, true
		}
	}
	return Person{}, false
}

// Approval implements AsOf.
func (r *rested) Approval(kid string, at proof.Leaf) (uint64, bool) {
	for _, seq := range r.rests {
		if r.book.seen[seq].asApproval(kid, at) != nil {
			return seq, true
		}
	}
	return 0, false
}

// Blob implements AsOf.
func (r *rested) Blob(at proof.Leaf, bid string) (string, uint64, bool) {
	for _, seq := range r.rests {
		if status, ok := r.book.seen[seq].asBlob(at, bid); ok && seq < r.at {
			return status, seq, true
		}
	}
	return "", 0, false
}
