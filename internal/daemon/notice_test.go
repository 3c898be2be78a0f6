package daemon

import (
	"bufio"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/internal/anchor"
	"holdfast/internal/api"
	"holdfast/internal/config"
)

// outside keeps everything that left the machine.
type outside struct {
	mu   sync.Mutex
	text strings.Builder
	came chan struct{}
}

func (o *outside) take(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.WriteString(text + "\n")
	select {
	case o.came <- struct{}{}:
	default:
	}
}

// until waits until all of want has come.
func (o *outside) until(t *testing.T, want ...string) string {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		o.mu.Lock()
		text := o.text.String()
		o.mu.Unlock()
		missing := ""
		for _, w := range want {
			if !strings.Contains(text, w) {
				missing = w
			}
		}
		if missing == "" {
			return text
		}
		select {
		case <-o.came:
		case <-late:
			t.Fatalf("%q did not come; what came is\n%s", missing, text)
		}
	}
}

// lines takes log lines over TCP.
func (o *outside) lines(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					word, err := in.ReadString(' ')
					o.take(word)
					if err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

// What leaves the machine, by every way, holds nothing that anybody wrote: no
// message, no name, no query, no reason; and no fact of an alarm.
func TestNothingWrittenLeaves(t *testing.T) {
	w := newWard(t)
	out := &outside{came: make(chan struct{}, 1)}
	hook := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		out.take(r.Header.Get("Holdfast-Signature") + string(b))
	}))
	t.Cleanup(hook.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})
	for name, text := range map[string]string{"ca.pem": string(ca), "cred/holdfast.webhook": "a key of the webhook's\n"} {
		if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.config.Notify = config.Notify{
		Repeat: config.Duration{Duration: time.Hour}, Webhook: &config.Webhook{URL: hook.URL, CA: w.path("ca.pem")},
		Syslog: &config.Syslog{Address: out.lines(t), Network: "tcp"},
	}
	w.config.Mirror.Syslog = &config.Syslog{Address: out.lines(t), Network: "tcp"}
	w.config.Anchor = config.Anchor{Every: config.Duration{Duration: time.Hour}, File: w.path("anchors")}
	a := w.open()
	p := &parts{archive: a}
	if err := p.raise(t.Context(), archive.AlarmBody{Name: "relay-gap", Severity: "critical", Text: "a gap", Fix: "mind it", Facts: map[string]string{"person": "CANARYFACT"}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	w.start()
	all := lines(40)
	w.load(all)
	w.acked()
	for _, phrase := range phrases(all)[:3] {
		if _, err := w.client.Search(t.Context(), api.SearchRequest{Query: phrase, Reason: "CANARYREASON", Limit: 10}); err != nil {
			t.Fatal(err)
		}
	}
	made, err := w.client.AnchorsMake(t.Context())
	if err != nil || len(made.Results) != 1 || made.Results[0].Failed != "" {
		t.Fatalf("%+v, %v", made, err)
	}
	sent, err := w.client.NoticesTest(t.Context())
	if err != nil || len(sent.Results) != 3 {
		t.Fatalf("%+v, %v", sent, err)
	}
	for _, r := range sent.Results {
		if r.Failed != "" {
			t.Errorf("%+v", r)
		}
	}
	text := out.until(t, `"name":"relay-gap"`, `name="relay-gap"`, `action="search"`, `result="shown"`, `action="anchor"`, "v1=", `"test":true`)
	w.stop()
	line, err := anchor.Last(w.path("anchors"))
	if err != nil || line.Size == 0 {
		t.Fatalf("%+v, %v", line, err)
	}
	file, err := os.ReadFile(w.path("anchors"))
	if err != nil {
		t.Fatal(err)
	}
	text += string(file)
	for _, canary := range []string{"CANARYFACT", "CANARYREASON"} {
		if strings.Contains(text, canary) {
			t.Errorf("%s left the machine", canary)
		}
	}
	for _, l := range all {
		for _, secret := range []string{l.Text, l.From, l.To} {
			if len(secret) > 5 && strings.Contains(text, secret) {
				t.Errorf("%q left the machine", secret)
			}
		}
	}
	anchorsAreKnown(t, w, line)
}

// anchorsAreKnown restarts the daemon and asks it where the log is anchored.
func anchorsAreKnown(t *testing.T, w *ward, line *anchor.Line) {
	t.Helper()
	w.start()
	list, err := w.client.AnchorsList(t.Context())
	if err != nil || len(list.Anchors) != 2 || list.Anchors[1].Kind != anchor.KindRelay {
		t.Fatalf("%+v, %v", list, err)
	}
	if last := list.Anchors[0].Last; last == nil || last.Size != line.Size || last.Checkpoint != line.Checkpoint || last.Entry < line.Size {
		t.Errorf("%+v, the file has %+v", last, line)
	}
	w.stop()
}
