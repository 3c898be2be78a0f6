package reading

import (
	"reflect"
	"testing"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/ingest/envelope"
)

const payload = `{"v":1,"typ":"msg","arc":"a","mid":"AAAAAAAAAAAAAAAAAAAAAA","usr":"u1","dev":"d","n":1,"sent":"2026-03-01T08:00:00.000Z",
"conv":{"id":"c1","kind":"patient","name":"Bed 4","members":["u1",{"usr":"u2","name":"a claim"}]},"to":[{"usr":"u2"},{"usr":"u3"}],"prio":"stat",
"subject":{"mrn":"123","encounter":"e9","born":1950},"body":{"text":"dolor torácico","lang":"es"},
"att":[{"bid":"BBBBBBBBBBBBBBBBBBBBBA","name":"ecg.pdf","mime":"application/pdf","size":3,"alg":"A256GCM-STREAM64K",
"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","ct_sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`

func parse(t *testing.T, s string) *envelope.Payload {
	t.Helper()
	p, err := envelope.ParsePayload([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func party(usr string) query.Party { return query.Party{Usr: usr, Name: "Dr. " + usr} }

// Everything that a message says is where a query looks for it, and nothing is
// left out: a field of Doc that stays zero here is one that nobody fills.
func TestDocSaysAll(t *testing.T) {
	leaf := proof.Leaf{Seq: 7, Received: 1_772_352_000_000}
	got := Doc(leaf, parse(t, payload), [32]byte{9}, party, func(a *envelope.Attachment) query.File {
		return query.File{Name: a.Name, Text: "sinus rhythm", Unread: true}
	})
	want := query.Doc{
		Seq: 7, Typ: "msg", Text: "dolor torácico", Lang: "es", MRN: "123", Encounter: "e9", Prio: "stat",
		Files: []query.File{{Name: "ecg.pdf", Text: "sinus rhythm", Unread: true}}, Unread: true,
		From: query.Parties{party("u1")}, To: query.Parties{party("u2"), party("u3")}, Members: query.Parties{party("u1"), party("u2")},
		Conversation: query.ConversationRef{ID: "c1", Name: "Bed 4", Kind: "patient"},
		Sent:         time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Received: leaf.ReceivedTime(), Digest: [32]byte{9},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	late := Late(proof.Leaf{Seq: 90}, got)
	if late.Seq != 90 || !late.Late || late.Of != 7 || late.About() != 7 || late.Received != got.Received {
		t.Errorf("%+v", late)
	}
	elsewhere := map[string]bool{"Quarantined": true, "Code": true, "Hangs": true, "Ref": true}
	for v, i := reflect.ValueOf(late), 0; i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !elsewhere[name] {
			t.Errorf("nobody says %s", name)
		}
	}
}

func TestDocThatHangs(t *testing.T) {
	const ref = `,"ref":{"dev":"d","mid":"AAAAAAAAAAAAAAAAAAAAAA","digest":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`
	for typ, hangs := range map[string]bool{
		envelope.TypMsg: false, envelope.TypEdit: false, envelope.TypRecall: true, envelope.TypReaction: true, envelope.TypExpiry: true,
		envelope.TypMember: true, envelope.TypClose: true, envelope.TypCall: true, envelope.TypCheckpoint: true,
	} {
		text := `{"v":1,"typ":"` + typ + `","arc":"a","mid":"AAAAAAAAAAAAAAAAAAAAAA","usr":"u1","dev":"d","n":1,"sent":"2026-03-01T08:00:00.000Z","body":{"text":"words"}`
		if typ != envelope.TypMsg {
			text += ref
		}
		d := Doc(proof.Leaf{}, parse(t, text+"}"), [32]byte{}, party, Unread)
		if d.Hangs != hangs || (d.Text == "words") == hangs || (d.Ref == [32]byte{1}) == (typ == envelope.TypMsg) || d.From[0].Usr != "u1" {
			t.Errorf("%s: %+v", typ, d)
		}
	}
}

func TestQuarantined(t *testing.T) {
	leaf := proof.Leaf{Seq: 3, Received: 1_772_352_000_000}
	want := query.Doc{Seq: 3, Received: leaf.ReceivedTime(), Quarantined: true, Code: "malformed"}
	if got := Quarantined(leaf, "malformed"); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}
