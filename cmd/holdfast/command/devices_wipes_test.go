package command

import "holdfast/internal/api"

// wipes are two that a hold stops, of which one is not the caller's to know of.
func (o *office) wipes(struct{}) (any, error) {
	if o.none {
		return api.WipesResponse{Wipes: []api.Wipe{}}, nil
	}
	return api.WipesResponse{Wipes: []api.Wipe{
		{ID: "w1", Usr: "u1", Dev: "phone\x1b", Kid: device, Person: annaGUID, Name: "Anna Berg", State: "refused", Code: "hold_tail_open", Seq: 90, At: received, Request: 99},
		{ID: "w2", Usr: "u2", Dev: "tablet", Kid: device, State: "refused", Code: api.Held, Seq: 91, At: received},
	}}, nil
}

func (o *office) override(r api.OverrideWipeRequest) (any, error) {
	return api.ApprovalRequest{Seq: 99, Act: api.ActWipeOverride, Digest: digest, Summary: "wipe a device although a hold stops it: wipe " + r.ID, By: jdoe, Reason: r.Reason,
		At: received, Expires: received.AddDate(0, 0, 3), Status: "pending"}, nil
}
