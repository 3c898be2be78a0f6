package query

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/spanish"
	"golang.org/x/text/unicode/norm"
)

// accented are the scripts whose accents and vowel signs Unaccent takes away.
// In others, such as Devanagari and Kana, a mark makes another letter.
var accented = []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Hebrew, unicode.Arabic}

// plainLetters are letters with a stroke, and ligatures, that Unicode does not
// take apart.
var plainLetters = map[rune]string{
	'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'æ': "ae", 'œ': "oe", 'ı': "i", 'ħ': "h", 'ŧ': "t",
}

// Unaccent returns a token without the accents of its Latin, Greek, Cyrillic,
// Hebrew and Arabic letters, and with ø ł đ ð þ æ œ ı ħ ŧ written plainly: é is
// e, ñ is n, æ is ae. All else stays. It is never empty for a token.
func Unaccent(token string) string {
	if isASCII(token) {
		return token
	}
	if r, n := utf8.DecodeRuneInString(token); n == len(token) && standsAlone(r) {
		return token
	}
	var b strings.Builder
	b.Grow(len(token))
	if isLatin1(token) {
		for _, r := range token {
			if r < utf8.RuneSelf {
				b.WriteByte(byte(r))
			} else {
				b.WriteString(latin1[r-firstLatin1])
			}
		}
		return b.String()
	}
	return unaccented(token)
}

const firstLatin1 = 0xc0

// latin1 is the letters of Latin-1 without accents.
var latin1 = func() (plain [0x100 - firstLatin1]string) {
	for i := range plain {
		plain[i] = unaccented(string(rune(firstLatin1 + i)))
	}
	return plain
}()

func unaccented(token string) string {
	var b strings.Builder
	b.Grow(len(token))
	strips := false
	for _, r := range norm.NFD.String(token) {
		if unicode.IsMark(r) {
			if !strips || !unicode.In(r, unicode.Mn, unicode.Me) {
				b.WriteRune(r)
			}
			continue
		}
		strips = unicode.IsLetter(r) && unicode.In(r, accented...)
		if plain, ok := plainLetters[r]; ok {
			b.WriteString(plain)
		} else {
			b.WriteRune(r)
		}
	}
	return norm.NFC.String(b.String())
}

// The shortest and longest tokens that have a stem, in bytes.
const (
	minStemmed = 3
	maxStemmed = 40
)

// Stems returns the English and the Spanish stem of a token, each "" for none.
// English: of Unaccent(token), when that is 3 to 40 letters a to z. Spanish: of
// the token as it is, when it is 3 to 40 bytes of the letters a to z and á é í ó
// ú ü ñ, and then without accents; an ending ion, as people write who leave
// accents out, counts as ión. Both are Snowball's. A stem begins with the
// letter with which Unaccent(token) begins.
func Stems(token string) (en, es string) {
	if len(token) < minStemmed || len(token) > maxStemmed {
		return "", ""
	}
	plain := Unaccent(token)
	if len(plain) >= minStemmed && isLetters(plain, "") {
		env := snowballstem.NewEnv(plain)
		english.Stem(env)
		en = env.Current()
	}
	if isLetters(token, "áéíóúüñ") {
		if strings.HasSuffix(token, "ion") {
			token = token[:len(token)-len("ion")] + "ión"
		}
		env := snowballstem.NewEnv(token)
		spanish.Stem(env)
		es = Unaccent(env.Current())
	}
	return en, es
}

// isLetters says whether s is of the letters a to z and those besides.
func isLetters(s, besides string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && !strings.ContainsRune(besides, r) {
			return false
		}
	}
	return true
}
