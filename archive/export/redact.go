package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// payloadOf returns what a message's JWS covers, JSON.
func payloadOf(body []byte) []byte {
	compact, err := jws.Parse(body, envelope.TypMessage)
	if err != nil {
		return nil
	}
	return compact.Payload
}

// redact covers the text of the item as the request wants, and reports whether
// it had to. Where a pattern fits anything that somebody wrote, the entry's own
// bytes cannot leave, whether or not a row shows it.
func (c *cover) redact(p *producer, it *item, m mark) bool {
	if len(p.req.Redact) == 0 {
		return false
	}
	said := it.said()
	reasons := make([]string, 0, len(p.req.Redact))
	note := func(why string) {
		if !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
	}
	for i := range p.req.Redact {
		r := &p.req.Redact[i]
		if r.Seq != nil && !slices.Contains(m.redact, i) {
			continue
		}
		if r.Pattern == nil {
			note(r.Reason)
			it.coverAll()
			continue
		}
		if !slices.ContainsFunc(said, r.Pattern.MatchString) {
			continue
		}
		note(r.Reason)
		it.row.Redacted = true
		for _, s := range it.row.written() {
			it.places += len(r.Pattern.FindAllStringIndex(*s, -1))
			*s = r.Pattern.ReplaceAllLiteralString(*s, covered)
		}
		if s := it.row.Subject; s != nil && s.Born != 0 && r.Pattern.MatchString(strconv.FormatInt(s.Born, 10)) {
			it.places++
			s.Born = 0
		}
	}
	it.reasons = reasons
	return it.row.Redacted
}

// coverAll covers the whole text, and drops whom it is about.
func (it *item) coverAll() {
	it.row.Redacted, it.row.Subject = true, nil
	if it.row.Text != "" {
		it.row.Text = covered
	}
	it.places++
}

// written returns what of the row somebody wrote, but the text of a relay's
// event, which goes as a whole, and names of attachments, which do as well.
func (row *Row) written() []*string {
	out := []*string{&row.Text}
	if row.Conversation != nil {
		c := *row.Conversation
		row.Conversation = &c
		out = append(out, &c.Name, &c.ID)
	}
	if row.Subject != nil {
		s := *row.Subject
		row.Subject = &s
		out = append(out, &s.MRN, &s.Encounter)
	}
	return out
}

// said returns every string of the entry's body that somebody may have
// written: of a message all but what the protocol gives a form, unknown
// members included; of the rest all.
func (it *item) said() []string {
	if it.payload == nil {
		return appendStrings(nil, it.rec.Body)
	}
	var payload map[string]any
	d := json.NewDecoder(bytes.NewReader(payloadOf(it.rec.Body)))
	d.UseNumber()
	if err := d.Decode(&payload); err != nil {
		return []string{string(it.rec.Body)}
	}
	without(payload, "v", "typ", "arc", "mid", "usr", "dev", "n", "prev", "sent", "prio", "ttl_s", "ref", "status", "at")
	without(payload["body"], "lang", "mime")
	without(payload["conv"], "kind")
	without(payload["to"], "usr")
	without(payload["att"], "bid", "mime", "size", "alg", "key", "ct_sha256")
	if conv, ok := payload["conv"].(map[string]any); ok {
		conv["members"] = withoutUsrs(conv["members"])
	}
	return texts(nil, payload)
}

// without deletes members of an object, or of each object of a list.
func without(v any, names ...string) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range names {
			delete(v, name)
		}
	case []any:
		for _, e := range v {
			without(e, names...)
		}
	}
}

// withoutUsrs returns members without their usrs: each is an object, or a usr
// alone.
func withoutUsrs(members any) []any {
	list, _ := members.([]any)
	without(members, "usr")
	return slices.DeleteFunc(slices.Clone(list), func(m any) bool {
		_, bare := m.(string)
		return bare
	})
}

// members are the names that the protocol gives to what somebody writes: that
// they stand in a payload tells nothing.
var members = []string{"conv", "id", "name", "members", "to", "subject", "mrn", "encounter", "born", "label", "body", "text", "att"}

// texts appends all strings and numbers in v, and the names of members that the
// protocol does not know, in a fixed order.
func texts(out []string, v any) []string {
	switch v := v.(type) {
	case string:
		out = append(out, v)
	case json.Number:
		out = append(out, v.String())
	case []any:
		for _, e := range v {
			out = texts(out, e)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if !slices.Contains(members, name) {
				out = append(out, name)
			}
			out = texts(out, v[name])
		}
	}
	return out
}

// appendStrings appends every string of a JSON text, names of members included;
// of what is none the text itself.
func appendStrings(out []string, text []byte) []string {
	d := json.NewDecoder(strings.NewReader(string(text)))
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			return append(out, string(text))
		}
		if s, ok := t.(string); ok {
			out = append(out, s)
		}
	}
}
