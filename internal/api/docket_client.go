package api

import (
	"context"
	"net/http"
)

// Tags asks how an entry is tagged.
func (c *Client) Tags(ctx context.Context, seq uint64) (*TagsShowResponse, error) {
	return ask[TagsShowResponse](ctx, c, http.MethodPost, "/v1/tags/show", TagsShowRequest{Seq: seq})
}

// TaggedBy asks which entries a matter has tagged.
func (c *Client) TaggedBy(ctx context.Context, req TagsListRequest) (*TagsListResponse, error) {
	return ask[TagsListResponse](ctx, c, http.MethodPost, "/v1/tags/list", req)
}

// SetTag puts a tag on entries, or takes it off.
func (c *Client) SetTag(ctx context.Context, req TagRequest) (*TagResponse, error) {
	return ask[TagResponse](ctx, c, http.MethodPost, "/v1/tags/change", req)
}

// Productions lists productions.
func (c *Client) Productions(ctx context.Context, req ProductionsRequest) (*ProductionsResponse, error) {
	return ask[ProductionsResponse](ctx, c, http.MethodPost, "/v1/productions/list", req)
}

// Production asks for one production.
func (c *Client) Production(ctx context.Context, seq uint64) (*MadeProduction, error) {
	return ask[MadeProduction](ctx, c, http.MethodPost, "/v1/productions/show", ProductionRequest{Seq: seq})
}

// Disclosures asks for the accounting of what was disclosed of a patient.
func (c *Client) Disclosures(ctx context.Context, req DisclosuresRequest) (*DisclosuresResponse, error) {
	return ask[DisclosuresResponse](ctx, c, http.MethodPost, "/v1/disclosures", req)
}

// MakeClawback asks back what was produced under Bates numbers.
func (c *Client) MakeClawback(ctx context.Context, req ClawbackRequest) (*Clawback, error) {
	return ask[Clawback](ctx, c, http.MethodPost, "/v1/clawbacks/make", req)
}

// Clawbacks lists what a matter asked back.
func (c *Client) Clawbacks(ctx context.Context, matter string) (*ClawbacksResponse, error) {
	return ask[ClawbacksResponse](ctx, c, http.MethodPost, "/v1/clawbacks/list", ClawbacksRequest{Matter: matter})
}

// Clawback asks for one clawback, with its notices.
func (c *Client) Clawback(ctx context.Context, seq uint64) (*Clawback, error) {
	return ask[Clawback](ctx, c, http.MethodPost, "/v1/clawbacks/show", ClawbackShowRequest{Seq: seq})
}

// Searches lists a matter's saved searches.
func (c *Client) Searches(ctx context.Context, matter string) (*SearchesResponse, error) {
	return ask[SearchesResponse](ctx, c, http.MethodPost, "/v1/searches/list", SearchesRequest{Matter: matter})
}

// SaveSearch keeps a query for a matter, and returns what it then keeps.
func (c *Client) SaveSearch(ctx context.Context, req SaveSearchRequest) (*SearchesResponse, error) {
	return ask[SearchesResponse](ctx, c, http.MethodPost, "/v1/searches/save", req)
}

// RemoveSearch takes a saved search away, and returns what the matter then keeps.
func (c *Client) RemoveSearch(ctx context.Context, req RemoveSearchRequest) (*SearchesResponse, error) {
	return ask[SearchesResponse](ctx, c, http.MethodPost, "/v1/searches/remove", req)
}
