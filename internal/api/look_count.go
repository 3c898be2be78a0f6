package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/retention/hold"
)

// counts are the things by which a count counts.
var counts = []string{ByCustodian, ByMonth, ByConversation, ByTerm}

func (s *Server) countHits(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req CountRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if !slices.Contains(counts, req.By) {
		return badRequest("it says not by what to count", "by is one of custodian, month, conversation, term")
	}
	if req.Limit < 0 || req.Limit > MaxLimit {
		return badRequest("a limit of 1 to 1000 buckets", "ask for fewer; buckets_total says how many there are")
	}
	var err error
	if req.Matter, err = s.matter(r.Context(), c, req.Matter); err != nil {
		return err
	}
	t, err := s.typed(req.Query, req.Saved, req.Matter, time.Time{})
	if err != nil {
		return err
	}
	var resp *CountResponse
	access := audit.Access{Action: audit.ActionSearch, Target: "count by " + req.By, Principal: c.who, Reason: req.Reason, Matter: req.Matter, Query: t.text}
	err = s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		if resp, err = s.counted(ctx, c, t, &req); err != nil {
			return audit.Outcome{}, err
		}
		o := audit.Outcome{Total: resp.Total, Through: resp.Through}
		s.whose(&o, c.who, nil) // no message was handed out
		return o, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// counted does a count whose access is in the log.
func (s *Server) counted(ctx context.Context, c *caller, t *typed, req *CountRequest) (*CountResponse, error) {
	b, err := s.bind(ctx, c, t.query)
	if err != nil {
		return nil, err
	}
	against, asOf, err := s.against(ctx, b, req.AsOf)
	if err != nil {
		return nil, err
	}
	given, err := s.Search.Count(ctx, b.query, req.By, asOf)
	if err != nil {
		return nil, err
	}
	resp := *given // what a part gave stays as it is
	resp.By, resp.People, resp.Checkpoint, resp.Buckets = req.By, b.named, against, slices.Clone(given.Buckets)
	if req.By == ByCustodian {
		if resp.Buckets, err = s.byPerson(ctx, b.query, resp.Buckets, asOf); err != nil {
			return nil, err
		}
	}
	if req.By == ByCustodian || req.By == ByConversation {
		slices.SortStableFunc(resp.Buckets, func(x, y Bucket) int {
			return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Key, y.Key))
		})
	}
	resp.Several = uint64(len(resp.Buckets))
	resp.Buckets = filled(resp.Buckets)
	resp.Buckets = resp.Buckets[:min(len(resp.Buckets), cmp.Or(req.Limit, MaxLimit))]
	if req.By == ByConversation {
		if err := s.callConversations(ctx, b.query, resp.Buckets, asOf); err != nil {
			return nil, err
		}
	}
	if req.Explain {
		resp.Explain = new(t.query.Explain())
	}
	return &resp, nil
}

// byPerson makes of a count by relay user one by person, as people are matched
// now. A person with several relay users is counted anew: a message between two
// of them is one of the person's messages, not two.
func (s *Server) byPerson(ctx context.Context, q *query.Query, by []Bucket, asOf uint64) ([]Bucket, error) {
	out := make([]Bucket, 0, len(by))
	at := map[string]int{}
	usrs := map[string][]string{}
	for _, u := range by {
		guid, ok := "", false
		if s.People != nil {
			guid, ok = s.People.PersonOf(u.Key)
		}
		if !ok {
			out = append(out, Bucket{Key: hold.UsrPrefix + u.Key, Name: u.Name, Count: u.Count})
			continue
		}
		if _, seen := at[guid]; !seen {
			at[guid] = len(out)
			out = append(out, Bucket{Key: guid, Name: u.Name, Count: u.Count})
		}
		usrs[guid] = append(usrs[guid], u.Key)
	}
	for guid, i := range at {
		if len(usrs[guid]) > 1 {
			found, err := s.Search.Search(ctx, q.Of(usrs[guid]), Page{Sort: SortSeq, AsOf: asOf})
			if err != nil {
				return nil, err
			}
			out[i].Count = found.Total
		}
		if s.People != nil {
			found, err := s.People.Find(ctx, guid)
			if err != nil {
				return nil, err
			}
			if len(found) == 1 {
				out[i].Name = found[0].Name
			}
		}
	}
	return out, nil
}

// maxCalled is how many conversations of a count are given their names: each
// takes a look at a message.
const maxCalled = 100

// callConversations gives conversations the names that their newest messages
// that match have.
func (s *Server) callConversations(ctx context.Context, q *query.Query, buckets []Bucket, asOf uint64) error {
	for i := range buckets[:min(len(buckets), maxCalled)] {
		found, err := s.Search.Search(ctx, q.In(buckets[i].Key), Page{Limit: 1, Sort: SortSeq, AsOf: asOf})
		if err != nil {
			return err
		}
		if len(found.Hits) == 1 && found.Hits[0].Conversation != buckets[i].Key {
			buckets[i].Name = found.Hits[0].Conversation
		}
	}
	return nil
}
