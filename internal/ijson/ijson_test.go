package ijson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

var wellFormed = []string{
	`{}`, `[]`, `""`, `0`, `-0`, `1.5`, `1e3`, `null`, `true`, ` {"a" : [1, 2, {"b":null}]} `, `9007199254740991`, `-9007199254740991`,
	`"\ud83d\ude00"`, `{"a":1,"b":{"a":1}}`, `"é\u00e9\/\b"`, `[{"a":1},{"a":2}]`, `4503599627370496.5`, `"` + "\x7f" + `"`, "{\"\":1}",
	strings.Repeat("[", 32) + strings.Repeat("]", 32),
}

var malformed = map[string]string{
	"nothing":                      ``,
	"white space alone":            ` `,
	"two values":                   `1 2`,
	"bytes after":                  `{}x`,
	"NUL after":                    "{}\x00",
	"byte order mark":              "\ufeff{}",
	"duplicate":                    `{"a":1,"a":2}`,
	"duplicate, one escaped":       `{"a":1,"\u0061":2}`,
	"case variant":                 `{"usr":1,"Usr":2}`,
	"case variant, Kelvin":         `{"k":1,"` + "\u212a" + `":2}`,
	"case variant, long s":         `{"usr":1,"u` + "\u017f" + `r":2}`,
	"case variant, Greek sigma":    `{"` + "σ" + `":1,"` + "ς" + `":2}`,
	"duplicate deep":               `[[{"x":{"a":1,"b":1,"A":2}}]]`,
	"high surrogate alone":         `"\ud83d"`,
	"low surrogate alone":          `"\ude00"`,
	"surrogates swapped":           `"\ude00\ud83d"`,
	"high surrogate and letter":    `"\ud83dx"`,
	"high surrogate, other escape": `"\ud83d\n"`,
	"surrogate in a name":          `{"\ud83d":1}`,
	"surrogate as raw bytes":       "\"\xed\xa0\x80\"",
	"overlong":                     "\"\xc0\xaf\"",
	"lone continuation":            "\"\x80\"",
	"cut rune":                     "\"\xe2\x82\"",
	"2^53":                         `9007199254740992`,
	"-2^53":                        `-9007199254740992`,
	"2^64":                         `[18446744073709551616]`,
	"2^53 as exponent":             `9.007199254740992e15`,
	"infinite":                     `1e400`,
	"leading zero":                 `01`,
	"plus":                         `+1`,
	"point alone":                  `1.`,
	"no whole part":                `.5`,
	"exponent alone":               `1e`,
	"minus alone":                  `-`,
	"hex":                          `0x10`,
	"NaN":                          `NaN`,
	"33 deep":                      strings.Repeat("[", 33) + strings.Repeat("]", 33),
	"33 deep, objects":             strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33),
	"trailing comma":               `[1,]`,
	"trailing comma, object":       `{"a":1,}`,
	"comma alone":                  `[,]`,
	"no colon":                     `{"a" 1}`,
	"no value":                     `{"a":}`,
	"name without quotes":          `{a:1}`,
	"single quotes":                `'a'`,
	"comment":                      `/**/1`,
	"open array":                   `[1`,
	"open object":                  `{"a":1`,
	"open object after name":       `{"a"`,
	"open string":                  `"a`,
	"open escape":                  `"\`,
	"open unicode escape":          `"\u00`,
	"unknown escape":               `"\x"`,
	"bad hex":                      `"\u00g0"`,
	"control character":            "\"\n\"",
	"last control character":       "\"\x1f\"",
	"brackets mixed":               `[}`,
	"word cut":                     `nul`,
	"word longer":                  `nullx`,
}

