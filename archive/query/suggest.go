package query

import "strings"

// properties are those of language 2, in the order in which hints list them.
var properties = []Property{
	From, To, Participants, Custodian, InGroup, InConversation, OfKind, Having, FileName, InLanguage, OfMRN, OfPrio, Sent, Received, OnHold, ForMatter, AtSeq, IsQuarantined, Exactly,
}

// meant are properties of other languages that have one here.
var meant = map[string]Property{
	"sender": From, "author": From, "recipient": To, "recipients": To, "cc": To, "bcc": To, "participant": Participants, "date": Sent, "created": Sent,
	"attachment": FileName, "attachments": FileName, "attachmentnames": FileName, "name": FileName, "hasattachment": Having, "language": InLanguage, "patient": OfMRN,
	"priority": OfPrio, "importance": OfPrio, "type": OfKind, "thread": InConversation, "channel": InConversation, "case": ForMatter,
}

func unknownProperty(x lexeme) error {
	names := make([]string, len(properties))
	for i, p := range properties {
		names[i] = string(p)
	}
	hint := "the properties are " + strings.Join(names, ", ") + "; " + quoteHint
	near := string(meant[x.property])
	if near == "" {
		near = closest(x.property, names)
	}
	switch {
	case near != "":
		hint = "did you mean " + near + "? " + hint
	case x.property == "subject" || x.property == "body" || x.property == "title":
		hint = "messages have no subject: write the words alone; " + hint
	}
	return syntax(x.column, "this property is not known", hint)
}

// closest returns the name that is at most two edits away, and less than half of
// it; "" for none. Of several the closest, and of these the first.
func closest(s string, names []string) string {
	best, edits := "", maxEdits+1
	for _, name := range names {
		if !within(name, s, min(maxEdits, (len(name)-1)/2)) {
			continue
		}
		n := 1
		if !within(name, s, 1) {
			n = 2
		}
		if n < edits {
			best, edits = name, n
		}
	}
	return best
}
