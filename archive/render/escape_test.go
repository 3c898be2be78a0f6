package render

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// An item of the list of hostile text that every format is tested with.
type item struct {
	What, Text string
	Repeat     int // times that the text stands in a row; 0 is once
}

func hostile(t testing.TB) []string {
	t.Helper()
	f, err := os.Open("testdata/hostile.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var it item
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Repeat(it.Text, max(1, it.Repeat)))
	}
	return all
}

// unescape is what a reader does: it takes each escape for what it says.
func unescape(s string, mark rune) string {
	var out []byte
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == mark {
			r = '\n'
		} else if r == '\\' && likeEscape(s[i+1:]) {
			digits := map[byte]int{'u': 4, 'U': 8, 'x': 2}[s[i+1]]
			v, _ := strconv.ParseUint(s[i+2:i+2+digits], 16, 32)
			i += 2 + digits
			if digits == 2 {
				out = append(out, byte(v))
			} else {
				out = utf8.AppendRune(out, rune(v))
			}
			continue
		}
		out = utf8.AppendRune(out, r)
		i += n
	}
	return string(out)
}

func uncell(cell string) string {
	s := unescape(cell, lineMark)
	if strings.HasPrefix(s, "'") && begins(s) {
		return s[1:]
	}
	return s
}

// neutral says what in s could still steer or hide; what the caller allows is
// not looked at.
func neutral(s, allowed string) string {
	before := rune(-1)
	for i, r := range s {
		switch {
		case strings.ContainsRune(allowed, r):
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			return "bytes that are no UTF-8"
		case Unsafe(r):
			return "an unsafe " + strconv.QuoteRuneToASCII(r)
		case hidden(r) && !needed(before, r, s[i+utf8.RuneLen(r):]):
			return "a hidden " + strconv.QuoteRuneToASCII(r)
		}
		before = r
	}
	return ""
}

func checkEscapes(t interface{ Errorf(string, ...any) }, s string) {
	if got := Visible(s); neutral(got, "") != "" || unescape(got, -1) != s {
		t.Errorf("Visible(%q) = %q: %s", s, got, neutral(got, ""))
	}
	broken := strings.ReplaceAll(s, "\r\n", "\n")
	if got := Lines(s); neutral(got, "\n\t") != "" || unescape(got, -1) != broken {
		t.Errorf("Lines(%q) = %q: %s", s, got, neutral(got, "\n\t"))
	}
	got := Cell(s)
	if neutral(got, "") != "" || uncell(got) != broken {
		t.Errorf("Cell(%q) = %q, read back as %q: %s", s, got, uncell(got), neutral(got, ""))
	}
	if got != "" && strings.ContainsRune("=+-@", rune(got[0])) {
		t.Errorf("Cell(%q) = %q begins like a formula", s, got)
	}
}

func TestHostileTextComesOutNeutralAndDistinguishable(t *testing.T) {
	items := hostile(t)
	if len(items) < 200 {
		t.Fatalf("only %d items", len(items))
	}
	for _, s := range items {
		checkEscapes(t, s)
	}
	for name, f := range map[string]func(string) string{"Visible": Visible, "Cell": Cell, "FileName": FileName, "Token": Token} {
		seen := map[string]string{}
		for _, s := range items {
			if name == "Cell" {
				s = strings.ReplaceAll(s, "\r\n", "\n")
			}
			if was, ok := seen[f(s)]; ok && was != s {
				t.Errorf("%s makes the same %q of %q and %q", name, f(s), was, s)
			}
			seen[f(s)] = s
		}
	}
}

func TestEscapesAreReadBack(t *testing.T) {
	odd := []rune(`\\uUx0aF'=+⏎` + "\r\n\t \u202e\u200d\u200c\ufe0f\u20e3👩⚕क्षن漢1\U000e0100\U000e0041\ufffd")
	rapid.Check(t, func(t *rapid.T) {
		checkEscapes(t, string(rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(odd), rapid.Rune())).Draw(t, "runes")))
		checkEscapes(t, string(rapid.SliceOf(rapid.SampledFrom([]byte("a\\xuff0\xf0\x9f\xe2\x80\xae\xff"))).Draw(t, "bytes")))
	})
}

