package search

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/query"
)

// scaleQueries is how many queries a comparison asks.
const scaleQueries = 200

// scaleWritten are queries made by hand, for what no generator thinks of.
var scaleWritten = strings.Split(strings.TrimSpace(`
medicación
medicaciones
exact:"medicación"
exact:medicacion
medicacion
presion NOT exact:presion
habitación NEAR(4) paciente
niño OR niñito
presion alta
"presion alta"
exact:"presión de ayer"
hablar AND médico
患者
"患者の血圧"
出院 OR 病院
"病房"
ラーメン
アレルギー
"환자" NEAR(6) "병원"
혈압
👍
👍🏿 OR ❤
☕ 3
🇪🇸
"😀 😀"
👩‍⚕️
💊 NEAR(3) 🏥
café
exact:café
exact:CAFÉ OR exact:cafes
"creme brulee"
strasse
Fussen OR größe
smorrebrod OR lukasz
aegir thor
the NEAR(0) th*
"el señor" NEAR(5) señor
oeuvre OR ægir
istanbul
xray coop
"hidden space"
mañana NOT exact:"mañana"
"ete"
file office
"200mg aspirin"
38 c
елка OR ελλαδα
"בראשית" OR مستشفى
हिन्दी
don't
x-ra*
"q8h a/b AND OR NOT"
potassium~1
potassium~2 NOT potassium~1
photos OR "`+strings.Repeat("abcdefghij", 30)+`"
éééé*
*abcde*
*emia OR *ition
(doctor OR nurse) NEAR(5) (pain OR "blood pressure") NEAR(9) today
sent:today OR sent:"last week"
received:"this month" call
received:"last year" NOT the
sent:yesterday..2024-05-01
sent=2022-02-02T00:00:00Z..2022-06-01 (pain OR lol)
received<2019-02-01Z seq>300
received>=2025-10-30T22:10:00.250Z
sent>=2025-12-01 AND sent<=2025-12-20T10:00:00Z
sent>2025-11-01T12:30:00+05:30
sent<=2019-01-20
sent<2019-01-02 NOT from:ng
group:"Night team"
group:"Night team" NOT from:u-51 the
custodian:"The Former Name"
custodian:"Night Nurse" OR from:"Night Nurse"
to:"Ada Ng" NOT custodian:"Ada Ng"
hold:7 has:attachment
matter:"M 1" NOT (the OR to)
quarantined:true
quarantined:true received:2021-01-01..2021-12-31
quarantined:false seq:1000..1100
NOT quarantined:false hold:7
quarantined:true OR "good night"
filename:scan prio:stat
prio:urgent NOT lang:en
mrn:0012a OR mrn:"0012A"
`), "\n")

var scalePlain = regexp.MustCompile(`^[a-z]{5,12}$`)

// scaleWords are what queries are made of: the words of some texts by how many
// of the texts have them.
type scaleWords struct {
	*rand.Rand
	docs    []*query.Doc
	rare    []string
	middle  []string
	common  []string
	letters []string // of five to twelve letters a to z
}

func newScaleWords(docs []*query.Doc, seed uint64) *scaleWords {
	w := &scaleWords{Rand: rand.New(rand.NewPCG(seed, 200))}
	count := map[string]int{}
	for i, d := range docs {
		if d == nil || d.Quarantined || d.Hangs || len(oracleTokens(d.Text)) < 3 {
			continue
		}
		w.docs = append(w.docs, d)
		if i%5 > 0 && len(docs) > 20_000 {
			continue
		}
		tokens := oracleTokens(d.Text)
		slices.Sort(tokens)
		for _, token := range slices.Compact(tokens) {
			count[token]++
		}
	}
	all := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(count[b]-count[a], strings.Compare(a, b)) })
	w.common, w.middle, w.rare = all[:30], all[100:min(1500, len(all)/2)], all[len(all)/2:]
	for _, token := range all[:len(all)*2/3] {
		if scalePlain.MatchString(token) {
			w.letters = append(w.letters, token)
		}
	}
	return w
}

