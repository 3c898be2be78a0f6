package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/export"
	"holdfast/archive/query"
	"holdfast/archive/state"
	"holdfast/internal/role"
)

// asAccount sends a request over the socket as another account than the one
// that runs the test.
func asAccount(s *Server, uid uint32, method, path, body string) *httptest.ResponseRecorder {
	return as(s.Handler(), end{via: role.ViaSocket, uid: uid, name: "account"}, "", method, path, body)
}

// as sends a request from an end of a connection, with a token unless that is empty.
func as(h http.Handler, e end, token, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.WithValue(context.Background(), endKey{}, e), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := &deadlined{httptest.NewRecorder()}
	h.ServeHTTP(w, r)
	return w.ResponseRecorder
}

// deadlined is a recorder that takes deadlines.
type deadlined struct{ *httptest.ResponseRecorder }

func (*deadlined) SetReadDeadline(time.Time) error  { return nil }
func (*deadlined) SetWriteDeadline(time.Time) error { return nil }

// Whoever holds no role is turned away and recorded once in a while, and
// nothing else happens.
func TestRefusalsAreRecordedOnceInAWhile(t *testing.T) {
	h := newHouse(t)
	s := h.server()
	for range 3 {
		w := asAccount(s, 54321, "GET", "/v1/status", "")
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), CodeForbidden) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if trace := h.traced(); len(trace) != 1 || trace[0] != "append access" {
		t.Errorf("trace %q", trace)
	}
	var a audit.Access
	if err := json.Unmarshal(h.records[1].Body, &a); err != nil || a.Action != audit.ActionRefused || *a.Principal.UID != 54321 || a.Target != "status" {
		t.Errorf("access %+v, %v", a, err)
	}
	h.failAt = h.appends + 1
	if w := asAccount(s, 54322, "GET", "/v1/status", ""); w.Code != http.StatusForbidden {
		t.Errorf("a refusal that cannot be recorded: %d", w.Code)
	}
}

func TestUnknownPeerIsNobody(t *testing.T) {
	h := newHouse(t)
	s := h.server()
	for name, ctx := range map[string]context.Context{
		"not asked": context.Background(),
		"failed":    context.WithValue(context.Background(), endKey{}, end{err: errors.New("no")}),
	} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/v1/status", nil))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if e := endOf(withPeer(t.Context(), a)); e.err == nil {
		t.Error("a connection that is no Unix socket has a peer")
	}
	if e := endOf(withAddress(t.Context(), a)); e.err == nil {
		t.Error("a connection of no network has an address")
	}
}

func TestRefusalsAreRememberedForAWhile(t *testing.T) {
	f := refusals{last: map[string]time.Time{}}
	now := time.Unix(0, 0)
	if !f.first("a", now) || f.first("a", now.Add(refuseEvery-1)) || !f.first("b", now) || !f.first("a", now.Add(refuseEvery)) {
		t.Error("refusals are not recorded once a minute and user")
	}
	for uid := range uint32(5 * maxRefused) {
		f.first(strconv.Itoa(int(uid)), now)
		if len(f.last) > maxRefused {
			t.Fatalf("%d users remembered", len(f.last))
		}
	}
}

