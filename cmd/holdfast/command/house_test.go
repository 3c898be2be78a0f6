package command

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/state"
	"holdfast/ingest/envelope"
	"holdfast/internal/api"
	"holdfast/retention"
)

// house is a daemon's inside in memory: enough for the commands to talk to.
type house struct {
	mu      sync.Mutex
	records []archive.Record
	late    []api.Hit // messages that came in since, newest first
	looks   int       // searches, shows and productions that went through
	full    bool      // the disk takes nothing
	damaged bool      // checks find something
	unheard bool      // nothing has come from a relay
	paused  bool      // nothing is pulled from it
	fail    error     // what a production ends with
	matters map[string]retention.Matter
	town

	server string // over the network, once it is served: https://HOST:PORT
	ca     string // file of its authority
}

var received = time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC)

// hits are the messages of the house, newest first.
var hits = []api.Hit{
	{Seq: 12, Sent: "2026-03-01T08:29:59.000Z", Received: received, From: "Bo Dahl", FromUsr: "u2", To: []string{"Anna Berg"}, ToUsrs: []string{"u1"}, Conversation: "Ward 3",
		ConversationID: "c1", Text: "potassium 6.1\nrepeat ECG \u202e\x1b[31mnow", Kind: "message", Typ: "msg", Assurance: "relay-asserted", Flags: []string{"revoked-device"},
		Attachments: []api.Attachment{{BID: "b", Name: "ecg\x07.pdf", Mime: "application/pdf", Size: 1234, Status: "stored"}}},
	{Seq: 11, Sent: "2026-03-01T08:15:00.000Z", Received: received, From: "Anna Berg", FromUsr: "u1", To: []string{"Bo Dahl", "Cy Ek"}, Conversation: "Ward 3",
		ConversationID: "c1", Text: "potasio 4,1 \u94be 正常", Kind: "message", Typ: "edit", Assurance: "enrolled", Flags: []string{}, Attachments: []api.Attachment{}},
	{Seq: 10, Sent: "2026-03-01T08:00:00.000Z", Received: received, From: "Anna Berg", FromUsr: "u1", To: []string{"Bo Dahl"}, Conversation: "Ward 3",
		ConversationID: "c1", Text: "potassium?", Kind: "message", Typ: "msg", Assurance: "enrolled", Flags: []string{}, Attachments: []api.Attachment{}},
}

func newHouse() *house {
	h := &house{town: newTown(), matters: map[string]retention.Matter{}}
	h.add(proof.KindGenesis, proof.ClassControl, nil)
	h.add(proof.KindAlarm, proof.ClassControl, archive.AlarmBody{Name: "relay-gap", Severity: "critical", Text: "the relay left out 3 events",
		Fix: "ask the vendor for events 4 to 6", Facts: map[string]string{"from": "4", "to": "6"}})
	h.add(proof.KindAlarm, proof.ClassControl, archive.AlarmBody{Name: "clock", Severity: "warning", Text: "the relay's clock is 11 minutes off", Fix: "check NTP"})
	return h
}

func (h *house) add(kind proof.Kind, class string, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // in a test's set-up
	}
	h.records = append(h.records, archive.Record{Body: b, Leaf: proof.Leaf{
		Seq: uint64(len(h.records)), Kind: kind, Class: class, Received: received.UnixMilli() + int64(len(h.records))*60_000,
	}})
}

func (h *house) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *house) Append(_ context.Context, b archive.Batch) ([]archive.Placed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.full {
		return nil, archive.ErrDiskFull
	}
	var placed []archive.Placed
	for _, e := range b.Entries {
		h.add(e.Kind, e.Class, json.RawMessage(e.Body))
		placed = append(placed, archive.Placed{Seq: uint64(len(h.records) - 1), Kind: e.Kind})
	}
	return placed, nil
}

func (h *house) Size() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return uint64(len(h.records))
}

func (h *house) ClassRecords(_ context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	h.mu.Lock()
	records := slices.Clone(h.records[from:to])
	h.mu.Unlock()
	return func(yield func(archive.Record, error) bool) {
		for _, r := range records {
			if r.Leaf.Class == class && !yield(r, nil) {
				return
			}
		}
	}
}

