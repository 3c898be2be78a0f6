package search

import (
	"encoding/binary"
	"math"
	"time"

	index "github.com/blevesearch/bleve_index_api"

	"holdfast/archive/query"
)

// The fields of an indexed entry. Names are short because each segment repeats
// them.
const (
	fieldID               = "_id" // seqTerm; also a column of doc values
	fieldText             = "x"   // tokens of text and attachment names, with positions
	fieldFromKey          = "fk"  // FoldKey of usr, UPN, mail
	fieldFromName         = "fn"  // tokens of names, with positions
	fieldToKey            = "tk"
	fieldToName           = "tn"
	fieldConversation     = "ck" // conversation id as it is
	fieldConversationName = "cn"
	fieldSentDay          = "sd" // 8 bytes: day since 1970, UTC
	fieldSent             = "st" // timeTerm
	fieldReceivedDay      = "rd"
	fieldReceived         = "rt"
	fieldDigest           = "dg" // first digestLen bytes of the message's digest
)

const (
	withPositions = index.IndexField | index.IncludeTermVectors
	withoutPos    = index.IndexField
	secondsPerDay = 24 * 60 * 60
)

// document is an entry on its way into the index. It is bleve's index.Document
// with nothing stored but the id: no text of a message is kept whole.
type document struct {
	id     string
	fields []index.Field
}

// newDocument makes the document of an entry; start is the first seq of its log
// file.
func newDocument(d *query.Doc, start uint64) *document {
	x := &document{id: seqTerm(uint32(d.Seq - start))}
	x.addPhrases(fieldText, append([]string{d.Text}, d.Names...))
	x.addParties(fieldFromKey, fieldFromName, d.From)
	x.addParties(fieldToKey, fieldToName, d.To)
	if d.Conversation.ID != "" {
		x.addTerms(fieldConversation, []string{d.Conversation.ID})
	}
	x.addPhrases(fieldConversationName, []string{d.Conversation.Name})
	x.addTime(fieldSentDay, fieldSent, d.Sent)
	x.addTime(fieldReceivedDay, fieldReceived, d.Received)
	if d.Digest != [32]byte{} {
		x.addTerms(fieldDigest, []string{digestTerm(d.Digest)})
	}
	return x
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
	x.addPhrases(nameField, names)
}

func (x *document) addTime(dayField, exactField string, t time.Time) {
	if t.IsZero() {
		return
	}
	x.addTerms(dayField, []string{dayTerm(dayOf(t))})
	x.addTerms(exactField, []string{timeTerm(t)})
}

func (x *document) addTerms(name string, terms []string) {
	if len(terms) > 0 {
		x.fields = append(x.fields, &field{name: name, terms: terms, options: withoutPos})
	}
}

func (x *document) addPhrases(name string, texts []string) {
	x.fields = append(x.fields, &field{name: name, texts: texts, options: withPositions})
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

// field is bleve's index.Field: either terms, or texts that are tokenised when
// bleve's workers call Analyze.
type field struct {
	name    string
	terms   []string
	texts   []string
	value   []byte
	options index.FieldIndexingOptions

	freqs  index.TokenFrequencies
	length int
}

func (f *field) Name() string                                     { return f.name }
func (f *field) Value() []byte                                    { return f.value }
func (f *field) ArrayPositions() []uint64                         { return nil }
func (f *field) EncodedFieldType() byte                           { return 't' }
func (f *field) Options() index.FieldIndexingOptions              { return f.options }
func (f *field) AnalyzedLength() int                              { return f.length }
func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.freqs }
func (f *field) NumPlainTextBytes() uint64                        { return 0 }

func (f *field) Analyze() {
	f.freqs = index.TokenFrequencies{}
	for _, term := range f.terms {
		if f.freqs[term] == nil {
			f.add(term)
		}
	}
	position := 0
	for _, text := range f.texts {
		for _, token := range query.Tokenize(text) {
			position++
			tf := f.add(token.Text)
			tf.Locations = append(tf.Locations, &index.TokenLocation{Position: position})
		}
		// A position left out, so that no phrase runs from one text into the next.
		position++
	}
	// zap reads a norm of zero as "no entry" for a term with one hit, and the
	// norm is the length.
	f.length = max(1, f.length)
}

func (f *field) add(term string) *index.TokenFreq {
	tf := f.freqs[term]
	if tf == nil {
		tf = &index.TokenFreq{Term: []byte(term)}
		f.freqs[term] = tf
	}
	tf.SetFrequency(tf.Frequency() + 1)
	f.length++
	return tf
}

// seqTermLen is the length of a seqTerm.
const seqTermLen = 5

// seqTerm is the place of an entry in its log file, in five digits of seven
// bits, highest first: zap ends a doc value with 0xff, so no byte may be that.
func seqTerm(place uint32) string {
	var b [seqTermLen]byte
	for i := range b {
		b[i] = byte(place>>(7*(seqTermLen-1-i))) & 0x7f
	}
	return string(b[:])
}

func parseSeqTerm(term []byte) (uint32, bool) {
	if len(term) != seqTermLen {
		return 0, false
	}
	var place uint64
	for _, c := range term {
		place = place<<7 | uint64(c)
	}
	return uint32(place), place <= math.MaxUint32
}

func dayOf(t time.Time) int64 {
	s := t.Unix()
	day := s / secondsPerDay
	if s%secondsPerDay < 0 {
		day--
	}
	return day
}

// dayTerm and timeTerm sort as the times do: the sign bit is flipped.
func dayTerm(day int64) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(day)^1<<63))
}

// timeTerm is the millisecond and, only if it is not zero, the rest in
// nanoseconds.
func timeTerm(t time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(t.UnixMilli())^1<<63)
	if rest := uint32(t.Nanosecond() % int(time.Millisecond)); rest != 0 {
		b = binary.BigEndian.AppendUint32(b, rest)
	}
	return string(b)
}
