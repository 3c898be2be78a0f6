package relay

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
)

// bodyDeadline bounds the reading of a request, and answerDeadline the writing of an answer beyond its wait.
const (
	bodyDeadline   = 5 * time.Minute
	answerDeadline = 5 * time.Minute
)

// Handler returns the relay's endpoints. It must be served under TLS: a request without a verified client certificate gets 401.
func (r *Relay) Handler() http.Handler {
	mux := http.NewServeMux()
	route := func(role, pattern string, serve func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, r.endpoint(role, serve))
	}
	route(roleArchive, "GET /amx/v1/{arc}/events", r.serveEvents)
	route(roleArchive, "POST /amx/v1/{arc}/ack", r.serveAck)
	route(roleArchive, "GET /amx/v1/{arc}/status", r.serveStatus)
	route(roleArchive, "GET /amx/v1/{arc}/blobs/{bid}", r.serveBlob)
	route(roleArchive, "PUT /amx/v1/{arc}/keyset", r.servePutKeyset)
	route(roleArchive, "GET /amx/v1/{arc}/keyset", r.serveGetKeyset)
	route(roleArchive, "POST /amx/v1/{arc}/provision", r.serveProvision)
	route(roleVendor, "POST /vendor/v1/{arc}/submit", r.serveSubmit)
	route(roleVendor, "PUT /vendor/v1/{arc}/blobs/{bid}", r.servePutBlob)
	route(roleVendor, "GET /vendor/v1/{arc}/keyset", r.serveGetKeyset)
	route(roleVendor, "GET /vendor/v1/{arc}/status", r.serveStatus)
	return mux
}

// endpoint checks who asks, and turns an error into a problem report.
func (r *Relay) endpoint(role string, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		control := http.NewResponseController(w)
		deadlines := errors.Join(control.SetReadDeadline(time.Now().Add(bodyDeadline)),
			control.SetWriteDeadline(time.Now().Add(answerDeadline)))
		// A connection that cannot be bounded in time, such as a test's recorder, is served all the same.
		if deadlines != nil && !errors.Is(deadlines, http.ErrNotSupported) {
			return
		}
		err := r.admit(role, req)
		if err == nil {
			err = r.pause(req.Context())
		}
		if err == nil {
			err = serve(w, req)
		}
		if err != nil {
			r.fail(w, req, err)
		}
	})
}

// admit maps the client certificate to an archive, or to the vendor.
func (r *Relay) admit(role string, req *http.Request) error {
	if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 {
		return problem(401, wire.CodeUnauthorized, "a client certificate is required")
	}
	subject := req.TLS.PeerCertificates[0].Subject
	arc := req.PathValue("arc")
	switch {
	case !slices.Contains(subject.OrganizationalUnit, role):
		return problem(401, wire.CodeUnauthorized, "this certificate is not for this side of the relay")
	case arc != r.cfg.ArchiveID, role == roleArchive && subject.CommonName != arc:
		return problem(403, wire.CodeWrongArchive, "this certificate is not that archive's")
	}
	return nil
}

