package daemon

import (
	"testing"

	"holdfast/archive/coverage"
	"holdfast/archive/proof"
	"holdfast/internal/api"
)

// What the relay carried is certified by the numbers of its stream and of the
// sender's device, and nobody whom it never named is.
func TestCertifyOverTheRelay(t *testing.T) {
	w := newWard(t)
	w.start()
	w.load(lines(60))
	w.acked()
	req := api.CertifyRequest{Custodian: "usr:" + w.search("NOT zzzz", 1).Hits[0].FromUsr, From: "-1d", To: "2999-01-01", Reason: "test"}
	made, err := w.client.Certify(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := w.client.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := proof.ParseIdentity(checkpoint.Identity)
	if err != nil {
		t.Fatal(err)
	}
	s, err := coverage.Verify([]byte(made.JWS), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Streams) != 1 || s.Streams[0].First != 1 || len(s.Streams[0].Missing) != 0 || s.Others.Gaps != 0 {
		t.Errorf("%+v, %+v", s.Streams, s.Others)
	}
	if len(s.Devices) == 0 || len(s.Devices[0].Keys) == 0 {
		t.Fatalf("no device: %+v", s)
	}
	for _, d := range s.Devices {
		if d.Standing != coverage.Sealed && d.Standing != coverage.Open || d.First != 1 || d.Present != d.Last || d.After != coverage.Unknown {
			t.Errorf("%+v", d)
		}
	}
	req.Custodian = "usr:nobody"
	if _, err := w.client.Certify(t.Context(), req, nil); err == nil {
		t.Error("somebody was certified whom the relay never named")
	}
}
