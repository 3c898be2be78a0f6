package search

import (
	"slices"
	"time"

	index "github.com/blevesearch/bleve_index_api"

	"holdfast/archive/query"
)

// The fields of an indexed entry. Names are short because each segment repeats
// them.
const (
	fieldID               = "_id" // seqTerm; also a column of doc values
	fieldText             = "x"   // tokens of text, file names and files' texts, with positions
	fieldFileName         = "xf"  // tokens of file names, with positions
	fieldFromKey          = "fk"  // FoldKey of usr, UPN, mail
	fieldFromName         = "fn"  // tokens of names without accents, with positions
	fieldToKey            = "tk"
	fieldToName           = "tn"
	fieldMemberKey        = "mk" // of members of the conversation that are neither sender nor recipient
	fieldMemberName       = "mn"
	fieldUsr              = "u"  // usr of sender, recipients and members as it is
	fieldConversation     = "ck" // conversation id as it is
	fieldConversationName = "cn" // tokens without accents, with positions
	fieldSentDay          = "sd" // dayTerm
	fieldSent             = "st" // timeTerm; also a column of doc values
	fieldReceivedDay      = "rd"
	fieldReceived         = "rt"
	fieldDigest           = "dg" // first digestLen bytes of the message's digest
	fieldRef              = "rf" // likewise of the digest that the entry refers to
	fieldOf               = "of" // numberTerm of the seq of the entry that a late one stands for
	fieldProperty         = "p"  // a letter, below, and a value
)

// What a term of fieldProperty says of its entry.
const (
	propHangs       = "h" // it is no hit itself
	propQuarantined = "q" // it is in quarantine
	propUnread      = "u" // some text of it could not be read
	propAttachment  = "a" // it has an attachment
	propType        = "t" // the message's type
	propKind        = "c" // the conversation's kind
	propLang        = "l" // FoldKey of the language tag
	propMRN         = "m" // FoldKey of the medical record number
	propPrio        = "p" // the priority
)

const (
	withPositions = index.IndexField | index.IncludeTermVectors
	withoutPos    = index.IndexField
	withColumn    = index.IndexField | index.DocValues
)

// document is an entry on its way into the index. It is bleve's index.Document
// with nothing stored but the id: no text of a message is kept whole.
type document struct {
	id     string
	fields []index.Field
}

// newDocument makes the document of an entry; start is the first seq of its log
// file, v the vocabulary that learns its text.
func newDocument(d *query.Doc, start uint64, v *vocabulary) *document {
	x := &document{id: seqTerm(uint32(d.Seq - start))} // #nosec G115 -- a log file has at most 2^32 entries
	switch {
	case d.Hangs:
		x.addTerms(fieldProperty, []string{propHangs})
		x.addDigest(fieldRef, d.Ref)
	case d.Quarantined:
		x.addTerms(fieldProperty, []string{propQuarantined})
		x.addTime(fieldReceivedDay, fieldReceived, d.Received, withoutPos)
	default:
		x.addMessage(d, v)
	}
	return x
}

func (x *document) addMessage(d *query.Doc, v *vocabulary) {
	passages, names := []string{d.Text}, []string(nil)
	for i := range d.Files {
		passages = append(passages, d.Files[i].Name, d.Files[i].Text)
		names = append(names, d.Files[i].Name)
	}
	x.fields = append(x.fields, &field{name: fieldText, texts: passages, options: withPositions, learns: v})
	if len(names) > 0 {
		x.fields = append(x.fields, &field{name: fieldFileName, texts: names, options: withPositions})
	}
	x.addPeople(d)
	if d.Conversation.ID != "" {
		x.addTerms(fieldConversation, []string{d.Conversation.ID})
	}
	x.addNames(fieldConversationName, []string{d.Conversation.Name})
	x.addTime(fieldSentDay, fieldSent, d.Sent, withColumn)
	x.addTime(fieldReceivedDay, fieldReceived, d.Received, withoutPos)
	x.addDigest(fieldDigest, d.Digest)
	if d.Late {
		x.addTerms(fieldOf, []string{numberTerm(d.Of)})
	} else {
		// What hangs at a message is itself, not once more its late attachment.
		x.addDigest(fieldRef, d.Ref)
	}
	x.addTerms(fieldProperty, properties(d))
}