// pause is the fault slow.
func (r *Relay) pause(ctx context.Context) error {
	d := r.faults.slow()
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.stop:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// fail answers with a problem report. Only its status and code are logged: neither the path's ids nor a body.
func (r *Relay) fail(w http.ResponseWriter, req *http.Request, err error) {
	var p *wire.Problem
	if !errors.As(err, &p) {
		if req.Context().Err() != nil {
			return
		}
		r.log.Error("request failed", "method", req.Method, "error", err.Error())
		p = &wire.Problem{Status: http.StatusInternalServerError, Code: wire.CodeUnavailable, Detail: "see the relay's log"}
	}
	if p.RetryAfter > 0 {
		seconds := (p.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	r.log.Debug("refused", "method", req.Method, "status", p.Status, "code", p.Code)
	wire.WriteProblem(w, p.Status, p.Code, p.Detail)
}

func (r *Relay) serveStatus(w http.ResponseWriter, _ *http.Request) error {
	s, err := r.queue.status()
	if err != nil {
		return err
	}
	return writeJSON(w, s)
}

// signed reads what the archive signed, of at most limit bytes, and the pinned
// key by which it is checked.
func (r *Relay) signed(w http.ResponseWriter, req *http.Request, limit int64) ([]byte, ed25519.PublicKey, error) {
	compact, err := readBody(w, req, limit)
	if err != nil {
		return nil, nil, err
	}
	pub, err := r.identity()
	if err != nil {
		return nil, nil, unpinned(err)
	}
	return compact, pub, nil
}

func (r *Relay) serveAck(w http.ResponseWriter, req *http.Request) error {
	compact, pub, err := r.signed(w, req, wire.MaxEnvelope)
	if err != nil {
		return err
	}
	a, err := wire.ParseAck(compact, pub)
	if err != nil {
		return refuseJWS(err)
	}
	acked, err := r.queue.ack(a, time.Now())
	if err != nil {
		return err
	}
	return writeJSON(w, struct {
		Acked uint64 `json:"acked"`
	}{acked})
}

func (r *Relay) serveSubmit(w http.ResponseWriter, req *http.Request) error {
	body, err := readBody(w, req, wire.MaxPage)
	if err != nil {
		return err
	}
	batch, err := parseBatch(body)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := r.queue.checkEnvelopes(batch, now); err != nil {
		return err
	}
	rec, err := r.queue.submit(batch, now)
	if err != nil {
		return err
	}
	return writeJSON(w, rec)
}

// submissionLine is one line of a submitted batch.
type submissionLine struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Data string `json:"data"`
	Usr  string `json:"usr,omitempty"`
	Key  string `json:"key,omitempty"`
}

func parseBatch(body []byte) ([]Submission, error) {
	var batch []Submission
	for line := range lines(body) {
		if len(batch) == wire.MaxPageEvents {
			return nil, problem(413, wire.CodeTooLarge, "a batch has more than 1,000 lines")
		}
		var s submissionLine
		if err := ijson.UnmarshalStrict(line, &s); err != nil || !wire.KnownKind(s.Kind) {
			return nil, problem(400, wire.CodeBadRequest, fmt.Sprintf("line %d is not a submission", len(batch)+1))
		}
		batch = append(batch, Submission(s))
	}
	return batch, nil
}

// readBody reads a request's body under a limit.
func readBody(w http.ResponseWriter, req *http.Request, limit int64) ([]byte, error) {
	if req.ContentLength > limit {
		return nil, problem(413, wire.CodeTooLarge, "the request's body is too large")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, problem(413, wire.CodeTooLarge, "the request's body is too large")
	}
	if err != nil {
		return nil, problem(400, wire.CodeBadRequest, "the request's body broke off")
	}
	return body, nil
}

// refuseJWS says why an ack or a keyset is not taken.
func refuseJWS(err error) error {
	switch {
	case errors.Is(err, wire.ErrIdentity):
		return problem(403, wire.CodeBadSignature, "not signed by the archive's pinned identity key")
	case errors.Is(err, wire.ErrTooLarge):
		return problem(413, wire.CodeTooLarge, err.Error())
	}
	return problem(400, wire.CodeBadRequest, err.Error())
}

// unpinned is answered until the archive's identity key is pinned: the archive comes again.
func unpinned(err error) error {
	return &wire.Problem{Status: 503, Code: wire.CodeUnavailable, Detail: err.Error(), RetryAfter: 10 * time.Second}
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(b)
	return hungUp(err)
}

// hungUp drops the error of a write to a client that is gone: nobody is left to be told.
func hungUp(error) error { return nil }

// Running is a relay that serves.
type Running struct {
	URL    string // https://HOST:PORT
	server *http.Server
	relay  *Relay
	done   chan struct{} // closed when serving has ended, after err was set
	err    error
}

// Start serves on address, such as 127.0.0.1:0, under TLS 1.3 with client certificates required, and returns once it listens.
func (r *Relay) Start(address string) (*Running, error) {
	config, err := r.serverTLS()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Running{
		URL: "https://" + l.Addr().String(), relay: r, done: make(chan struct{}),
		server: &http.Server{
			Handler: r.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
			// The server's own messages name the peer's address for every refused handshake.
			ErrorLog: log.New(io.Discard, "", 0),
		},
	}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(tls.NewListener(l, config)); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	}()
	return s, nil
}

// Stop lets long polls answer, waits for the requests under way until ctx ends, and closes the rest.
func (s *Running) Stop(ctx context.Context) error {
	s.relay.release()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	<-s.done
	return errors.Join(err, s.err)
}

// Done is closed when serving has ended; by itself it ends only on an error, which Stop returns.
func (s *Running) Done() <-chan struct{} { return s.done }