func (w *scaleWords) one(of []string) string { return of[w.IntN(len(of))] }

func (w *scaleWords) word() string {
	return w.one([][]string{w.rare, w.middle, w.middle, w.common}[w.IntN(4)])
}

func (w *scaleWords) doc() *query.Doc { return w.docs[w.IntN(len(w.docs))] }

// phrase takes n words that stand in a text one after the other, as written.
func (w *scaleWords) phrase(n int) string {
	tokens := oracleTokens(w.doc().Text)
	at := w.IntN(max(1, len(tokens)-n+1))
	return `"` + strings.Join(tokens[at:min(at+n, len(tokens))], " ") + `"`
}

// near takes two words of one text.
func (w *scaleWords) near() string {
	tokens := oracleTokens(w.doc().Text)
	at := w.IntN(len(tokens) - 2)
	op := []string{"NEAR", "NEAR(1)", "NEAR(0)", "NEAR(n=3)", "NEAR(20)", "NEAR(100)"}[w.IntN(6)]
	a, b := tokens[at], tokens[at+2]
	switch w.IntN(4) {
	case 0:
		a = `"` + tokens[at] + " " + tokens[at+1] + `"`
	case 1:
		a, b = `"`+b+`"`, a
	case 2:
		a = "(" + a + ` OR "` + w.word() + `")`
	}
	return a + " " + op + " " + b
}

// pattern takes a word apart, or misspells it.
func (w *scaleWords) pattern() string {
	word := w.one(w.letters)
	i := 1 + w.IntN(len(word)-2)
	swapped := word[:i] + string(word[i+1]) + string(word[i]) + word[i+2:]
	return []string{
		word[:2] + "*", word[:3] + "*", "*" + word[len(word)-3:], "*" + word[1:4] + "*", "*" + word[len(word)-4:], "*" + word[:len(word)-1] + "*",
		word + "~1", swapped + "~1", word[:i] + word[i+1:] + "~1", swapped + "s~2", word[:i] + "q" + word[i:] + "~2",
	}[w.IntN(11)]
}

// property asks for what an entry has.
func (w *scaleWords) property() string {
	d := w.doc()
	side := []string{"from:", "to:", "participants:"}[w.IntN(3)]
	p := d.To[0]
	if w.IntN(2) == 0 && len(d.From) > 0 {
		p = d.From[0]
	}
	names := strings.Fields(p.Name)
	at := d.Sent
	if at.IsZero() {
		at = d.Received
	}
	sent, received := at.Format("2006-01-02"), d.Received.Format("2006-01-02T15:04:05Z")
	op := []string{"=", ":", "<", "<=", ">", ">="}[w.IntN(6)]
	all := []string{
		side + strings.ToUpper(p.Usr), side + `"` + p.Name + `"`, side + names[w.IntN(len(names))], side + cmp.Or(strings.ToLower(p.UPN), p.Usr), side + cmp.Or(p.Mail, p.Usr),
		`custodian:"Ada Ng"`, `conversation:"` + cmp.Or(d.Conversation.ID, "c-1") + `"`, `conversation:"` + cmp.Or(d.Conversation.Name, "ward") + `"`,
		"kind:" + d.Typ, "kind:" + cmp.Or(d.Conversation.Kind, "group"), "has:attachment", "filename:" + []string{"pdf", "sc*", `"late report"`, "*epor*", "jpg", "scna~1"}[w.IntN(6)],
		"lang:" + []string{"en", "EN-sg", "es", "es-mx", "zh", "fr"}[w.IntN(6)], "mrn:" + strings.ToLower(cmp.Or(d.MRN, "0012A")), "prio:" + cmp.Or(d.Prio, "stat"),
		"sent" + op + sent, "sent" + op + sent + "T00:00:00Z", "sent=" + d.Received.Format("2006-01") + "-01.." + d.Received.AddDate(0, 3, 0).Format("2006-01-02"),
		"received" + op + received, "received" + op + sent + "Z", "received=" + d.Received.Format("2006-01-02T15:04:05.000000000Z"),
		"hold:7", `matter:"M 1"`, `group:"Night team"`, fmt.Sprintf("seq%s%d", op, d.Seq), fmt.Sprintf("seq:%d..%d", d.Seq, d.Seq+uint64(w.IntN(900))),
		"quarantined:" + []string{"true", "false"}[w.IntN(2)],
	}
	return all[w.IntN(len(all))]
}

