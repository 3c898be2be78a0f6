package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"unicode"
)

// message is a line of the set that is a message.
type message struct {
	ID   string `json:"id"`
	Typ  string `json:"typ"`
	In   string `json:"in"`
	Ref  string `json:"ref"`
	From string `json:"from"`
	Text string `json:"text"`
	Att  []struct {
		Name string `json:"name"`
		MIME string `json:"mime"`
		Data []byte `json:"data"`
	} `json:"att"`
}

// relayUser is a line of the set that is a person.
type relayUser struct{ User, Name, Mail string }

// set is the message set as a plain reading of the file gives it: the truth
// with which the archive's answers are compared.
type set struct {
	messages      []message
	users         []relayUser
	conversations map[string]string // names by id
}

func readSet(path string) (*set, error) {
	f, err := os.Open(path) // #nosec G304 -- whoever runs the demo names it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &set{conversations: map[string]string{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		var l struct {
			message
			User string `json:"user"`
			Conv string `json:"conv"`
			Name string `json:"name"`
			Mail string `json:"mail"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		switch {
		case l.ID != "":
			s.messages = append(s.messages, l.message)
		case l.Conv != "":
			s.conversations[l.Conv] = l.Name
		case l.User != "":
			s.users = append(s.users, relayUser{l.User, l.Name, l.Mail})
		}
	}
	return s, lines.Err()
}

// says reports whether the message has a text of its own, which searches find:
// receipts, reactions, recalls and their like hang at another message.
func (m *message) says() bool { return m.Typ == "" || m.Typ == "msg" || m.Typ == "edit" }

// count counts the messages that say something and that the test accepts.
func (s *set) count(accept func(*message) bool) int {
	n := 0
	for i := range s.messages {
		if m := &s.messages[i]; m.says() && accept(m) {
			n++
		}
	}
	return n
}

// withPhrase counts the messages in whose text, or in the text of an attachment,
// the words stand one after the other, regardless of case.
func (s *set) withPhrase(words ...string) int {
	return s.count(func(m *message) bool { return m.has(words) })
}

func (m *message) has(words []string) bool {
	if phraseIn(split(m.Text), words) {
		return true
	}
	for _, a := range m.Att {
		if strings.HasPrefix(a.MIME, "text/") && phraseIn(split(string(a.Data)), words) {
			return true
		}
	}
	return false
}

// split cuts a text into words in lower case, each Chinese sign one by itself.
func split(text string) []string {
	var spaced strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case unicode.Is(unicode.Han, r):
			spaced.WriteString(" " + string(r) + " ")
		case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r):
			spaced.WriteRune(r)
		default:
			spaced.WriteByte(' ')
		}
	}
	return strings.Fields(spaced.String())
}

func phraseIn(text, words []string) bool {
	for i := 0; i+len(words) <= len(text); i++ {
		if strings.Join(text[i:i+len(words)], " ") == strings.Join(words, " ") {
			return true
		}
	}
	return false
}

// from counts the messages that somebody sent.
func (s *set) from(user string) int {
	return s.count(func(m *message) bool { return m.From == user })
}

// inConversation counts the messages of a conversation.
func (s *set) inConversation(id string) int {
	return s.count(func(m *message) bool { return m.In == id })
}

// hangingIn counts what hangs at the messages of a conversation: receipts and
// their like.
func (s *set) hangingIn(id string) int {
	in := map[string]string{}
	n := 0
	for i := range s.messages {
		m := &s.messages[i]
		in[m.ID] = m.In
		if !m.says() && m.Ref != "" && in[m.Ref] == id {
			n++
		}
	}
	return n
}

// withAttachment returns the first message that has one.
func (s *set) withAttachment() (message, error) {
	for _, m := range s.messages {
		if len(m.Att) > 0 {
			return m, nil
		}
	}
	return message{}, fmt.Errorf("the set has no message with an attachment")
}
