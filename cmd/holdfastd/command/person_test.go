package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// person runs `person LINES COMMAND ARG...`: it plays somebody who waits for
// each question before the answer is typed. A line is "QUESTION: ANSWER"; the
// question has to be in what was shown. "share N: KIT" types the share that is
// asked for, from what stands on stdout.
func person(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: person LINES COMMAND ARG...")
	}
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "SUDO_USER=", "PATH="+ts.Getenv("PATH"))
	in, err := cmd.StdinPipe()
	ts.Check(err)
	out, shown := newSeen(), newSeen()
	cmd.Stdout, cmd.Stderr = out, shown
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		shown.end()
		out.end()
		ended <- err
	}()
	at := 0
	for _, line := range strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n") {
		i := strings.LastIndex(line, ": ") // a question may have one too
		question, answer := line[:i], line[i+2:]
		prompt, ok := shown.until(&at)
		if !ok {
			break
		}
		if want := regexp.QuoteMeta(strings.TrimSuffix(question, " N")); !regexp.MustCompile(want).MatchString(prompt) {
			fmt.Fprintf(shown, "\nthe test expected the question %q\n", question)
			ts.Check(cmd.Process.Kill())
			break
		}
		if answer == "KIT" {
			answer = typedShare(prompt, out)
		}
		_, err := io.WriteString(in, strings.ReplaceAll(answer, "$WORK", ts.Getenv("WORK"))+"\n")
		if err != nil {
			break
		}
	}
	if err := in.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		ts.Fatalf("%v", err)
	}
	err = <-ended
	fmt.Fprint(ts.Stdout(), out.text())
	fmt.Fprint(ts.Stderr(), shown.text())
	if (err != nil) != neg {
		ts.Fatalf("%s: %v\n%s", args[1], err, shown.text())
	}
}

var asked = regexp.MustCompile(`share ([0-9]+) of [0-9]+: $`)

// typedShare finds, in a kit, the share that a question asks for. The question
// may be seen before the kit, which comes another way.
func typedShare(prompt string, kit *seen) string {
	m := asked.FindStringSubmatch(prompt)
	if m == nil {
		return "no share was asked for"
	}
	share := regexp.MustCompile(`(?m)^share ` + m[1] + ` of [0-9]+\n(.*)\n`)
	kit.mu.Lock()
	defer kit.mu.Unlock()
	for {
		if found := share.FindStringSubmatch(kit.b.String()); found != nil {
			return strings.ToLower(found[1])
		}
		if kit.ended {
			return "the kit has no such share"
		}
		kit.grown.Wait()
	}
}

// seen collects what a process shows.
type seen struct {
	mu    sync.Mutex
	grown *sync.Cond
	b     bytes.Buffer
	ended bool
}

func newSeen() *seen {
	s := &seen{}
	s.grown = sync.NewCond(&s.mu)
	return s
}

func (s *seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.b.Write(p)
	s.grown.Broadcast()
	return n, err
}

func (s *seen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.grown.Broadcast()
}

func (s *seen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// until waits for a question: what is shown since at, and ends with ": ".
func (s *seen) until(at *int) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		text := s.b.String()[*at:]
		if strings.HasSuffix(text, ": ") {
			*at += len(text)
			return text, true
		}
		if s.ended {
			return "", false
		}
		s.grown.Wait()
	}
}

// askSocket runs `ask SOCKET PATH STATUS TEXT`: it asks the daemon at a socket.
func askSocket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: ask SOCKET PATH STATUS TEXT")
	}
	socket := ts.MkAbs(args[0])
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	resp, err := client.Get("http://holdfast" + args[1])
	ts.Check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	b = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAll(b, nil) // what a metric is for may read like its value
	if strconv.Itoa(resp.StatusCode) != args[2] || !strings.Contains(string(b), args[3]) {
		ts.Fatalf("%s: %d\n%s", args[1], resp.StatusCode, b)
	}
}

// firstShares runs `head KIT FILE N`: it copies the first shares of a kit.
func firstShares(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: head KIT FILE N")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	parts := strings.Split(ts.ReadFile(args[0]), "share ")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte("share "+strings.Join(parts[2:2+n], "share ")), 0o600))
}
