package query

// clauseOfOne turns a text or property lexeme into a node of language 1. What a
// query of it finds must stay as it is: QUERY.md's appendix has it.
func clauseOfOne(x lexeme) (Node, error) {
	if x.kind == lexText {
		words := phraseOf(1, Exact, x.value)
		if len(words) == 0 {
			return nil, syntax(x.column, "this holds no letter or digit to search for", "search finds words and numbers, not signs; leave it out")
		}
		return &Text{Value: x.value, Words: words}, nil
	}
	switch property := Property(x.property); property {
	case From, To, InConversation:
		if err := needOp(x); err != nil {
			return nil, err
		}
		words, tokens := nameOf(1, Exact, x.value)
		if property == InConversation {
			return &Conversation{Value: x.value, Tokens: tokens, words: words}, nil
		}
		return &Person{Property: property, Value: x.value, Key: FoldKey(x.value), Tokens: tokens, words: words}, nil
	case Sent, Received:
		return timeOfOne(x)
	}
	return nil, syntax(x.column, "this property is not known", "the properties are from: to: conversation: sent received; "+quoteHint)
}

func timeOfOne(x lexeme) (Node, error) {
	if !isComparison(x.op) {
		return nil, syntax(x.column, "this property takes = < > <= or >=", "write it as in sent>=2026-01-01")
	}
	m, ok := parseMoment(x.value)
	if !ok {
		return nil, syntax(x.column, "this is no date or time", "write a date as 2026-01-31 or a time as 2026-01-31T18:30:00Z, directly after the sign")
	}
	return &Time{Property: Property(x.property), Op: Op(x.op), Value: m}, nil
}

// one writes a text of language 1: its words are exact, in quotes or not.
func (p *printer) one(value string) {
	if isBareWord(value) {
		p.put(value)
	} else {
		p.quoted(value)
	}
}