func (h *house) Identity() *proof.Identity {
	return &proof.Identity{ArchiveID: "st-elsewhere", LogKey: "holdfast.invalid/st-elsewhere/0011223344556677+log+key"}
}
func (h *house) IdentityJSON() []byte { return []byte("{\n  \"v\": 1\n}\n") }
func (h *house) Checkpoint(context.Context) ([]byte, error) {
	return []byte("holdfast.invalid/st-elsewhere/0011223344556677\n5\ncm9vdA==\n\n— sig\n"), nil
}

func (h *house) Check(_ context.Context, o archive.CheckOptions) (*archive.Report, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.Progress(3, 13)
	r := &archive.Report{Size: 13, Root: "cm9vdA==", Bodies: 13, Checkpoints: 2, Findings: []archive.Finding{}}
	if h.damaged {
		r.Damage, r.Findings = 1, []archive.Finding{{Seq: 10, What: "its leaf is not what the tree holds"}}
	}
	return r, nil
}

func (h *house) Status(context.Context) (*api.Status, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	contact := received.Add(time.Minute)
	relay := api.RelayStatus{Epoch: "e1", Seq: 9, Acked: 8, High: 10, Contact: &contact}
	if h.unheard {
		relay = api.RelayStatus{}
	}
	return &api.Status{Version: "v0.1", Started: received, ArchiveID: "st-elsewhere", Origin: "holdfast.invalid/st-elsewhere/0011223344556677", Size: 13, Roles: true,
		Waiting: "disk_full", Relay: relay, Index: api.IndexStatus{Through: 13, Working: true},
		Quarantined: 1, Alarms: 2}, nil
}

func (h *house) Search(_ context.Context, q *query.Query, page api.Page) (*api.SearchResponse, error) {
	h.set(func() { h.looks++ })
	h.mu.Lock()
	defer h.mu.Unlock()
	found := &api.SearchResponse{Extent: api.Extent{Through: 13, Quarantined: 1}, Hits: []api.Hit{}}
	if len(h.late) > 0 {
		found.Through = h.late[0].Seq
	}
	all := slices.Concat(h.late, hits)
	if page.Oldest {
		slices.Reverse(all)
	}
	for _, hit := range all {
		if !q.Match(docOf(&hit)) {
			continue
		}
		found.Total++
		switch wanted := page.Before == nil && hit.Seq > page.Above || page.Before != nil && hit.Seq < page.Before.Seq; {
		case !wanted || page.Limit == 0:
		case len(found.Hits) == page.Limit:
			found.NextAt(&api.Place{Seq: found.Hits[page.Limit-1].Seq})
		default:
			found.Hits = append(found.Hits, hit)
		}
	}
	return found, nil
}

// docOf is a hit as a query sees it.
func docOf(hit *api.Hit) *query.Doc {
	return &query.Doc{Seq: hit.Seq, Text: hit.Text, Received: hit.Received, From: query.Parties{{Usr: hit.FromUsr, Name: hit.From}}, Conversation: query.ConversationRef{ID: hit.ConversationID}}
}

func (h *house) Count(_ context.Context, q *query.Query, by string, _ uint64) (*api.CountResponse, error) {
	h.set(func() { h.looks++ })
	counted := &api.CountResponse{Extent: api.Extent{Through: 13, Disposed: 4, WithoutText: 2, Unindexed: 1}}
	n := map[string]uint64{}
	for _, hit := range hits {
		if !q.Match(docOf(&hit)) {
			continue
		}
		counted.Total++
		switch by {
		case api.ByMonth:
			n["2026-03"]++
		case api.ByConversation:
			n[hit.ConversationID]++
		case api.ByCustodian:
			n[hit.FromUsr]++
		case api.ByTerm:
			n["potassium"]++
		}
	}
	for key, count := range n {
		b := api.Bucket{Key: key, Count: count}
		if by == api.ByTerm {
			b.Alone = new(count - 1)
		}
		counted.Buckets = append(counted.Buckets, b)
	}
	return counted, nil
}

