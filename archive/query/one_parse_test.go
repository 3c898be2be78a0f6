package query

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`bed`:                                 `bed`,
		`"bed"`:                               `bed`,
		`bed 4`:                               `bed AND 4`,
		`a AND b OR c d`:                      `a AND b OR c AND d`,
		`a AND (b OR c) d`:                    `a AND (b OR c) AND d`,
		`(a b) c`:                             `a AND b AND c`,
		`a OR (b OR (c))`:                     `a OR b OR c`,
		`NOT a b`:                             `NOT a AND b`,
		`NOT (a b)`:                           `NOT (a AND b)`,
		`NOT NOT a`:                           `NOT NOT a`,
		`a NOT b`:                             `a AND NOT b`,
		`and or not near`:                     `and AND or AND not AND near`,
		`"AND" "NEAR"`:                        `"AND" AND "NEAR"`,
		`don't x-ray 10:30 3>2`:               `don't AND x-ray AND 10:30 AND 3>2`,
		`"see  you"`:                          `"see  you"`,
		`"a:b"`:                               `"a:b"`,
		`"-a"`:                                `"-a"`,
		`From:ada`:                            `from:ada`,
		`to:"Dr. Ada Ng"`:                     `to:"Dr. Ada Ng"`,
		`to:"ada"`:                            `to:ada`,
		`from:ada@ward.example`:               `from:ada@ward.example`,
		`conversation:"4 East"`:               `conversation:"4 East"`,
		`SENT>=2026-01-01`:                    `sent>=2026-01-01`,
		`sent="2026-01-01"`:                   `sent=2026-01-01`,
		`received<2026-01-01T10:00:00Z`:       `received<2026-01-01T10:00:00Z`,
		`sent<=2026-01-01T01:00:00.50+02:00`:  `sent<=2025-12-31T23:00:00.50Z`,
		`sent>2026-01-01T10:00:00.123456789Z`: `sent>2026-01-01T10:00:00.123456789Z`,
		`患者 OR さくら`:                           `患者 OR さくら`, `sent>=2026-01-01 10:00:00Z`: `sent>=2026-01-01 AND 10:00:00Z`,
		`bed(4)`:          `bed AND 4`,
		"bed\n\t4\u00a05": `bed AND 4 AND 5`,
		`(((a)))`:         `a`,
		"\"a\r\n\tb\"":    `"a   b"`,
		"a\ufffd":         "a\ufffd",
	} {
		q, err := ParseLanguage(1, in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := q.String(); got != want {
			t.Errorf("%s: printed %s, want %s", in, got, want)
		}
		again, err := ParseLanguage(1, q.String())
		if err != nil || !reflect.DeepEqual(again, q) {
			t.Errorf("%s: parsed again as %v, %v", q, again, err)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	deep := strings.Repeat("(", MaxDepth+1) + "a" + strings.Repeat(")", MaxDepth+1)
	for in, column := range map[string]int{
		``:                                       1,
		" \n":                                    1,
		`a "b`:                                   3,
		`"a" AND "`:                              9,
		`(a`:                                     1,
		`é (b AND (c)`:                           3,
		`a)`:                                     2,
		`()`:                                     2,
		`a AND`:                                  6,
		`a OR OR b`:                              6,
		`AND a`:                                  1,
		`NOT`:                                    4,
		`a NOT`:                                  6,
		`colour:red`:                             1,
		`é subject:x`:                            3,
		`size>4`:                                 1,
		`http://x`:                               1,
		`from:`:                                  1,
		`from: ada`:                              1,
		`from:""`:                                1,
		`from:" "`:                               1,
		`from=ada`:                               1,
		`from:(a OR b)`:                          6,
		`sent:2026-01-01`:                        1,
		`sent=>2026-01-01`:                       1,
		`sent==2026-01-01`:                       1,
		`sent<>2026-01-01`:                       1,
		`sent >= 2026-01-01`:                     6,
		`sent>=`:                                 1,
		`sent>=2026-1-1`:                         1,
		`sent>=2026-02-30`:                       1,
		`sent>=yesterday`:                        1,
		`sent>=0000-01-01`:                       1,
		`sent>=2026-01-01T10:00`:                 1,
		`sent>=2026-01-01T10:00:00`:              1,
		`sent>=2026-01-01t10:00:00Z`:             1,
		`sent>=2026-01-01T10:00:00,5Z`:           1,
		`sent>=2026-01-01T10:00:00.Z`:            1,
		`sent>=2026-01-01T24:00:00Z`:             1,
		`sent>=0002-01-01T00:00:00+01:00`:        1,
		`sent>=2026-01-01T10:00:00.1234567891Z`:  1,
		`-bed`:                                   1,
		`bed -4`:                                 5,
		`morph*`:                                 1,
		`from:ad*`:                               6,
		`“bed 4”`:                                1,
		`a NEAR b`:                               3,
		`a XOR b`:                                3,
		`a ...`:                                  3,
		`"😀"`:                                    1,
		`a"b"`:                                   2,
		`"a"b`:                                   4,
		`"a""b"`:                                 4,
		`OR"b"`:                                  3,
		"a\xff":                                  2,
		"é\xc3":                                  2,
		"é \x00":                                 3,
		"\"a\tb\x00\"":                           5,
		"a\vb":                                   2,
		"a\u0085b":                               2,
		"from:\"ada\x1b\"":                       10,
		"a\x7f":                                  2,
		deep:                                     MaxDepth + 1,
		strings.Repeat("NOT ", MaxDepth+1) + "a": 4*MaxDepth + 1,
		strings.Repeat("a ", MaxClauses+1):       2*MaxClauses + 1,
		strings.Repeat("a", MaxBytes+1):          1,
		`"` + strings.Repeat("a ", MaxBytes/2) + `"`: 1,
	} {
		_, err := ParseLanguage(1, in)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.40q: no syntax error but %v", in, err)
			continue
		}
		if syntax.Column != column || syntax.Msg == "" || syntax.Hint == "" {
			t.Errorf("%.40q: %v, want column %d", in, err, column)
		}
	}
}

// What a query says may name a patient; an error goes to logs.
func TestErrorsHoldNoQueryText(t *testing.T) {
	const canary = "Zyxwvut"
	for _, in := range []string{
		canary + `"`, canary + ":x", canary + ">4", "-" + canary, canary + "*", "“" + canary + "”", "(" + canary,
		`"` + canary, "sent>=" + canary, "from=" + canary, "from:(" + canary, `"a"` + canary,
	} {
		_, err := ParseLanguage(1, in)
		if err == nil || strings.Contains(strings.ToLower(err.Error()), strings.ToLower(canary)) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// The canonical form is what is recorded, so it must fit the limit as well.
func TestCanonicalFormFits(t *testing.T) {
	long := strings.Repeat("b", 15)
	in := strings.TrimSpace(strings.Repeat(long+" ", MaxClauses)) // 4,095 bytes, longer with the ANDs
	if _, err := ParseLanguage(1, in); err == nil {
		t.Error("a query whose canonical form is too long was accepted")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`a`, `a AND (b OR "c d") NOT e`, `from:ada to:"Dr. B" conversation:4E`, `sent>=2026-01-01 received<2026-01-01T10:00:00.5+02:00`,
		`NOT NOT (a)`, `10:30 3>2 don't "AND" and`, `"unbalanced`, `(((`, `“x”`, `ǅ ﬁ ℌ`, "a\x00", "\"a\n\xf0\x9f\"", "a\u200bb\u00adc",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := ParseLanguage(1, s)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Column < 1 || syntax.Column > utf8.RuneCountInString(s)+1 {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		printed := q.String()
		again, err := ParseLanguage(1, printed)
		if err != nil {
			t.Fatalf("%q printed as %q: %v", s, printed, err)
		}
		if !reflect.DeepEqual(q, again) || again.String() != printed {
			t.Fatalf("%q printed as %q, parsed again as %q", s, printed, again)
		}
		d := &Doc{Text: s, Files: []File{{Name: s}}, From: Parties{{Name: s}}}
		if got := q.Match(d); got != (q.Judge(d) == Yes) || got != (plainly(q.root, d) == Yes) {
			t.Fatalf("%q: match %v, judged %d, plainly %d", s, got, q.Judge(d), plainly(q.root, d))
		}
		for _, p := range Properties(s) { // a query that parses has no others
			if !slices.Contains([]Property{From, To, InConversation, Sent, Received}, Property(p)) {
				t.Fatalf("%q: property %q", s, p)
			}
		}
	})
}
