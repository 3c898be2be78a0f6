package envelope

import (
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"holdfast/internal/jws"

	"github.com/go-json-experiment/json"
)

func fullPayload() *Payload {
	return &Payload{V: 1, Typ: TypReceipt, Arc: testArc, Mid: id16(1), Usr: "u1", Dev: "d", N: 7, Prev: digest32(1), Sent: FormatTime(noon),
		Conv: &Conv{ID: "c", Kind: "patient", Name: "病房", Members: Members{{Usr: "u1"}, {Usr: "u2", Name: "Ñ"}}},
		To:   []Party{{Usr: "u2", Name: "Ñ"}}, Prio: "stat", TTL: 60, Subject: &Subject{MRN: "m", Encounter: "e", Born: 1950},
		Label: []string{"legal"}, Body: &Body{Text: "t", Lang: "es", MIME: "text/plain"},
		Ref: &Ref{Dev: "d", Mid: id16(2), Digest: digest32(2)}, Status: "read", At: FormatTime(noon),
		Att: []Attachment{{BID: id16(3), Name: "x.pdf", MIME: "application/pdf", Size: 9, Alg: AttachmentAlg, Key: digest32(4), CTSHA256: digest32(5)}}}
}

func TestPayloadRoundTrip(t *testing.T) {
	p := fullPayload()
	for name, marshal := range map[string]func(any) ([]byte, error){
		"v1": stdjson.Marshal, "v2": func(v any) ([]byte, error) { return json.Marshal(v) },
	} {
		got := must[*Payload](t)(ParsePayload(must[[]byte](t)(marshal(p))))
		if !got.SentTime().Equal(noon) {
			t.Errorf("%s: sent %v", name, got.SentTime())
		}
		got.sentTime = p.sentTime
		if !reflect.DeepEqual(got, p) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	key, err := p.Att[0].Secret()
	if sum, err2 := p.Att[0].Sum(); err != nil || err2 != nil || key[0] != 4 || sum[31] != 5 {
		t.Errorf("attachment key %x, sum %x: %v %v", key, sum, err, err2)
	}
}

func TestPayloadForms(t *testing.T) {
	good := string(must[[]byte](t)(json.Marshal(fullPayload())))
	people := func(n int) string { return strings.TrimSuffix(strings.Repeat(`{"usr":"u"},`, n), ",") }
	var full struct{ Att []stdjson.RawMessage }
	if err := stdjson.Unmarshal([]byte(good), &full); err != nil {
		t.Fatal(err)
	}
	att := string(full.Att[0])
	atts := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = strings.Replace(att, id16(3), id16(byte(100+i)), 1)
		}
		return strings.Join(all, ",")
	}
	members := `[{"usr":"u1"},{"usr":"u2","name":"Ñ"}]`
	for _, c := range []struct {
		old, new string
		code     Code // "" for accepted
	}{
		{"", "", ""},
		{`{"v":1`, `{"v":1,"future":{"Usr":1,"usr2":[null]}`, ""},
		{members, `["u1",{"usr":"u2"}]`, ""},
		{members, `null`, ""},
		{members, `[]`, ""},
		{members, `[` + people(MaxMembers) + `]`, ""},
		{att, atts(MaxAttachments), ""},
		{`"prio":"stat",`, ``, ""},
		{`"at":"` + FormatTime(noon) + `",`, ``, ""},
		{`"usr":"u1"`, `"usr":"` + strings.Repeat("u", MaxName) + `"`, ""},
		{`"n":7`, `"n":9007199254740991`, ""},
		{`"prev":"` + digest32(1) + `"`, `"prev":""`, ""},

		{`"v":1`, `"v":2`, UnsupportedVersion},
		{`"v":1`, `"v":0`, UnsupportedVersion},
		{`"v":1,`, ``, Malformed},
		{`"v":1`, `"v":"1"`, Malformed},
		{`"v":1`, `"v":1.0`, Malformed},
		{`"v":1`, `"V":1`, Malformed},
		{`"typ":"receipt"`, `"typ":"Receipt"`, Malformed},
		{`"typ":"receipt",`, ``, Malformed},
		{testArc, `UPPER`, Malformed},
		{id16(1), `short`, Malformed},
		{`"usr":"u1","dev"`, `"usr":"","dev"`, Malformed},
		{`"usr":"u1","dev"`, `"usr":null,"dev"`, Malformed},
		{`"usr":"u1","dev"`, `"usr":"` + strings.Repeat("u", MaxName+1) + `","dev"`, Malformed},
		{`"dev":"d","n"`, `"n"`, Malformed},
		{`"n":7`, `"n":0`, Malformed},
		{`"n":7`, `"n":-1`, Malformed},
		{`"n":7`, `"n":9007199254740992`, Malformed},
		{`"n":7`, `"n":"7"`, Malformed},
		{digest32(1), digest32(1)[:42], Malformed},
		{digest32(1), digest32(1)[:42] + "F", Malformed},
		{`"sent":"` + FormatTime(noon) + `"`, `"sent":"2026-03-01T12:00:00Z"`, Malformed},
		{`"sent":"` + FormatTime(noon) + `"`, `"sent":1772366400`, Malformed},
		{`"kind":"patient"`, `"kind":"room"`, Malformed},
		{`"id":"c"`, `"id":""`, Malformed},
		{members, `["u1","u1",""]`, Malformed},
		{members, `["u1",{"Usr":"u2"}]`, Malformed},
		{members, `["u1",{"usr":"u2","usr":"u2"}]`, Malformed},
		{members, `["u1",{"usr":"u2","Name":"x"}]`, Malformed},
		{members, `["u1",7]`, Malformed},
		{members, `{"u1":"u2"}`, Malformed},
		{members, `"u1"`, Malformed},
		{members, `[null]`, Malformed},
		{members, `[` + people(MaxMembers+1) + `]`, Malformed},
		{`"to":[`, `"to":[` + people(MaxMembers) + `,`, Malformed},
		{`"to":[{"usr":"u2"`, `"to":[{"usr":""`, Malformed},
		{`"to":[{"usr":"u2"`, `"to":[{"USR":"u2"`, Malformed},
		{`"prio":"stat"`, `"prio":"asap"`, Malformed},
		{`"ttl_s":60`, `"ttl_s":-1`, Malformed},
		{`"label":["legal"]`, `"label":"legal"`, Malformed},
		{`"body":{"text":"t"`, `"body":{"Text":"t"`, Malformed},
		{`"body":{"text":"t"`, `"body":{"text":"\ud800"`, Malformed},
		{`"ref":{`, `"reff":{`, Malformed},
		{`"ref":{"dev":"d"`, `"ref":{"dev":""`, Malformed},
		{id16(2), "x", Malformed},
		{digest32(2), "x", Malformed},
		{`"status":"read"`, `"status":"seen"`, Malformed},
		{`"status":"read",`, ``, Malformed},
		{`"at":"` + FormatTime(noon) + `"`, `"at":"noon"`, Malformed},
		{att, atts(MaxAttachments + 1), Malformed},
		{att, att + "," + att, Malformed},
		{att, att + "," + strings.Replace(att, digest32(5), digest32(6), 1), Malformed},
		{id16(3), "../../etc/passwd", Malformed},
		{`"size":9`, `"size":-9`, Malformed},
		{AttachmentAlg, "none", Malformed},
		{digest32(4), digest32(4)[:40], Malformed},
		{digest32(5), "", Malformed},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("%s is not in the payload", c.old)
		}
		_, err := ParsePayload([]byte(strings.Replace(good, c.old, c.new, 1)))
		short := fmt.Sprintf("%.60s for %.60s", c.new, c.old)
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", short, err)
			}
			continue
		}
		wantCode(t, short, err, c.code)
	}
	for _, typ := range refTyps {
		p := message("u1", "d")
		p.Typ, p.Status = typ, "read"
		_, err := ParsePayload(must[[]byte](t)(json.Marshal(p)))
		wantCode(t, typ+" without ref", err, Malformed)
	}
	for _, typ := range typs {
		p := fullPayload()
		p.Typ = typ
		if _, err := SignMessage(newSigner(t, jws.EdDSA), p); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
	if _, err := SignMessage(newSigner(t, jws.EdDSA), &Payload{V: 1}); err == nil {
		t.Error("signed a payload that nobody would accept")
	}
}
