package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"holdfast/internal/ijson"
)

// Client asks a daemon over its Unix socket or over HTTPS. Every error that it
// returns is a *Problem, or wraps one, so that a command knows its exit code.
type Client struct {
	place string // for people: the socket's path, or the address
	base  string // of URLs
	token string // over HTTPS, once logged in
	http  *http.Client
}

// maxReply bounds an answer that is read whole: MaxLimit hits of the longest
// messages.
const maxReply = 256 << 20

// dialTimeout bounds how long the socket may take to accept.
const dialTimeout = 5 * time.Second

// NewClient returns a client of the daemon that listens at socket. Nothing is
// dialled before the first request.
func NewClient(socket string) *Client {
	dialer := net.Dialer{Timeout: dialTimeout}
	return &Client{place: socket, base: "http://holdfast", http: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
			DisableCompression: true,
		},
		CheckRedirect: noRedirects,
	}}
}

// Close ends the client's idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks how the daemon and its archive stand.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Search asks for the newest entries that match a query.
func (c *Client) Search(ctx context.Context, req SearchRequest) (*SearchResponse, error) {
	return ask[SearchResponse](ctx, c, http.MethodPost, "/v1/search", req)
}

// Show asks for entries by number.
func (c *Client) Show(ctx context.Context, req ShowRequest) (*ShowResponse, error) {
	return ask[ShowResponse](ctx, c, http.MethodPost, "/v1/show", req)
}

// Count asks how what matches a query falls into buckets.
func (c *Client) Count(ctx context.Context, req CountRequest) (*CountResponse, error) {
	return ask[CountResponse](ctx, c, http.MethodPost, "/v1/count", req)
}

// Conversation asks for a conversation as it was known at a time.
func (c *Client) Conversation(ctx context.Context, req ConversationRequest) (*ConversationResponse, error) {
	return ask[ConversationResponse](ctx, c, http.MethodPost, "/v1/conversation", req)
}

// Timeline asks who could see a message, and who read it when.
func (c *Client) Timeline(ctx context.Context, req TimelineRequest) (*TimelineResponse, error) {
	return ask[TimelineResponse](ctx, c, http.MethodPost, "/v1/timeline", req)
}

// Checkpoint asks for a signed checkpoint of the log's present size.
func (c *Client) Checkpoint(ctx context.Context) (*CheckpointResponse, error) {
	return ask[CheckpointResponse](ctx, c, http.MethodGet, "/v1/checkpoint", nil)
}

// Audit asks who looked.
func (c *Client) Audit(ctx context.Context, req AuditRequest) (*AuditResponse, error) {
	return ask[AuditResponse](ctx, c, http.MethodPost, "/v1/audit", req)
}

// Alarms asks for the open alarms, or for all.
func (c *Client) Alarms(ctx context.Context, req AlarmsRequest) (*AlarmsResponse, error) {
	return ask[AlarmsResponse](ctx, c, http.MethodPost, "/v1/alarms/list", req)
}

// Alarm asks for one alarm.
func (c *Client) Alarm(ctx context.Context, seq uint64) (*Alarm, error) {
	return ask[Alarm](ctx, c, http.MethodPost, "/v1/alarms/show", AlarmRequest{Seq: seq})
}

// AckAlarm acknowledges an alarm and returns it as it then stands.
func (c *Client) AckAlarm(ctx context.Context, req AckRequest) (*Alarm, error) {
	return ask[Alarm](ctx, c, http.MethodPost, "/v1/alarms/ack", req)
}

// Verify has the daemon check its store. progress, which may be nil, hears how
// far the check has come.
func (c *Client) Verify(ctx context.Context, req VerifyRequest, progress func(Progress)) (*CheckReport, error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/verify", req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	lines := bufio.NewReaderSize(io.LimitReader(resp.Body, maxReply), 64<<10)
	for {
		b, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, interrupted(err)
		}
		var line VerifyLine
		if err := ijson.Unmarshal(b, &line); err != nil {
			return nil, protocol(err)
		}
		switch {
		case line.Problem != nil:
			return nil, line.Problem
		case line.Report != nil:
			return line.Report, nil
		case line.Progress != nil && progress != nil:
			progress(*line.Progress)
		}
	}
}

// ask sends one request and reads the whole answer.
func ask[T any](ctx context.Context, c *Client, method, path string, req any) (*T, error) {
	resp, err := c.do(ctx, method, path, req)
	if err != nil {
		return nil, err
	}
	b, err := readAll(resp.Body)
	if err != nil {
		return nil, err
	}
	out := new(T)
	// Members that a newer daemon adds are skipped.
	if err := ijson.Unmarshal(b, out); err != nil {
		return nil, protocol(err)
	}
	return out, nil
}

func readAll(body io.ReadCloser) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, maxReply+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, interrupted(err)
	}
	if len(b) > maxReply {
		return nil, protocol(errors.New("an answer beyond all bounds"))
	}
	return b, nil
}

// do sends one request. An answer that is not 200 becomes its problem.
func (c *Client) do(ctx context.Context, method, path string, req any) (*http.Response, error) {
	var body io.Reader
	if req != nil {
		b, err := json.Marshal(req)
		if err != nil {
			return nil, badRequest("it cannot be written as JSON", "")
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, protocol(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	b, err := readAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || t != contentProblem {
		return nil, protocol(fmt.Errorf("status %d without a problem", resp.StatusCode))
	}
	p, err := parseProblem(b)
	if err != nil {
		return nil, protocol(err)
	}
	return nil, p
}

func (c *Client) unreachable(err error) error {
	p := &Problem{Title: "the daemon cannot be reached at " + c.place, Code: CodeUnreachable, Exit: ExitUnreachable, err: err,
		Hint: "start it (systemctl start holdfastd), or name its socket with --socket"}
	if strings.HasPrefix(c.place, "https://") {
		p.Hint = "check the address and the network; if they are right, ask the archive's administrator whether the daemon runs"
	}
	switch {
	case errors.Is(err, context.Canceled):
		p = interrupted(err)
	case errors.Is(err, fs.ErrPermission):
		p.Title, p.Exit = "you may not use the socket "+c.place, ExitPermission
		p.Hint = "run this as a user of the socket's group, or ask the archive's administrator"
	case errors.Is(err, fs.ErrNotExist):
		p.Detail = "there is no such socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		p.Detail = "nobody listens there"
	case strings.Contains(err.Error(), "invalid argument"):
		p.Detail = "the path is too long for a socket"
	default:
		untrusted(err, p)
	}
	return p
}

func interrupted(err error) *Problem {
	p := &Problem{Title: "the answer was cut off", Code: CodeInterrupted, Exit: ExitTemporary, err: err,
		Hint: "try again; `holdfast status` says whether the daemon runs"}
	if errors.Is(err, context.Canceled) {
		p.Title, p.Hint = "interrupted", "nothing was kept; run it again when you want it"
	}
	return p
}

func protocol(err error) *Problem {
	return &Problem{Title: "what answers there is not this version's daemon", Code: CodeProtocol, Exit: ExitUnreachable, err: err,
		Hint: "compare `holdfast version` with the daemon's, and check where it listens"}
}