// clause is one of all that a query can hold.
func (w *scaleWords) clause() string {
	switch w.IntN(12) {
	case 0, 1:
		return w.word()
	case 2:
		return `"` + w.word() + `"`
	case 3:
		return "exact:" + w.word()
	case 4, 5:
		return w.phrase(2 + w.IntN(3))
	case 6, 7:
		return w.pattern()
	case 8, 9:
		return "(" + w.near() + ")"
	}
	return w.property()
}

// query joins clauses; those of one property never stand side by side, because
// an operator stands between any two.
func (w *scaleWords) query(depth int) string {
	switch n := w.IntN(10); {
	case depth == 0 || n < 2:
		return w.clause()
	case n < 3:
		return "NOT (" + w.query(depth-1) + ")"
	case n < 4:
		return w.word() + " " + w.word()
	case n < 7:
		return "(" + w.query(depth-1) + ") AND " + w.clause()
	case n < 8:
		return w.clause() + " AND NOT (" + w.query(depth-1) + ")"
	}
	return w.clause() + " OR (" + w.query(depth-1) + ")"
}

// scaleAsked are the queries by hand and, up to their number, generated ones of
// the documents' own words.
func scaleAsked(docs []*query.Doc) []string {
	w := newScaleWords(docs, 1)
	queries := slices.Clone(scaleWritten)
	for _, one := range []func() string{w.word, w.clause, w.near, w.pattern, w.property, func() string { return w.phrase(2) }} {
		for range 8 {
			queries = append(queries, one())
		}
	}
	for len(queries) < scaleQueries {
		queries = append(queries, w.query(3))
	}
	return queries
}

// scaleCovers checks that the queries hold every kind of clause, word and
// property that there is.
func scaleCovers(t *testing.T, queries []string) {
	seen := map[string]int{}
	var note func(n query.Node)
	note = func(n query.Node) {
		seen[fmt.Sprintf("%T", n)]++
		switch n := n.(type) {
		case *query.And:
			for _, p := range n.Of {
				note(p)
			}
		case *query.Or:
			for _, p := range n.Of {
				note(p)
			}
		case *query.Not:
			note(n.Of)
		case *query.Near:
			note(n.A)
			note(n.B)
		case *query.Person:
			seen[string(n.Property)]++
		case *query.Held:
			seen[string(n.Property)]++
		case *query.Time:
			seen[string(n.Property)+string(n.Op)]++
		case *query.Text:
			if n.Where == query.InFileName {
				seen["filename"]++
			}
			for _, word := range n.Words {
				seen[fmt.Sprintf("form %d %d", word.Form, word.Distance)]++
			}
		}
	}
	for _, text := range queries {
		q, err := query.ParseIn(query.Reading{Now: scaleBegin}, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		note(q.Root())
	}
	want := strings.Split("from to participants custodian hold matter filename sent= sent< sent<= sent> sent>= sent.. received= received< received<= received> received>= received..", " ")
	for _, n := range []query.Node{
		&query.And{}, &query.Or{}, &query.Not{}, &query.Text{}, &query.Near{}, &query.Person{}, &query.Group{}, &query.Conversation{}, &query.Kind{},
		&query.Has{}, &query.Lang{}, &query.MRN{}, &query.Prio{}, &query.Time{}, &query.Seq{}, &query.Held{}, &query.Quarantined{},
	} {
		want = append(want, fmt.Sprintf("%T", n))
	}
	for form := query.Stem; form < query.Fuzzy; form++ {
		want = append(want, fmt.Sprintf("form %d 0", form))
	}
	for _, what := range append(want, "form 6 1", "form 6 2") {
		if seen[what] == 0 {
			t.Errorf("no query has %s", what)
		}
	}
}