func TestCheck(t *testing.T) {
	for _, s := range wellFormed {
		if err := Check([]byte(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		if !oracle([]byte(s)) {
			t.Errorf("%s: the oracle refuses it", s)
		}
	}
	for name, s := range malformed {
		if err := Check([]byte(s)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: accepted (%v): %s", name, err, s)
		}
		if oracle([]byte(s)) {
			t.Errorf("%s: the oracle accepts it", name)
		}
	}
}

// Past manyMembers the names are looked up in a map; the last name must still be held against the first, and nested objects apart.
func TestCheckManyMembers(t *testing.T) {
	object := func(n int, last string) []byte {
		var b bytes.Buffer
		for i := range n {
			b.WriteString(`"m` + string(rune('a'+i/26)) + string(rune('a'+i%26)) + `":{"maa":1},`)
		}
		return []byte("{" + b.String() + `"` + last + `":1}`)
	}
	for _, n := range []int{1, manyMembers - 1, manyMembers, manyMembers + 1, 200} {
		if err := Check(object(n, "new")); err != nil {
			t.Errorf("%d members: %v", n, err)
		}
		if Check(object(n, "mAA")) == nil {
			t.Errorf("%d members: case variant of the first accepted", n)
		}
	}
}

type inner struct {
	Usr  string `json:"usr"`
	List []struct {
		Digest string `json:"digest"`
	} `json:"list"`
}

type outer struct {
	V    int64            `json:"v"`
	In   inner            `json:"in"`
	Ptr  *inner           `json:"ptr"`
	Map  map[string]inner `json:"map"`
	Any  any              `json:"any"`
	Self *outer           `json:"self"`
	inner
}

func TestUnmarshal(t *testing.T) {
	for _, c := range []struct {
		in           string
		open, strict bool // accepted by Unmarshal, by UnmarshalStrict
	}{
		{`{"v":1}`, true, true},
		{`{"v":1,"x":{"V":2}}`, true, false},
		{`{"V":1}`, false, false},
		{`{"in":{"Usr":"a"}}`, false, false},
		{`{"in":{"u` + "\u017f" + `r":"a"}}`, false, false},
		{`{"in":{"list":[{"digest":""},{"DIGEST":""}]}}`, false, false},
		{`{"ptr":{"Usr":"a"}}`, false, false},
		{`{"ptr":{"list":[{"x":""}]}}`, true, false},
		{`{"map":{"Any":{"usr":"a"}}}`, true, true},
		{`{"map":{"k":{"usR":"a"}}}`, false, false},
		{`{"self":{"self":{"In":{}}}}`, false, false},
		{`{"self":{"self":{"in":{"usr":"a"}}}}`, true, true},
		{`{"any":{"V":1,"In":2}}`, true, true},
		{`{"usr":"a"}`, true, true},
		{`{"USR":"a"}`, false, false},
		{`{"v":null}`, false, false},
		{`{"in":null}`, false, false},
		{`{"in":{"usr":null}}`, false, false},
		{`{"ptr":null,"map":null,"any":null,"in":{"list":null}}`, true, true},
		{`{"in":{"list":[null]}}`, false, false},
		{`{"v":"1"}`, false, false},
		{`{"v":1.5}`, false, false},
		{`{"v":1e2}`, false, false},
		{`{"in":{"usr":1}}`, false, false},
		{`[]`, false, false},
		{`null`, false, false},
	} {
		for _, f := range []struct {
			name string
			call func([]byte, any) error
			want bool
		}{{"Unmarshal", Unmarshal, c.open}, {"UnmarshalStrict", UnmarshalStrict, c.strict}} {
			var v outer
			if err := f.call([]byte(c.in), &v); (err == nil) != f.want {
				t.Errorf("%s(%s) = %v", f.name, c.in, err)
			} else if err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s(%s) = %v: not ErrMalformed", f.name, c.in, err)
			}
		}
	}
	var v outer
	if err := Unmarshal([]byte(`{"v":7,"ptr":{"usr":"é"},"map":{"K":{"usr":"x"}}}`), &v); err != nil || v.V != 7 || v.Ptr.Usr != "é" || v.Map["K"].Usr != "x" {
		t.Errorf("decoded %+v, %v", v, err)
	}
	if Unmarshal([]byte(`{}`), v) == nil {
		t.Error("decoded into something that is not a pointer")
	}
}

// An error may end in a log; the input may be a message.
func TestErrorsQuoteNothing(t *testing.T) {
	for _, in := range []string{`{"secretname":1,"secretname":2}`, `{"v":"secretname"}`, `{"in":{"usr":["secretname"]}}`, `"secretname`} {
		var v outer
		if err := Unmarshal([]byte(in), &v); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// oracle is the same rules written a second time over another tokeniser, slowly.
func oracle(b []byte) bool {
	if !json.Valid(b) {
		return false
	}
	type level struct {
		names  []string
		object bool
		n      int
	}
	var stack []level
	dec := jsontext.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return err == io.EOF
		}
		var top *level
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		kind := tok.Kind()
		if top != nil && kind != '}' && kind != ']' {
			if top.object && top.n%2 == 0 {
				for _, n := range top.names {
					if strings.EqualFold(n, tok.String()) {
						return false
					}
				}
				top.names = append(top.names, tok.String())
			}
			top.n++
		}
		switch kind {
		case '{', '[':
			stack = append(stack, level{object: kind == '{'})
			if len(stack) > 32 {
				return false
			}
		case '}', ']':
			stack = stack[:len(stack)-1]
		case '0':
			// To the nearest float64, as any reader of a double sees it.
			f, _, err := big.ParseFloat(tok.String(), 10, 53, big.ToNearestEven)
			if err != nil {
				return false
			}
			if f.Abs(f).Cmp(big.NewFloat(1<<53)) >= 0 {
				return false
			}
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range wellFormed {
		f.Add([]byte(s))
	}
	for _, s := range malformed {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := Check(b)
		if got, want := err == nil, oracle(b); got != want {
			t.Fatalf("Check accepts: %v, oracle accepts: %v: %q (%v)", got, want, b, err)
		}
		var v outer
		if Unmarshal(b, &v) == nil && err != nil {
			t.Fatalf("Unmarshal accepts what Check refuses: %q", b)
		}
		var w outer
		if UnmarshalStrict(b, &w) == nil && Unmarshal(b, &v) != nil {
			t.Fatalf("UnmarshalStrict accepts what Unmarshal refuses: %q", b)
		}
	})
}