func TestStrictRequests(t *testing.T) {
	h := newHouse(t)
	c, _ := serve(t, h.server())
	const asJSON = "application/json"
	ok := `{"query":"canary","reason":"r"}`
	tests := map[string]struct {
		method, path, contentType, body string
		status                          int
		code                            string
	}{
		"unknown member":   {"POST", "/v1/search", asJSON, `{"query":"canary","reason":"r","colour":1}`, 400, CodeBadRequest},
		"case variant":     {"POST", "/v1/search", asJSON, `{"Query":"canary","reason":"r"}`, 400, CodeBadRequest},
		"member twice":     {"POST", "/v1/search", asJSON, `{"query":"x","query":"canary","reason":"r"}`, 400, CodeBadRequest},
		"two values":       {"POST", "/v1/search", asJSON, ok + ok, 400, CodeBadRequest},
		"cut":              {"POST", "/v1/search", asJSON, ok[:9], 400, CodeBadRequest},
		"empty":            {"POST", "/v1/search", asJSON, ``, 400, CodeBadRequest},
		"wrong type":       {"POST", "/v1/search", asJSON, `{"query":7,"reason":"r"}`, 400, CodeBadRequest},
		"negative limit":   {"POST", "/v1/search", asJSON, `{"query":"x","reason":"r","limit":-1}`, 400, CodeBadRequest},
		"large limit":      {"POST", "/v1/search", asJSON, `{"query":"x","reason":"r","limit":1001}`, 400, CodeBadRequest},
		"not UTF-8":        {"POST", "/v1/search", asJSON, "{\"query\":\"\xff\",\"reason\":\"r\"}", 400, CodeBadRequest},
		"a form":           {"POST", "/v1/search", "application/x-www-form-urlencoded", ok, 400, CodeBadRequest},
		"no type":          {"POST", "/v1/search", "", ok, 400, CodeBadRequest},
		"too large":        {"POST", "/v1/search", asJSON, `{"query":"` + strings.Repeat("x", MaxRequest) + `"}`, 413, CodeTooLarge},
		"long query":       {"POST", "/v1/search", asJSON, `{"reason":"r","query":"` + strings.Repeat("x", query.MaxBytes+1) + `"}`, 400, CodeBadQuery},
		"query in the URL": {"POST", "/v1/search?query=canary", asJSON, ok, 400, CodeBadRequest},
		"GET":              {"GET", "/v1/search", asJSON, ok, 404, CodeNotFound},
		"no endpoint":      {"POST", "/v2/search", asJSON, ok, 404, CodeNotFound},
		"no seqs":          {"POST", "/v1/show", asJSON, `{"seqs":[],"reason":"r"}`, 400, CodeBadRequest},
		"many seqs":        {"POST", "/v1/show", asJSON, `{"reason":"r","seqs":[1` + strings.Repeat(",1", audit.MaxSeqs) + `]}`, 400, CodeBadRequest},
		"large seq":        {"POST", "/v1/show", asJSON, `{"reason":"r","seqs":[9007199254740992]}`, 400, CodeBadRequest},
		"other format":     {"POST", "/v1/export", asJSON, `{"query":"canary","reason":"r","as":"pdf"}`, 400, CodeBadRequest},
		"verify member":    {"POST", "/v1/verify", asJSON, `{"x":1}`, 400, CodeBadRequest},
		"alarm member":     {"POST", "/v1/alarms/list", asJSON, `{"x":1}`, 400, CodeBadRequest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resp, body := post(t, c, tt.method, tt.path, tt.contentType, tt.body)
			p, err := parseProblem([]byte(body))
			if err != nil || resp.StatusCode != tt.status || p.Code != tt.code || p.Status != tt.status || p.Hint == "" || p.Exit != ExitUsage {
				t.Errorf("%d %s (%v)", resp.StatusCode, body, err)
			}
			if strings.Contains(body, "canary") {
				t.Errorf("the problem repeats content: %s", body)
			}
		})
	}
	if trace := h.traced(); len(trace) != 0 {
		t.Errorf("trace %q", trace)
	}
}

func TestProblemsOfErrors(t *testing.T) {
	_, syntax := query.Parse(`"`)
	tests := []struct {
		err    error
		code   string
		status int
		exit   int
	}{
		{syntax, CodeBadQuery, 400, ExitUsage},
		{audit.ErrNoReason, CodeNoReason, 400, ExitUsage},
		{audit.ErrTooLong, CodeBadRequest, 400, ExitUsage},
		{archive.ErrNotFound, CodeNotFound, 404, ExitUsage},
		{state.ErrNotAlarm, CodeNotFound, 404, ExitUsage},
		{archive.ErrNoBody, CodeNoBody, 410, ExitData},
		{archive.ErrDisposed, CodeDisposed, 410, ExitUsage},
		{archive.ErrDamaged, CodeDamaged, 500, ExitData},
		{archive.ErrDiskFull, CodeDiskFull, 507, ExitTemporary},
		{archive.ErrFailed, CodeFailed, 503, ExitIO},
		{archive.ErrClosed, CodeStopping, 503, ExitTemporary},
		{context.Canceled, CodeStopping, 503, ExitTemporary},
		{export.ErrRequest, CodeBadRequest, 400, ExitUsage},
		{export.ErrChanged, CodeChanged, 409, ExitTemporary},
		{fmt.Errorf("%w: %w", audit.ErrUnaudited, archive.ErrDiskFull), CodeUnaudited, 507, ExitTemporary},
		{fmt.Errorf("%w: %w", audit.ErrUnaudited, context.Canceled), CodeStopping, 503, ExitTemporary},
		{Indexing(errors.New("x")), CodeIndexing, 503, ExitTemporary},
		{BeyondLog(errors.New("x")), CodeBadRequest, 400, ExitUsage},
		{errors.New("canary"), CodeInternal, 500, ExitIO},
	}
	for _, tt := range tests {
		p := problemOf(fmt.Errorf("somewhere: %w", tt.err))
		if p.Code != tt.code || p.Status != tt.status || p.Exit != tt.exit || p.Hint == "" || p.Title == "" {
			t.Errorf("%v: %+v", tt.err, p)
		}
		if strings.Contains(p.Error()+p.Hint, "canary") {
			t.Errorf("%v: the problem quotes an unknown error", tt.err)
		}
		if !errors.Is(p, tt.err) && p != tt.err {
			t.Errorf("%v: the cause is lost", tt.err)
		}
	}
}

