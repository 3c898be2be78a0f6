package query

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clause turns a text or property lexeme into a node.
func (p *parser) clause(x lexeme) (Node, error) {
	if p.language == 1 {
		return clauseOfOne(x)
	}
	if x.kind == lexText {
		return text(x, Anywhere)
	}
	name := Property(x.property)
	switch name {
	case Sent, Received:
		return p.timeClause(x)
	case AtSeq:
		return seqClause(x)
	case From, To, Participants, Custodian, InGroup, InConversation, OfKind, Having, FileName, InLanguage, OfMRN, OfPrio, OnHold, ForMatter, IsQuarantined, Exactly:
	default:
		return nil, unknownProperty(x)
	}
	if err := needOp(x); err != nil {
		return nil, err
	}
	switch name {
	case FileName:
		return text(x, InFileName)
	case Exactly:
		return exactly(x)
	case OfKind, Having, OfPrio, IsQuarantined, InLanguage:
		return oneOf(x)
	}
	if starred(x.value) || strings.Trim(x.value, "* ") == "" {
		return nil, syntax(x.column, "this property takes no wildcard", "write a whole id, address, or words of the name")
	}
	return named(x), nil
}

// needOp refuses what is not a colon and a value.
func needOp(x lexeme) error {
	if x.op != ":" {
		return syntax(x.column, "this property takes a colon", "write it as in from:name")
	}
	if strings.TrimSpace(x.value) == "" {
		return syntax(x.column, "the property has no value", "write the value directly after the colon, in quotes if it has spaces")
	}
	return nil
}

// named makes a clause of a property whose value names somebody or something.
func named(x lexeme) Node {
	words, tokens := nameOf(Language, Folded, x.value)
	switch property := Property(x.property); property {
	case From, To, Participants:
		return &Person{Property: property, Value: x.value, Key: FoldKey(x.value), Tokens: tokens, words: words}
	case Custodian:
		return &Person{Property: property, Value: x.value}
	case InGroup:
		return &Group{Value: x.value}
	case InConversation:
		return &Conversation{Value: x.value, Tokens: tokens, words: words}
	case OfMRN:
		return &MRN{x.value, FoldKey(x.value)}
	default:
		return &Held{Property: property, Value: x.value}
	}
}

// The values of the properties that have only these.
var values = map[Property][]string{
	OfKind:        {"msg", "edit", "direct", "group", "patient"},
	Having:        {"attachment"},
	OfPrio:        {"routine", "urgent", "stat"},
	IsQuarantined: {"true", "false"},
}

// hanging are the types of messages that are never found by themselves.
var hanging = []string{"recall", "receipt", "reaction", "member", "close", "expiry", "call", "checkpoint"}

// oneOf makes a clause of a property whose values are known beforehand.
func oneOf(x lexeme) (Node, error) {
	property, value := Property(x.property), FoldKey(strings.TrimSpace(x.value))
	if property == InLanguage {
		if !isLanguageTag(value) {
			return nil, syntax(x.column, "this is no language", "write its tag, as in lang:es or lang:pt-br")
		}
		return &Lang{value}, nil
	}
	known := values[property]
	if property == OfKind && slices.Contains(hanging, value) {
		return nil, syntax(x.column, "what hangs at a message is not found by itself", "search for the message: it is shown with its receipts, recalls and reactions, and `holdfast timeline` lists them")
	}
	if !slices.Contains(known, value) {
		hint := "the values are " + strings.Join(known, ", ")
		if near := closest(value, known); near != "" {
			hint = "did you mean " + x.property + ":" + near + "? " + hint
		}
		return nil, syntax(x.column, "this property has no such value", hint)
	}
	switch property {
	case OfKind:
		return &Kind{value}, nil
	case Having:
		return &Has{value}, nil
	case OfPrio:
		return &Prio{value}, nil
	}
	return &Quarantined{value == "true"}, nil
}

func isLanguageTag(s string) bool {
	return s != "" && s[0] != '-' && s[len(s)-1] != '-' && len(s) <= 35 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}

// text makes a clause of words. In quotes they are a phrase as written; a bare
// word may have stars or a wave, and anywhere but in files' names it also stands
// for others of its stem.
func text(x lexeme, where Where) (Node, error) {
	form := Stem
	if x.quoted || where == InFileName {
		form = Folded
	}
	var words []Word
	var err error
	if x.quoted {
		if starred(x.value) {
			return nil, syntax(x.column, "a star stands in quotes", "wildcards are for bare words: write word* without quotes, or leave the star out")
		}
		words = phraseOf(Language, form, x.value)
	} else if words, err = pattern(x, form); err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, nothingToFind(x.column)
	}
	return &Text{Value: x.value, Where: where, Words: words}, nil
}

// exactly makes a clause of words whose accents count.
func exactly(x lexeme) (Node, error) {
	if starred(x.value) || !x.quoted && strings.Contains(x.value, "~") {
		return nil, syntax(x.column, "exact: takes no wildcard", "write the whole word or, in quotes, the phrase")
	}
	words := phraseOf(Language, Exact, x.value)
	if len(words) == 0 {
		return nil, nothingToFind(x.column)
	}
	return &Text{Value: x.value, Words: words}, nil
}

func nothingToFind(column int) error {
	return syntax(column, "this holds no letter, digit or emoji to search for", "search finds words, numbers and emoji, not other signs; leave it out")
}

