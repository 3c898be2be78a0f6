package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/ingest/wire"
)

// Each fault of a page happens once, is noticed for what it is, and is over with the next request.
func TestPageFaults(t *testing.T) {
	for _, tt := range []struct {
		fault string
		want  error
	}{
		{"drop-event@3", wire.ErrNext},
		{"drop-event@6", wire.ErrNext},
		{"gap@3", wire.ErrGap},
		{"gap@6", wire.ErrNext},
		{"repeat@3", wire.ErrRepeat},
		{"swap@3", wire.ErrGap},
		{"swap@6", wire.ErrGap},
		{"malformed@3", wire.ErrMalformed},
		{"truncate@3", wire.ErrTruncated},
		{"truncate@0", wire.ErrTruncated},
		{"wrong-head@3", wire.ErrHead},
		{"wrong-head@0", wire.ErrHead},
		{"wrong-sig@6", wire.ErrSignature},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			g := newRig(t, tt.fault)
			g.submit(6)
			if page, err := g.pull(1000, 0); page != nil || !errors.Is(err, tt.want) {
				t.Fatalf("%v, %v; want %v", page, err, tt.want)
			}
			if left := g.relay.faults.Pending(); len(left) != 0 {
				t.Errorf("still to happen: %v", left)
			}
			g.mustPull(1000, 6)
			g.do("POST", "ack", g.ack(nil), 200)
		})
	}
}

// A fault hits the page that holds its event and no other.
func TestFaultIsAimed(t *testing.T) {
	g := newRig(t, "gap@4x2")
	g.submit(6)
	g.mustPull(3, 3)
	for range 2 {
		if _, err := g.pull(3, 0); err == nil {
			t.Error("the fault did not happen")
		}
	}
	g.mustPull(3, 3)
}

func TestStatusFaults(t *testing.T) {
	g := newRig(t, "429@2=3s,503@2")
	g.submit(3)
	for _, want := range []wire.Problem{
		{Status: 429, Code: wire.CodeSlowDown, RetryAfter: 3 * time.Second},
		{Status: 503, Code: wire.CodeUnavailable, RetryAfter: time.Second},
	} {
		_, err := g.pull(10, 0)
		var p *wire.Problem
		if !errors.As(err, &p) || p.Status != want.Status || p.Code != want.Code || p.RetryAfter != want.RetryAfter {
			t.Errorf("%v, want %v", err, &want)
		}
	}
	g.mustPull(10, 3)
}

func TestClockSkew(t *testing.T) {
	g := newRig(t, "clock-skew=-20mx1")
	for _, want := range []time.Duration{20 * time.Minute, 0} {
		page := g.mustPull(10, 0)
		at, err := time.Parse("2006-01-02T15:04:05.000Z", page.End.Time)
		if off := time.Since(at) - want; err != nil || off < -time.Second || off > time.Minute {
			t.Errorf("off by %v, want %v", off+want, want)
		}
	}
}

// An equivocating relay shows a history that verifies; the true one, which follows, does not continue it, and the ack is refused.
func TestEquivocate(t *testing.T) {
	g := newRig(t, "equivocate@2")
	g.submit(4)
	page := g.mustPull(3, 3)
	if !strings.HasPrefix(page.Events[1].ID, "other-") {
		t.Errorf("event 2 is the true one")
	}
	if p := g.problem("POST", "ack", g.ack(nil)); p.Code != wire.CodeHeadMismatch {
		t.Errorf("ack: %v", p)
	}
	_, err := g.pull(10, 0)
	var he *wire.HeadError
	if !errors.As(err, &he) {
		t.Errorf("the next page: %v", err)
	}
}