func (h *house) Show(_ context.Context, seqs []uint64) ([]api.Shown, error) {
	h.set(func() { h.looks++ })
	var out []api.Shown
	for _, seq := range seqs {
		i := slices.IndexFunc(hits, func(hit api.Hit) bool { return hit.Seq == seq })
		switch {
		case i >= 0:
			hit := hits[i] // the server fills it in
			hit.Members = []api.Participant{{Usr: "u1", Name: "Anna Berg"}, {Usr: "u2", Name: "Bo Dahl"}, {Usr: "u5", Name: "Cy Ek"}}
			out = append(out, api.Shown{Seq: seq, Kind: "message", Class: "general", Received: received, Epoch: "e1", RelaySeq: seq - 3,
				LeafHash: strings.Repeat("ab", 32), Message: &hit, Body: json.RawMessage(`{"v":1}`)})
		case seq == 1:
			out = append(out, api.Shown{Seq: seq, Kind: "alarm", Class: "control", Received: received, LeafHash: strings.Repeat("cd", 32),
				Body: json.RawMessage("{\"name\":\"relay-gap \u202e\"}")})
		case seq == 2:
			out = append(out, api.Shown{Seq: seq, Kind: "quarantine", Class: "general", Received: received, LeafHash: strings.Repeat("ef", 32),
				Note: json.RawMessage(`{"code":"malformed"}`), Raw: []byte("\x1b]0;owned\x07\nentry 99")})
		case seq == 3:
			out = append(out, api.Shown{Seq: seq, Kind: "message", Class: "general", Received: received, Missing: "the archive no longer holds its body"})
		default:
			return nil, &archive.SeqError{Seq: seq, Err: archive.ErrNotFound}
		}
	}
	return out, nil
}

func (h *house) Produce(_ context.Context, p api.Production, sink api.Sink) (*api.Produced, error) {
	h.set(func() { h.looks++ })
	of, near := p.Query.String(), uint64(0)
	if asked := p.Asked; asked != nil && asked.MRN != "" {
		of, near = of+", third parties "+asked.ThirdParties+", for "+asked.Purpose, 2
		for _, usr := range asked.PatientUsrs {
			of += ", patient " + usr
		}
	}
	for _, name := range []string{"records.jsonl", "annex/annex.json", "manifest.json"} {
		w, err := sink.Create(name)
		if err == nil {
			_, err = io.WriteString(w, name+" for "+of+"\n")
		}
		if err = errors.Join(err, w.Close()); err != nil {
			return nil, err
		}
	}
	var covered uint64
	for _, r := range p.Asked.Redact {
		covered += uint64(len(r.Seqs))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return &api.Produced{Matched: 3, Produced: 2, Withheld: 1, Redacted: covered, Through: 13, Near: near}, h.fail
}

// start serves the house at the socket path, and on the network, until the
// function that it returns is called.
func (h *house) start(path string) (stop func() error, err error) {
	log := slog.New(slog.DiscardHandler)
	parts := api.Parts{
		Ledger: h, Store: h, Alarms: state.New(h, envelope.Pins{}, nil), Status: h, Search: h, Show: h, Produce: h,
		Registry: prometheus.NewRegistry(), Log: log, Auth: porter{h}, People: clerk{h}, LargeExport: 2, Watch: &audit.Watch{Days: []time.Weekday{time.Sunday}, To: 8*60 + 39},
	}
	parts.Matters = registry{h}
	parts.Pauser, parts.Notices = caretaker{h}, caretaker{h}
	if !h.unknown {
		parts.Register, parts.Directory, parts.Devices, parts.Approvals = clerk{h}, registrar{h}, mechanic{h}, notary{h}
	}
	s, err := api.New(parts)
	if err != nil {
		return nil, err
	}
	ca, cert, key, err := certify(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	pair, err := api.LoadCertificate(cert, key, log, nil)
	if err != nil {
		return nil, err
	}
	socket, err := api.Listen(path)
	if err != nil {
		return nil, err
	}
	network, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	h.server, h.ca = "https://"+network.Addr().String(), ca
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- s.Serve(ctx, socket) }()
	go func() { ended <- s.ServeTLS(ctx, network, pair) }()
	return sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ended, <-ended)
	}), nil
}
