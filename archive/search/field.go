package search

import (
	"maps"

	index "github.com/blevesearch/bleve_index_api"

	"holdfast/archive/query"
)

// passageGap is how many positions lie between two texts of a field, so that
// neither a phrase nor a NEAR reaches from one into the next.
const passageGap = query.MaxNear + 2

// field is bleve's index.Field: either terms, or texts that are tokenised when
// bleve's workers call Analyze.
type field struct {
	name    string
	terms   []string
	texts   []string
	plain   bool // the tokens without accents
	learns  *vocabulary
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
		tokens := query.Tokenize(text)
		if len(tokens) == 0 {
			continue
		}
		locations := make([]index.TokenLocation, len(tokens))
		for i := range tokens {
			term := tokens[i].Text
			if f.plain {
				term = query.Unaccent(term)
			}
			position++
			locations[i].Position = position
			tf := f.add(term)
			tf.Locations = append(tf.Locations, &locations[i])
		}
		position += passageGap
	}
	// zap reads a norm of zero as "no entry" for a term with one hit, and the
	// norm is the length.
	f.length = max(1, f.length)
	if f.learns != nil {
		f.learns.learn(maps.Keys(f.freqs))
	}
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