func TestSubmitFaults(t *testing.T) {
	g := newRig(t, "lost@1,corrupt@2,oversize@3,epoch-change@5")
	g.submit(5)
	g.submit(1)
	page := g.mustPull(10, 5)
	e := page.Events
	if e[0].Kind != wire.KindLost || !strings.Contains(e[0].Data, `"seq":1`) {
		t.Errorf("lost: %s %.80s", e[0].Kind, e[0].Data)
	}
	if e[1].Data == "AMX1.e30."+e[1].ID || len(e[1].Data) != len("AMX1.e30."+e[1].ID) {
		t.Errorf("corrupt: %.80s", e[1].Data)
	}
	if len(e[2].Data) != wire.MaxEnvelope+1 {
		t.Errorf("oversize: %d bytes", len(e[2].Data))
	}
	if e[3].Data != "AMX1.e30."+e[3].ID {
		t.Errorf("event 4 is changed")
	}
	if p := g.problem("GET", fmt.Sprintf("events?after=5&epoch=%s", g.epoch), nil); p.Code != wire.CodeEpochChanged {
		t.Errorf("after the epoch's end: %v", p)
	}
	g.begin()
	g.mustPull(10, 1)
}

func TestSlow(t *testing.T) {
	g := newRig(t, "")
	if err := g.relay.faults.Add("slow=60ms"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	g.get("status", 200)
	g.get("status", 200)
	if took := time.Since(began); took < 120*time.Millisecond {
		t.Errorf("two answers took %v", took)
	}
}

func TestBlobFaults(t *testing.T) {
	g := newRig(t, "")
	bid, other, content := "AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBA", bytes.Repeat([]byte("x"), 300000)
	for _, b := range []string{bid, other} {
		if err := g.relay.PutBlob(b, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	add := func(spec string) {
		t.Helper()
		if err := g.relay.faults.Add(spec); err != nil {
			t.Fatal(err)
		}
	}
	add("blob-missing=" + bid + "x2")
	for range 2 {
		if p := g.problem("GET", "blobs/"+bid, nil); p.Status != 404 {
			t.Errorf("missing: %v", p)
		}
	}
	add("blob-corrupt=" + bid)
	if !bytes.Equal(g.get("blobs/"+other, 200), content) {
		t.Error("another blob is corrupt")
	}
	if got := g.get("blobs/"+bid, 200); bytes.Equal(got, content) || len(got) != len(content) {
		t.Error("the blob is not corrupt")
	}
	add("blob-stall")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", g.running.URL+"/amx/v1/"+arc+"/blobs/"+bid, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.ReadFull(resp.Body, make([]byte, len(content)/4)); err != nil {
		t.Errorf("%d bytes, then %v", n, err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("a stalled blob came whole")
	}
	if !bytes.Equal(g.get("blobs/"+bid, 200), content) {
		t.Error("the blob is not whole afterwards")
	}
}

func TestParseFaults(t *testing.T) {
	f, err := ParseFaults(" gap@3x4 , clock-skew=20m,blob-missing=AAAAAAAAAAAAAAAAAAAAxA,slow=50msx2,")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range f.list {
		got = append(got, fmt.Sprintf("%s@%d=%s/%v x%d", one.kind.name, one.n, one.text, one.duration, one.left))
	}
	want := "gap@3=/0s x4; clock-skew@0=20m/20m0s x-1; blob-missing@0=AAAAAAAAAAAAAAAAAAAAxA/0s x-1; slow@0=50ms/50ms x2"
	if strings.Join(got, "; ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, "; "), want)
	}
	for _, bad := range []string{"other@1", "gap", "gap@", "gap@x", "slow", "slow@1=1s", "slow=fast", "gap@1=2", "clock-skew", "gap@99999999999999999", "@1", "gap@1,,=", "gap@1x"} {
		if _, err := ParseFaults(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, k := range faultKinds {
		if !strings.Contains(FaultHelp(), "  "+k.name) {
			t.Errorf("help does not name %s", k.name)
		}
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add("gap@3x4,clock-skew=20m")
	f.Fuzz(func(t *testing.T, spec string) {
		faults, err := ParseFaults(spec)
		if (faults == nil) == (err == nil) {
			t.Fatal(faults, err)
		}
	})
}