// properties returns the terms of fieldProperty.
func properties(d *query.Doc) (terms []string) {
	if d.Unread || slices.ContainsFunc(d.Files, func(f query.File) bool { return f.Unread }) {
		terms = append(terms, propUnread)
	}
	if len(d.Files) > 0 {
		terms = append(terms, propAttachment)
	}
	for _, p := range [][2]string{
		{propType, d.Typ}, {propKind, d.Conversation.Kind}, {propPrio, d.Prio},
		{propLang, query.FoldKey(d.Lang)}, {propMRN, query.FoldKey(d.MRN)},
	} {
		if p[1] != "" {
			terms = append(terms, p[0]+p[1])
		}
	}
	return terms
}

func (x *document) addPeople(d *query.Doc) {
	var others query.Parties
	for _, m := range d.Members {
		if !slices.Contains(d.From, m) && !slices.Contains(d.To, m) {
			others = append(others, m)
		}
	}
	x.addParties(fieldFromKey, fieldFromName, d.From)
	x.addParties(fieldToKey, fieldToName, d.To)
	x.addParties(fieldMemberKey, fieldMemberName, others)
	var usrs []string
	for _, side := range []query.Parties{d.From, d.To, others} {
		for _, p := range side {
			if p.Usr != "" {
				usrs = append(usrs, p.Usr)
			}
		}
	}
	x.addTerms(fieldUsr, usrs)
}

func (x *document) addParties(keyField, nameField string, parties query.Parties) {
	var keys, names []string
	for _, p := range parties {
		for _, id := range p.IDs() {
			keys = append(keys, query.FoldKey(id))
		}
		names = append(names, p.Name)
	}
	x.addTerms(keyField, keys)
	x.addNames(nameField, names)
}

func (x *document) addTime(dayField, exactField string, t time.Time, exact index.FieldIndexingOptions) {
	if t.IsZero() {
		return
	}
	x.addTerms(dayField, []string{dayTerm(dayOf(t))})
	x.fields = append(x.fields, &field{name: exactField, terms: []string{timeTerm(t)}, options: exact})
}

func (x *document) addDigest(name string, digest [32]byte) {
	if digest != [32]byte{} {
		x.addTerms(name, []string{digestTerm(digest)})
	}
}

func (x *document) addTerms(name string, terms []string) {
	if len(terms) > 0 {
		x.fields = append(x.fields, &field{name: name, terms: terms, options: withoutPos})
	}
}

// addNames adds texts whose accents do not count.
func (x *document) addNames(name string, texts []string) {
	texts = slices.DeleteFunc(texts, func(s string) bool { return s == "" })
	if len(texts) > 0 {
		x.fields = append(x.fields, &field{name: name, texts: texts, options: withPositions, plain: true})
	}
}

// The methods of index.Document.

func (x *document) ID() string { return x.id }
func (x *document) Size() int  { return len(x.id) }
func (x *document) VisitFields(visit index.FieldVisitor) {
	for _, f := range x.fields {
		visit(f)
	}
}
func (x *document) VisitComposite(index.CompositeFieldVisitor) {}
func (x *document) HasComposite() bool                         { return false }
func (x *document) NumPlainTextBytes() uint64                  { return 0 }
func (x *document) StoredFieldsBytes() uint64                  { return 0 }
func (x *document) Indexed() bool                              { return true }
func (x *document) AddIDField() {
	x.fields = append(x.fields, &field{
		name: fieldID, terms: []string{x.id}, value: []byte(x.id),
		options: index.IndexField | index.StoreField | index.DocValues,
	})
}