func TestReadiness(t *testing.T) {
	h := newHouse(t)
	c, _ := serve(t, h.server())
	for _, path := range []string{"/healthz", "/readyz"} {
		if resp, body := post(t, c, "GET", path, "", ""); resp.StatusCode != 200 || body != `{"status":"ok"}`+"\n" {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
	h.ready = archive.ErrDiskFull
	resp, body := post(t, c, "GET", "/readyz", "", "")
	if p, err := parseProblem([]byte(body)); err != nil || resp.StatusCode != 503 || p.Code != CodeNotReady || p.Exit != ExitTemporary || !strings.Contains(p.Hint, "free") {
		t.Errorf("readyz: %d %s", resp.StatusCode, body)
	}
	if resp, _ := post(t, c, "GET", "/healthz", "", ""); resp.StatusCode != 200 {
		t.Error("healthz follows readyz")
	}
}

// Nothing that anybody asked or is called stands in metrics or logs.
func TestNoContentInMetricsAndLogs(t *testing.T) {
	h := newHouse(t)
	h.searchErr = errors.New("the index failed")
	s := h.server()
	var logged bytes.Buffer
	s.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, stop := serve(t, s)
	if _, err := c.Search(t.Context(), SearchRequest{Query: "canary", Reason: "canary reason"}); err == nil {
		t.Fatal("the search did not fail")
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	resp, metrics := post(t, c, "GET", "/metrics", "", "")
	if resp.StatusCode != 200 || !strings.Contains(metrics, `holdfast_api_requests_total{endpoint="POST /v1/search",status="500"} 1`) ||
		!strings.Contains(metrics, `holdfast_api_request_seconds_count{endpoint="GET /v1/status"} 1`) {
		t.Errorf("metrics: %d\n%s", resp.StatusCode, metrics)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"canary", me.Username} {
		if strings.Contains(metrics, secret) || strings.Contains(logged.String(), secret) {
			t.Errorf("%q stands in the metrics or the log:\n%s\n%s", secret, metrics, &logged)
		}
	}
	if !strings.Contains(logged.String(), "the index failed") {
		t.Errorf("the log does not say why: %s", &logged)
	}
}

func TestListen(t *testing.T) {
	path := socketPath(t)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|socketMode {
		t.Errorf("socket %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another daemon answers") {
		t.Errorf("second Listen: %v", err)
	}
	l.SetUnlinkOnClose(false) // as after a crash
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = Listen(path)
	if err != nil {
		t.Fatalf("Listen over a left-over socket: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil {
		t.Error("Listen over a file")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
	if _, err := Listen("/nonexistent/s"); err == nil {
		t.Error("Listen in no folder")
	}
}

// When the daemon stops, a long task is ended and its outcome recorded before
// Serve returns: afterwards the log is closed.
func TestStopRecordsWhatWasUnderWay(t *testing.T) {
	h := newHouse(t)
	began := make(chan struct{})
	h.produce = func(ctx context.Context, _ Production, sink Sink) (*Produced, error) {
		if err := writeFile(sink, "records.jsonl", "{}\n"); err != nil {
			return nil, err
		}
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s := h.server()
	s.grace = time.Millisecond
	c, stop := serve(t, s)
	dir := t.TempDir()
	exported := make(chan error, 1)
	go func() {
		_, err := c.Export(context.Background(), ExportRequest{Query: "x", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, dir+"/out", false, Hearing{})
		exported <- err
	}()
	<-began
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if o := outcomeOf(t, h.records[len(h.records)-1]); o.Result != audit.ResultFailed || o.Code != CodeStopping {
		t.Errorf("outcome %+v", o)
	}
	if p := problem(t, <-exported); p.Exit != ExitTemporary {
		t.Errorf("problem %+v", p)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestServeSaysWhyItEnded(t *testing.T) {
	h := newHouse(t)
	l, err := Listen(socketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.server().Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v", err)
	}
}

func TestNewNeedsAllParts(t *testing.T) {
	if _, err := New(Parts{}); err == nil {
		t.Error("a server without parts")
	}
	h := newHouse(t)
	s := h.server()
	if _, err := New(s.Parts); err == nil {
		t.Error("two servers in one registry of metrics")
	}
	p := s.Parts
	p.Registry = prometheus.NewRegistry()
	p.Auth = nil
	if _, err := New(p); err == nil {
		t.Error("a server that asks nobody who is who")
	}
}
