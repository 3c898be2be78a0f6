package query

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"
)

// before is what the program said of a query and an entry when language 1 was
// the only one.
type before struct {
	Query     string `json:"query"`
	Text      string `json:"text"`
	Names     []string
	Unread    bool
	From, To  Parties
	ConvID    string    `json:"conv_id"`
	ConvName  string    `json:"conv_name"`
	Sent      time.Time `json:"sent"`
	Received  time.Time `json:"received"`
	Canonical string    `json:"canonical"`
	Judged    Truth     `json:"judged"`
	Match     bool      `json:"match"`
	Column    int       `json:"column"` // of the error; 0: there was none
}

func (b *before) doc() *Doc {
	d := &Doc{
		Text: b.Text, Unread: b.Unread, From: b.From, To: b.To, Sent: b.Sent, Received: b.Received,
		Conversation: ConversationRef{ID: b.ConvID, Name: b.ConvName},
	}
	for _, name := range b.Names {
		d.Files = append(d.Files, File{Name: name})
	}
	return d
}

// An old hold's query finds what it found: testdata/one.jsonl.gz was written by
// the program as it was before language 2.
func TestLanguageOneAsItWas(t *testing.T) {
	file, err := os.Open("testdata/one.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(unzipped); lines.Scan(); n++ {
		var b before
		if err := json.Unmarshal(lines.Bytes(), &b); err != nil {
			t.Fatal(err)
		}
		q, err := ParseLanguage(1, b.Query)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Column != b.Column {
				t.Errorf("%s: %v, it was column %d", b.Query, err, b.Column)
			}
			continue
		}
		d := b.doc()
		if b.Column != 0 || q.String() != b.Canonical || q.Judge(d) != b.Judged || q.Match(d) != b.Match {
			t.Errorf("%s: %s, judged %d, match %v; it was %s, %d, %v (error at %d)", b.Query, q, q.Judge(d), q.Match(d), b.Canonical, b.Judged, b.Match, b.Column)
		}
	}
	if n < 1000 {
		t.Errorf("%d entries", n)
	}
}
