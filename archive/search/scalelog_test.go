package search

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/archive/query"
)

// scaleLine is a message of a corpus; all but the text may be empty.
type scaleLine struct {
	Text, From, To, Conversation, Section, Speaker string
}

// scaleStrange are messages that no English corpus has.
var scaleStrange = strings.Split(strings.TrimSpace(`
El paciente de la habitación 12 no tomó la medicación de la noche
Las pacientes de las habitaciones 14 y 15 tomaron sus medicaciones
medicacion pendiente, la enfermera hablará con los médicos mañana por la mañana
Hablamos ayer: las canciones del niño le calmaron; ¿cómo está hoy el niñito?
El señor Peña, ya medicado, tiene presion alta, la presión de ayer 160/95; vigilar presiones
exámenes listos, examen de orina normal, ¿quién los recogió?
患者の血圧は高いです。明日検査をします
患者已经出院了，请通知家属来接
請問病房３０５的病人今天吃藥了嗎？
ラーメンを食べたあと、ｱﾚﾙｷﾞｰが出ました。点滴中です
환자가 오늘 병원에서 퇴원했습니다
응급실로 환자를 옮겨 주세요, 혈압 낮음
👍🏽 see you at the café ☕️ 3️⃣ pm 🇪🇸🇫🇷
👍 ok 😀😀 done ✅ ❤️ 👩‍⚕️ will call
💊💊 taken, 🏥 next; 🇬 half a flag
Le café est prêt, la crème brûlée aussi; naïve façade
cafe at the corner; CAFÉ closed; cafés everywhere
Der Patient mit Füßen, STRASSE und Straße, Größe 1,80
Smørrebrød für Łukasz, Þór og Ægir; œuvre, İstanbul ısı
x`+"\u00ad"+`ray and co`+"\u200d"+`op, hidden`+"\u200b"+`space, zero`+"\ufeff"+`width
decomposed: cafe`+"\u0301"+` man`+"\u0303"+`ana e`+"\u0301"+`te`+"\u0301"+`
ﬁle ofﬁce ½ tablet ２００ｍｇ Ａｓｐｉｒｉｎ ①②③ K⁺ H₂O 38°C µg μg
Ελλάδα ΟΔΟΣ οδός ὀδός; Ёлка елка, й и; בְּרֵאשִׁית בראשית; مُسْتَشْفَى مستشفى
हिन्दी में रोगी की हालत; ผู้ป่วยสบายดี
don't o'brien's foo_bar x-ray 10:30 3pm K2 b.i.d. q8h a/b AND OR NOT NEAR and or not
`+strings.Repeat("abcdefghij", 30)+` after a run of three hundred
`+strings.Repeat("é", 130)+` after a run of accents
potassium potasium pottasium potassum postassium optassium potassiums POTASSIUM
`), "\n")

var (
	scaleFirst = strings.Fields("Ada Ben Cäcilie José María Liu Ng Olga Søren Zoë")
	scaleLast  = strings.Fields("Ng O'Brien García Müller Tan Lee Kumar Peña Smith-Jones 李")
	scaleBegin = time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)
)

// scaleParty is somebody by an id of the corpus; what it lacks hangs on i.
func scaleParty(id string, i int) query.Party {
	if id == "" || id == "unknown" {
		id = fmt.Sprint(i * 7919 % 601)
	}
	h := 0
	for _, c := range []byte(id) {
		h = h*31 + int(c)
	}
	h &= 1<<30 - 1
	p := query.Party{Usr: "u-" + id, Name: scaleFirst[h%10] + " " + scaleLast[h/10%10]}
	if h%3 > 0 {
		p.UPN = "P" + id + "@Ward.example"
	}
	if h%4 > 0 {
		p.Mail = "p" + id + "@mail.example"
	}
	return p
}

// scaleDocs makes a log of the lines: over 84 months, some with attachments,
// some edited, late, in quarantine, or without what others have.
func scaleDocs(lines []scaleLine) (docs []*query.Doc) {
	step := scaleBegin.AddDate(0, 84, 0).Sub(scaleBegin) / time.Duration(len(lines))
	for i, l := range lines {
		docs = append(docs, scaleDoc(docs, l, i, scaleBegin.Add(time.Duration(i)*step), lines[i*31%len(lines)].Text))
	}
	return docs
}

