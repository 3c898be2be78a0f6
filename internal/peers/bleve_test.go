package peers

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/analysis/lang/cjk"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/analysis/lang/es"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search/query"
)

// plain is bleve as its documentation sets it up, unencrypted: the text in one
// field for each language. The field for words as they are keeps the stop words
// that bleve's standard analyzer leaves out, so that phrases find the same.
type plain struct {
	dir string
	x   bleve.Index
}

const batchSize = 8000 // as ours

// The fields of a text.
const (
	exactText   = "exact"
	englishText = "english"
	spanishText = "spanish"
	cjkText     = "cjk"
)

func openBleve(dir string) (engine, error) { return &plain{dir: filepath.Join(dir, "index")}, nil }

func plainMapping() (mapping.IndexMapping, error) {
	m := bleve.NewIndexMapping()
	err := m.AddCustomAnalyzer(exactText, map[string]any{
		"type": custom.Name, "tokenizer": unicode.Name, "token_filters": []string{lowercase.Name},
	})
	if err != nil {
		return nil, err
	}
	field := func(name, analyzer string, positions bool) *mapping.FieldMapping {
		f := bleve.NewTextFieldMapping()
		f.Name, f.Analyzer, f.Store, f.DocValues, f.IncludeInAll, f.IncludeTermVectors = name, analyzer, false, false, false, positions
		return f
	}
	of := bleve.NewDocumentStaticMapping()
	of.AddFieldMappingsAt("text", field(exactText, exactText, true), field(englishText, en.AnalyzerName, true),
		field(spanishText, es.AnalyzerName, true), field(cjkText, cjk.AnalyzerName, true))
	of.AddFieldMappingsAt("from", field("from", keyword.Name, false))
	of.AddFieldMappingsAt("to", field("to", keyword.Name, false))
	sent := bleve.NewDateTimeFieldMapping()
	sent.Store, sent.IncludeInAll = false, false
	of.AddFieldMappingsAt("sent", sent)
	m.DefaultMapping = of
	return m, nil
}

func (p *plain) build(_ context.Context, messages []message) error {
	m, err := plainMapping()
	if err != nil {
		return err
	}
	if p.x, err = bleve.New(p.dir, m); err != nil {
		return err
	}
	batch := p.x.NewBatch()
	for i, m := range messages {
		err := batch.Index(fmt.Sprintf("%010d", i), map[string]any{"text": m.text, "from": m.from, "to": m.to, "sent": m.sent})
		if err != nil {
			return err
		}
		if batch.Size() >= batchSize || i == len(messages)-1 {
			if err := p.x.Batch(batch); err != nil {
				return err
			}
			batch.Reset()
		}
	}
	return nil
}

// word finds a word, or others of its English or Spanish stem, as ours does.
func (p *plain) word(w string) query.Query {
	exact := bleve.NewTermQuery(w)
	exact.SetField(exactText)
	english, spanish := bleve.NewMatchQuery(w), bleve.NewMatchQuery(w)
	english.SetField(englishText)
	english.Analyzer = en.AnalyzerName
	spanish.SetField(spanishText)
	spanish.Analyzer = es.AnalyzerName
	return bleve.NewDisjunctionQuery(exact, english, spanish)
}

func (p *plain) ask(ctx context.Context, a asked) (uint64, bool, error) {
	var q query.Query
	switch {
	case a.near > 0:
		return 0, false, nil
	case a.phrase:
		q = bleve.NewPhraseQuery(a.words, exactText)
	case len(a.words) == 1:
		q = p.word(a.words[0])
	default:
		var all []query.Query
		for _, w := range a.words {
			all = append(all, p.word(w))
		}
		q = bleve.NewConjunctionQuery(all...)
	}
	r := bleve.NewSearchRequestOptions(q, 50, 0, false)
	r.SortBy([]string{"-_id"})
	found, err := p.x.SearchInContext(ctx, r)
	if err != nil {
		return 0, false, err
	}
	return found.Total, true, nil
}

func (p *plain) close() error { return p.x.Close() }
