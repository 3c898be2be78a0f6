package ingest

import (
	"context"
	"io"
	"slices"
	"testing"
	"testing/fstest"

	"holdfast/archive"
	"holdfast/archive/export"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
	"holdfast/internal/role"
)

// Approvals makes site what internal/daemon is to the client.
func (s *site) Approvals(ctx context.Context, n int) ([]envelope.Approval, error) {
	if err := s.state.CatchUp(ctx, s.archive.Size()); err != nil {
		return nil, err
	}
	return s.state.Approvals(n), nil
}

// approve has a person approve a device, as the API does.
func (s *site) approve(sn *sender) {
	s.t.Helper()
	check(s.t, s.state.CatchUp(s.t.Context(), s.archive.Size()))
	kid, err := jws.Thumbprint(sn.key.Public())
	check(s.t, err)
	cur, _ := s.archive.Cursor()
	e, err := s.state.ApproveDevice(kid, cur, role.Principal{Name: "C. Officer", Person: "8e2f6d30-0000-4000-8000-000000000001"}, "read out on the ward")
	check(s.t, err)
	_, err = s.archive.Append(s.t.Context(), archive.Batch{Entries: []archive.Entry{e}})
	check(s.t, err)
}

func (s *site) assurances() []string {
	s.t.Helper()
	var out []string
	for _, rec := range s.records(proof.KindMessage) {
		var note archive.MessageNote
		check(s.t, ijson.Unmarshal(rec.Note, &note))
		out = append(out, note.Assurance)
	}
	return out
}

// What a device sends before a person approved it stays relay-asserted, what it sends after is enrolled, without a restart and across one; and
// the production that shows both verifies without the archive and says that a person approved.
func TestAnApprovedDeviceIsEnrolledFromTheNextPage(t *testing.T) {
	l := newLive(t)
	sn := &sender{usr: "u-ann", dev: "u-ann-phone", key: newSigner(t, jws.EdDSA)}
	user, err := envelope.UserUpsertEvent(envelope.User{Usr: sn.usr, UPN: "ann@st-mary.example", Mail: "ann@st-mary.example", Name: "Ann"})
	check(t, err)
	l.st.add(wire.KindDir, string(user))
	device, err := envelope.DeviceAdd{Arc: testArc, Usr: sn.usr, Dev: sn.dev, Key: sn.key}.Event()
	check(t, err)
	l.st.add(wire.KindDir, string(device))
	l.st.say(sn, "before")
	l.submit()
	l.start()
	l.untilAcked(3)
	l.approve(sn)
	l.st.say(sn, "after")
	l.submit()
	l.untilAcked(4)
	l.stop()
	l.start()
	l.st.say(sn, "after a restart")
	l.submit()
	l.untilAcked(5)
	l.stop()
	if got := l.assurances(); !slices.Equal(got, []string{"relay-asserted", "enrolled", "enrolled"}) {
		t.Fatalf("assurances %v", got)
	}

	check(t, l.state.CatchUp(t.Context(), l.archive.Size()))
	files := fstest.MapFS{}
	_, err = export.Produce(t.Context(), export.Source{Log: l.archive, Places: l.state}, export.Request{
		Seqs: func(yield func(uint64, error) bool) {
			for _, rec := range l.records(proof.KindMessage) {
				if !yield(rec.Leaf.Seq, nil) {
					return
				}
			}
		},
		Principal: "C. Officer", Tool: "test", Reason: "test",
	}, sink{files})
	check(t, err)
	key, err := l.archive.Identity().LogVerifier()
	check(t, err)
	v, err := export.Verify(t.Context(), files, export.VerifyKeys{Log: key}, nil)
	check(t, err)
	if !v.OK() || v.Verified != 3 || v.Approved != 2 || v.Assurance["enrolled"] != 2 {
		t.Errorf("%s, %d proven, %d approved, %v: %v", v.Result, v.Verified, v.Approved, v.Assurance, v.Findings)
	}
}

// sink keeps a production in memory.
type sink struct{ files fstest.MapFS }

func (s sink) Create(name string) (io.WriteCloser, error) {
	f := &fstest.MapFile{Mode: 0o600}
	s.files[name] = f
	return sinkFile{f}, nil
}

type sinkFile struct{ f *fstest.MapFile }

func (s sinkFile) Write(b []byte) (int, error) {
	s.f.Data = append(s.f.Data, b...)
	return len(b), nil
}

func (s sinkFile) Close() error { return nil }