// starred says whether a star stands beside a letter or number.
func starred(value string) bool {
	for i := range len(value) {
		if value[i] != '*' {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(value[:i])
		after, _ := utf8.DecodeRuneInString(value[i+1:])
		if unicode.IsLetter(before) || unicode.IsNumber(before) || unicode.IsLetter(after) || unicode.IsNumber(after) {
			return true
		}
	}
	return false
}

// The fewest characters that a word with a star or a wave must have.
const (
	minPrefix = 2
	minInside = 3 // of a suffix, and of an infix
	minFuzzy1 = 3
	minFuzzy2 = 5
)

// pattern reads a bare word with its stars and wave; those without either have
// the form plain.
func pattern(x lexeme, plain Form) ([]Word, error) {
	if strings.Contains(x.value, "~") {
		return fuzzy(x)
	}
	core := strings.TrimPrefix(x.value, "*")
	leading := len(core) < len(x.value)
	whole := len(core)
	core = strings.TrimSuffix(core, "*")
	trailing := len(core) < whole
	switch {
	case strings.Contains(core, "*"):
		return nil, syntax(x.column, "a star stands in the middle of a word", "a star stands at the beginning or the end: write po* for po..., *ium for ...ium, *tass* for ...tass...; "+quoteHint)
	case leading && core == "" || trailing && core == "":
		return nil, syntax(x.column, "a star stands alone", "it would find everything; leave it out, or write letters beside it")
	case !leading && !trailing:
		return phraseOf(Language, plain, core), nil
	}
	tokens := Tokenize(core)
	if len(tokens) == 0 {
		return nil, nothingToFind(x.column)
	}
	if leading && tokens[0].Start > 0 || trailing && tokens[len(tokens)-1].End < len(core) {
		return nil, syntax(x.column, "a star stands beside a sign", "write it directly before or after a letter or number; "+quoteHint)
	}
	words := phraseOf(Language, plain, core)
	last := len(words) - 1
	if leading && trailing && last == 0 {
		return words, starWord(x, &words[0], Infix)
	}
	if leading {
		if err := starWord(x, &words[0], Suffix); err != nil {
			return nil, err
		}
	}
	if trailing {
		if err := starWord(x, &words[last], Prefix); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// starWord gives a word the form that its star means.
func starWord(x lexeme, w *Word, form Form) error {
	least := minInside
	if form == Prefix {
		least = minPrefix
	}
	switch r, _ := utf8.DecodeRuneInString(w.Text); {
	case standsAlone(r) || isEmoji(r) || isFlagLetter(r):
		return syntax(x.column, "a star stands beside a character that is a word of its own", "it is found inside longer words anyway: leave the star out")
	case utf8.RuneCountInString(w.plain) < least:
		return syntax(x.column, "a word with a star is too short", fmt.Sprintf("write at least %d characters before a star, and %d after one", minPrefix, minInside))
	}
	*w = NewWord(form, w.Text, 0)
	return nil
}

// fuzzy reads word~1 or word~2.
func fuzzy(x lexeme) ([]Word, error) {
	core, edits, _ := strings.Cut(x.value, "~")
	if edits != "1" && edits != "2" || strings.Contains(core, "*") {
		return nil, syntax(x.column, "a wave stands here that says nothing", "write word~1 or word~2 for words of which one or two characters may differ; "+quoteHint)
	}
	tokens := Words(core)
	if len(tokens) == 0 {
		return nil, nothingToFind(x.column)
	}
	n, least := 1, minFuzzy1
	if edits == "2" {
		n, least = 2, minFuzzy2
	}
	w := NewWord(Fuzzy, tokens[0], n)
	if len(tokens) > 1 || utf8.RuneCountInString(w.plain) < least {
		return nil, syntax(x.column, "a wave stands after what is no word, or a short one", fmt.Sprintf("~1 follows one word of at least %d characters, ~2 one of at least %d", minFuzzy1, minFuzzy2))
	}
	return []Word{w}, nil
}

// seqClause makes a clause of entries' places.
func seqClause(x lexeme) (Node, error) {
	from, ok := wholeNumber(x.value)
	to := from
	if x.ranged {
		var also bool
		to, also = wholeNumber(x.until)
		ok = ok && also && (x.op == ":" || x.op == "=")
	}
	bad := syntax(x.column, "this is no seq", "write entries' numbers as in seq:4711, seq:4000..4999 or seq>=4000")
	if !ok {
		return nil, bad
	}
	n := &Seq{from, to}
	switch x.op {
	case ":", "=":
	case "<", "<=":
		n.From = 0
		if x.op == "<" {
			n.To--
		}
	case ">", ">=":
		n.To = lastSeq
		if x.op == ">" {
			n.From++
		}
	default:
		return nil, bad
	}
	if n.From > n.To || x.op == "<" && from == 0 || x.op == ">" && from == lastSeq {
		return nil, syntax(x.column, "this range holds no entry", "write the lower seq first")
	}
	return n, nil
}

// phraseOf returns the words of a text in a form.
func phraseOf(language int, form Form, value string) []Word {
	var words []Word
	for _, token := range wordsOf(language, value) {
		words = append(words, NewWord(form, token, 0))
	}
	return words
}

// nameOf returns the words of a name and what they accept.
func nameOf(language int, form Form, value string) (words []Word, tokens []string) {
	words = phraseOf(language, form, value)
	for _, w := range words {
		if form == Exact {
			tokens = append(tokens, w.Text)
		} else {
			tokens = append(tokens, w.plain)
		}
	}
	return words, tokens
}