func TestWhatScriptsAndEmojiNeedStays(t *testing.T) {
	for _, s := range []string{"😀", "👩‍⚕️", "👩🏽‍⚕️", "👨‍👩‍👧‍👦", "🏳️‍🌈", "1️⃣", "❤️", "‼️", "↔️", "👍🏽", "🇪🇸", "نامه\u200cای", "क्\u200dष", "葛\U000e0100", "C:\\users\\new", "שלום", "é", "e\u0301"} {
		if got := Visible(s); got != s {
			t.Errorf("Visible(%q) = %q", s, got)
		}
	}
	for in, want := range map[string]string{
		"Jo\u200bhn": `Jo\u200bhn`, "Jo\u200dhn": `Jo\u200dhn`, "x\ufe0f": `x\ufe0f`, "❤\ufe0f\ufe0f": "❤\ufe0f" + `\ufe0f`, "a\U000e0041": `a\U000e0041`,
		`\u202e`: `\u005cu202e`, "\xff": `\xff`, "\x1b[2J": `\u001b[2J`, "a\u202eb": `a\u202eb`,
	} {
		if got := Visible(in); got != want {
			t.Errorf("Visible(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"=SUM(A1)": "'=SUM(A1)", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": `'\u0009x`, "\rx": `'\u000dx`, " =1": "' =1", "'=1": "''=1", "＝1": "'＝1",
		"a\r\nb": "a⏎b", "a⏎b": `a\u23ceb`, "a=b": "a=b", "": "", "'": "'", "it's": "it's",
	} {
		if got := Cell(in); got != want {
			t.Errorf("Cell(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[Person]string{
		{Usr: "u1", Mail: "ana.lopez@ward.example"}: "ana.lopez@ward.example",
		{Usr: "u1"}: "u1@relay-user.invalid",
		{Usr: "u1", Mail: "x@relay-user.invalid"}:         "u1@relay-user.invalid",
		{Usr: "u1", Mail: "a\r\nBcc: b@c.example"}:        "u1@relay-user.invalid",
		{Usr: "u1", Mail: "a,b@c.example"}:                "u1@relay-user.invalid",
		{Usr: "u1", Mail: "a..b@c.example"}:               "u1@relay-user.invalid",
		{Usr: "u1", Mail: "a@c..example"}:                 "u1@relay-user.invalid",
		{Usr: "u1", Mail: "é@c.example"}:                  "u1@relay-user.invalid",
		{Usr: "sha256.00"}:                                "sha256.7bb1b6b8e6d7bbf4e1a1c7f1bd3fa9bf@relay-user.invalid",
		{Usr: "u1", Mail: strings.Repeat("a", 65) + "@b"}: "u1@relay-user.invalid",
	} {
		if got := in.Address(); got != want && !strings.HasPrefix(in.Usr, "sha256.") {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if p := (Person{Usr: "sha256.00"}); p.Address() == "sha256.00@relay-user.invalid" {
		t.Error("a user id that looks like a hash stands for itself")
	}
	for _, s := range hostile(t) {
		for _, p := range []Person{{Usr: s}, {Usr: "u", Mail: s}, {Usr: "u", Mail: "a@" + s}} {
			a := p.Address()
			if strings.Count(a, "@") != 1 || len(a) > 320 || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),:;<>[\]`, r) }) {
				t.Errorf("%q: address %q", s, a)
			}
		}
	}
}

func TestFileNames(t *testing.T) {
	for in, want := range map[string]string{
		"": "unnamed", "x-ray.png": "x-ray.png", "résumé été.pdf": "résumé été.pdf", "報告書.pdf": "報告書.pdf", "../../etc/passwd": "%2E.%2F..%2Fetc%2Fpasswd", `..\x`: "%2E.%5Cx",
		"invoice\u202egpj.exe": "invoice%E2%80%AEgpj.exe", "nul.txt": "%6Eul.txt", "CON": "%43ON", "-rf": "%2Drf", "name.": "name%2E", "name ": "name%20", "100%.txt": "100%.txt", "%41.txt": "%2541.txt", "a\x00b": "a%00b",
		"unnamed": "%75nnamed",
	} {
		if got := FileName(in); got != want {
			t.Errorf("FileName(%q) = %q, want %q", in, got, want)
		}
	}
	for _, s := range slices.Concat(hostile(t), []string{strings.Repeat("long", 100) + ".pdf", strings.Repeat("漢", 300) + ".docx", "x." + strings.Repeat("e", 400)}) {
		n := FileName(s)
		if n == "" || len(n) > 200 || neutral(n, "") != "" || strings.ContainsAny(n, "/\\:*?\"<>|") || strings.HasPrefix(n, ".") || strings.TrimRight(n, ". ") != n || !utf8.ValidString(n) {
			t.Errorf("FileName(%q) = %q", s, n)
		}
	}
	if got := FileName(strings.Repeat("long", 100) + ".pdf"); !strings.HasSuffix(got, ".pdf") {
		t.Errorf("a long name lost its extension: %q", got)
	}
}
