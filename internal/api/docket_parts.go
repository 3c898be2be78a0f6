package api

import (
	"context"

	"holdfast/archive/docket"
	"holdfast/internal/role"
)

// Docket is what was decided about entries for matters. *docket.Book is one.
// What it reads is as of what Alarms has caught up with; what it writes is
// durable and applied when it returns.
type Docket interface {
	SetTag(ctx context.Context, who role.Principal, c docket.TagChange) error
	TagHistory(seq uint64) []docket.Tagged
	TaggedBy(matter string, t docket.Tag, after uint64, limit int) (seqs []uint64, total uint64)

	Production(seq uint64) (*docket.Production, bool)
	Productions() []docket.Production
	Disclosures(ctx context.Context, q docket.Accounting) (*docket.Account, error)

	Claw(ctx context.Context, who role.Principal, n docket.NewClawback) (*docket.Clawback, error)
	Clawback(seq uint64) (*docket.Clawback, bool)
	Clawbacks() []*docket.Clawback

	SaveSearch(ctx context.Context, who role.Principal, s docket.SavedSearch) (*docket.SavedSearch, error)
	RemoveSearch(ctx context.Context, who role.Principal, matter, name, reason string) error
	Searches(matter string) []docket.SavedSearch
}

// docketRoutes are the ways to tags, productions, clawbacks and saved searches.
func (s *Server) docketRoutes() []route {
	return []route{
		{name: "POST /v1/tags/show", answer: s.tagsShow, endpoint: role.TagsShow},
		{name: "POST /v1/tags/list", answer: s.tagsList, endpoint: role.TagsShow},
		{name: "POST /v1/tags/change", answer: s.tagsChange, endpoint: role.TagsChange},

		{name: "POST /v1/productions/list", answer: s.productionsList, endpoint: role.ProductionsShow},
		{name: "POST /v1/productions/show", answer: s.productionsShow, endpoint: role.ProductionsShow},
		{name: "POST /v1/disclosures", answer: s.disclosures, endpoint: role.Disclosures},

		{name: "POST /v1/clawbacks/list", answer: s.clawbacksList, endpoint: role.ClawbackShow},
		{name: "POST /v1/clawbacks/show", answer: s.clawbacksShow, endpoint: role.ClawbackShow},
		{name: "POST /v1/clawbacks/make", answer: s.clawbacksMake, endpoint: role.ClawbackMake},

		{name: "POST /v1/searches/list", answer: s.searchesList, endpoint: role.SearchesShow},
		{name: "POST /v1/searches/save", answer: s.searchesSave, endpoint: role.SearchesChange},
		{name: "POST /v1/searches/remove", answer: s.searchesRemove, endpoint: role.SearchesChange},
	}
}