func scaleDoc(before []*query.Doc, l scaleLine, i int, at time.Time, other string) *query.Doc {
	d := &query.Doc{Text: l.Text, Typ: "msg", Received: at.Add(900 * time.Millisecond)}
	d.Sent = at.Truncate([]time.Duration{1, time.Millisecond, time.Second, time.Minute, 24 * time.Hour}[i%5])
	d.From, d.To = query.Parties{scaleParty(l.From, i)}, query.Parties{scaleParty(l.To, i+1)}
	d.Conversation = query.ConversationRef{ID: fmt.Sprintf("c-%d", i/17%300), Name: "Ward " + fmt.Sprint(i/17%40), Kind: []string{"direct", "group"}[i/17%2]}
	if l.Conversation != "" {
		d.From = query.Parties{scaleParty(strings.ToLower(l.Speaker)+l.Conversation, i)}
		d.Conversation = query.ConversationRef{ID: "m-" + l.Conversation, Name: "Visit " + l.Section, Kind: "patient"}
		d.MRN = "00" + l.Conversation + "A"
	}
	d.Members = slices.Concat(d.From, d.To, query.Parties{scaleParty("", i/100)})
	d.Lang = []string{"en", "en-SG", "", "es-MX", "ES", "zh", "eng"}[i%7]
	d.Prio = []string{"routine", "routine", "urgent", "", "stat"}[i%5]
	d.Digest[0], d.Digest[1], d.Digest[2], d.Digest[20] = byte(i), byte(i>>8), byte(i>>16), 1
	if i%20 == 0 {
		d.Files = append(d.Files, query.File{Name: fmt.Sprintf("scan %d.pdf", i), Text: other})
	}
	if i%50 == 0 {
		name := strings.Join(strings.Fields(other)[:min(3, len(strings.Fields(other)))], "_")
		d.Files = append(d.Files, query.File{Name: name + ".JPG", Unread: true})
		d.Unread = i%100 == 0
	}
	switch {
	case i%41 == 0:
		return nil
	case i%31 == 0:
		d.Hangs, d.Typ, d.Ref = true, "receipt", [32]byte{byte(i - 1), byte((i - 1) >> 8), byte((i - 1) >> 16)}
	case i%23 == 0:
		d.Typ, d.Ref = "edit", [32]byte{byte(i - 9), byte((i - 9) >> 8), byte((i - 9) >> 16)}
	case i%43 == 0:
		return &query.Doc{Quarantined: true, Code: "bad-signature", Received: d.Received}
	case i%37 == 0 && before[i-30] != nil && !before[i-30].Hangs && !before[i-30].Quarantined && !before[i-30].Late:
		late := *before[i-30]
		late.Late, late.Of, late.Ref = true, uint64(i-30), [32]byte{}
		late.Files = append(slices.Clone(late.Files), query.File{Name: "late report.docx", Text: other})
		return &late
	case i%53 == 0:
		d.Sent, d.From, d.Conversation = time.Time{}, nil, query.ConversationRef{}
	}
	return d
}

// scaleBinder says what the queries of a scale test name.
type scaleBinder struct{ size uint64 }

func (scaleBinder) Names(value string) []string {
	switch value {
	case "Ada Ng", "The Former Name":
		return []string{"u-51", "u-7", "u-doctor12"}
	case "Night Nurse":
		return []string{"U-100"}
	}
	return nil
}

func (scaleBinder) Members(group string) ([]query.Stay, error) {
	if group != "Night team" {
		return nil, nil
	}
	return []query.Stay{
		{Usrs: []string{"u-51", "u-100"}, From: scaleBegin.AddDate(1, 0, 0), To: scaleBegin.AddDate(3, 0, 0)},
		{Usrs: []string{"u-7", "u-doctor12", "u-patient12"}, From: scaleBegin.AddDate(4, 0, 0)},
		{Usrs: []string{"u-300"}},
	}, nil
}

func (b scaleBinder) Held(p query.Property, value string) (*roaring64.Bitmap, error) {
	set := roaring64.New()
	if p == query.ForMatter {
		set.AddRange(b.size/3, b.size/2)
		return set, nil
	}
	for seq := uint64(7); seq < b.size; seq += 97 {
		set.Add(seq)
	}
	return set, nil
}

// scaleCompare asks the index and the oracle the same and returns how many of
// the queries they answer differently; each is an error of the test.
func scaleCompare(t *testing.T, docs []*query.Doc, perFile uint64, batch int, queries []string) (differ int) {
	indexed := len(docs) * 19 / 20
	src := newSource(perFile, docs[:indexed]...)
	x := openIndex(t, t.TempDir(), src, Options{BatchDocs: batch})
	catchUp(t, x)
	src.append(docs[indexed:]...)
	truth := newOracle(docs)
	found, hits := 0, 0
	for i, text := range queries {
		q, err := query.ParseIn(query.Reading{Now: scaleBegin.AddDate(5, 3, 20), Zone: time.FixedZone("", -5*3600)}, text)
		if err == nil {
			q, err = q.Bind(scaleBinder{uint64(len(docs))})
		}
		if err != nil {
			t.Fatalf("query %d, %s: %v", i, text, err)
		}
		by := []Sort{BySeq, BySent}[i%2]
		want, err := truth.ask(q, by)
		if err != nil {
			t.Errorf("query %d, %s: %v", i, text, err)
			differ++
			continue
		}
		got, err := x.Search(context.Background(), q, SearchOptions{Limit: len(docs), Sort: by})
		if err != nil {
			t.Fatalf("query %d, %s: %v", i, text, err)
		}
		if got.Total != uint64(len(want.hits)) || !slices.Equal(got.Hits, want.hits) || got.Unread != want.unread || got.Unindexed != 0 || got.ThroughSeq != uint64(len(docs)) {
			t.Errorf("query %d, %s: the index finds %d (%d returned, %d unread, %d not looked at), the oracle %d (%d unread); %s",
				i, text, got.Total, len(got.Hits), got.Unread, got.Unindexed, len(want.hits), want.unread, firstOther(got.Hits, want.hits, docs))
			differ++
		}
		found += min(1, len(want.hits))
		hits += len(want.hits)
	}
	t.Logf("%d queries find something, %d hits in all", found, hits)
	if found < len(queries)*7/10 {
		t.Errorf("only %d of %d queries find something: they test nothing", found, len(queries))
	}
	return differ
}

// firstOther names the first place where two answers part.
func firstOther(got, want []Hit, docs []*query.Doc) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want), i < len(got) && got[i] != want[i] && !slices.Contains(want, got[i]):
			return fmt.Sprintf("the index alone has %+v: %+v", got[i], *docs[got[i].Entry])
		case i >= len(got), got[i] != want[i] && !slices.Contains(got, want[i]):
			return fmt.Sprintf("the oracle alone has %+v: %+v", want[i], *docs[want[i].Entry])
		case got[i] != want[i]:
			return fmt.Sprintf("in another order: %+v, %+v", got[i], want[i])
		}
	}
	return "the hits are the same"
}
