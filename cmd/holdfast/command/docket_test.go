package command

import "holdfast/internal/api"

// What the office says of tags, productions, clawbacks and saved searches. What
// people wrote has characters in it that steer a terminal.

func (o *office) tags(seq uint64) api.TagsShowResponse {
	out := api.TagsShowResponse{Seq: seq, Tags: []api.Tagged{}}
	if !o.none {
		out.Tags = append(out.Tags,
			api.Tagged{Tag: "privileged", Matter: "M-7", Basis: "counsel\u202e", At: &received, By: &jdoe, Reason: "memo\x1b[2J", Clawback: true},
			api.Tagged{Tag: "part2", Matter: "M-7", Basis: "42 CFR", At: &received, By: &jdoe, Reason: "r", Removed: &api.Untagged{At: ended, By: aberg, Reason: "consent"}},
			api.Tagged{Tag: "psychotherapy", Matter: api.Held})
	}
	return out
}

func (o *office) taggedBy(r api.TagsListRequest) api.TagsListResponse {
	return api.TagsListResponse{Matter: "M-7", Tag: r.Tag, Total: 3, Seqs: []uint64{4711, 4712}}
}

func production() api.MadeProduction {
	return api.MadeProduction{
		Seq: 5120, Matter: "M-7", State: "made", Query: "potassium\u202e", Language: 2, Format: "dat", At: 9000, Recipient: api.Disclosee{Name: "Smith & \x1bRoe", Address: "1 Main St"},
		Purpose: "litigation", About: "first request", Bates: "S-0000001..S-0000031", Reserved: "S-0000001..S-0000040", Began: received, Ended: &ended, By: jdoe,
		Include: []string{"part2"}, Authority: "consent",
		Made:       &api.MadeCounts{Manifest: digest, Files: 40, Bytes: 1 << 20, Matched: 33, Produced: 31, Withheld: 2, Redacted: 1, Patients: 4},
		ClawedBack: []api.ClawedBack{{Clawback: 5207, Bates: "S-0000017", At: ended}},
	}
}

func (o *office) productions() api.ProductionsResponse {
	if o.none {
		return api.ProductionsResponse{Productions: []api.MadeProduction{}}
	}
	unfinished, failed := production(), production()
	unfinished.Seq, unfinished.State, unfinished.Made, unfinished.Bates, unfinished.ClawedBack, unfinished.Ended = 5300, "unfinished", nil, "", nil, nil
	failed.Seq, failed.State, failed.Made, failed.Bates, failed.ClawedBack, failed.Code, failed.Reserved, failed.Matter = 5000, "failed", nil, "", nil, "changed", "", ""
	return api.ProductionsResponse{Productions: []api.MadeProduction{unfinished, production(), failed}}
}

func (o *office) disclosures(r api.DisclosuresRequest) (any, error) {
	out := api.DisclosuresResponse{MRN: r.MRN, Since: began, Until: ended, Left: 2, Disclosures: []api.Disclosure{}, Notes: []string{"a note"}}
	if r.All {
		out.Left = 0
	}
	if !o.none {
		out.Disclosures = append(out.Disclosures, api.Disclosure{
			Production: 5120, At: received, Recipient: api.Disclosee{Name: "Smith & \x1bRoe", Address: "1 Main St"}, Description: "messages", Purpose: "treatment", About: "transfer", Exempt: true,
		})
	}
	return out, nil
}

func clawback() api.Clawback {
	return api.Clawback{
		Seq: 5207, Matter: "M-7", Bates: "S-0000017..S-0000019", Entries: 3, At: received, By: jdoe, Reason: "memo",
		Notices: []api.ClawbackNotice{{Production: 5120, Recipient: api.Disclosee{Name: "Smith & \x1bRoe"}, Bates: "S-0000017", Text: "To: Smith & \x1bRoe\n\nNotice\n"}},
	}
}

func (o *office) clawbacks() api.ClawbacksResponse {
	if o.none {
		return api.ClawbacksResponse{Clawbacks: []api.Clawback{}}
	}
	c := clawback()
	c.Notices = nil
	return api.ClawbacksResponse{Clawbacks: []api.Clawback{c}}
}

func (o *office) savedSearches() api.SearchesResponse {
	out := api.SearchesResponse{Matter: "M-7", Searches: []api.SavedSearch{}}
	if !o.none {
		out.Searches = append(out.Searches, api.SavedSearch{Name: "Potassium", Query: "potassium\u202e", Language: 2, At: received, By: jdoe})
	}
	return out
}
