package command

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
	"holdfast/internal/relay"
)

const arc = "ward.example"

var identity = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"holdfast-relay": func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			ward, err := os.ReadFile("../../testdata/ward.jsonl")
			if err != nil {
				return err
			}
			id := fmt.Sprintf(`{"v":1,"archive_id":%q,"identity_key":%q}`, arc, jws.EncodeB64(identity.Public().(ed25519.PublicKey)))
			for name, content := range map[string]string{
				"ward.jsonl":    string(ward),
				"identity.json": id,
				"other.json":    strings.Replace(id, arc, "other.example", 1),
			} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(content), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"await":   await,
			"publish": publish,
			"ackall":  ackAll,
		},
	})
}

// await FILE waits until the file is there.
func await(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s did not appear", args[0])
		}
	}
}

// archive calls the archive's side of the relay in DIR.
func archive(ts *testscript.TestScript, method, dir, path string, body []byte) []byte {
	dir = ts.MkAbs(dir)
	address, err := os.ReadFile(filepath.Join(dir, "addr"))
	ts.Check(err)
	config, err := relay.ArchiveTLS(dir)
	ts.Check(err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	defer client.CloseIdleConnections()
	url := "https://" + strings.TrimSpace(string(address)) + "/amx/v1/" + arc + "/" + path
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	ts.Check(err)
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		ts.Check(wire.ReadProblem(resp))
	}
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return b
}

// publish DIR puts a keyset, as holdfastd does when it starts.
func publish(ts *testscript.TestScript, _ bool, args []string) {
	now := time.Now()
	k := &wire.Keyset{Arc: arc, Version: 1, Time: now, Expires: now.Add(time.Hour)}
	for _, kem := range []envelope.KEM{envelope.XWing, envelope.P256} {
		key, err := envelope.GenerateKey(kem)
		ts.Check(err)
		k.Keys = append(k.Keys, wire.KeysetKey{Kid: key.KID(), KEM: uint16(kem), PK: key.Public().Bytes, NotAfter: now.Add(time.Hour)})
	}
	compact, err := k.Sign(identity)
	ts.Check(err)
	archive(ts, "PUT", args[0], "keyset", compact)
}

// ackall DIR acks the last event that the relay holds.
func ackAll(ts *testscript.TestScript, _ bool, args []string) {
	s, err := wire.ParseStatus(archive(ts, "GET", args[0], "status", nil))
	ts.Check(err)
	page := archive(ts, "GET", args[0], fmt.Sprintf("events?epoch=%s&after=%d", s.Epoch, s.High), nil)
	var end struct{ Head wire.Head }
	ts.Check(json.Unmarshal(page, &end))
	compact, err := (&wire.Ack{Arc: arc, Epoch: s.Epoch, Seq: s.High, Head: end.Head}).Sign(identity)
	ts.Check(err)
	archive(ts, "POST", args[0], "ack", compact)
}

// SIGTERM ends serve in good order, with success.
func TestTerminate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "relay")
	if _, err := relay.Init(dir, relay.Params{Arc: arc, Listen: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	notes, said := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- Main([]string{"serve", "--dir", dir}, io.Discard, said)
		said.Close()
	}()
	lines := bufio.NewScanner(notes)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "ready https://127.0.0.1:") {
		t.Fatalf("said %q", lines.Text())
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() {
		t.Errorf("said %q", lines.Text())
	}
	if got := <-code; got != 0 {
		t.Errorf("exit %d", got)
	}
}

// Every command and flag explains itself.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"init", "--help"}, {"serve", "--help"}, {"load", "--help"}, {"status", "--help"}, {"pin", "--help"}, {"epoch", "new", "--help"}} {
		var out, notes bytes.Buffer
		if code := Run(context.Background(), args, &out, &notes); code != 0 || out.Len() == 0 || notes.Len() != 0 {
			t.Errorf("%v: exit %d, %s", args, code, notes.String())
		}
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		code int
		args []string
	}{
		{exitUsage, []string{"init"}},
		{exitUsage, []string{"init", "--dir", filepath.Join(dir, "a"), "--archive-id", "UPPER"}},
		{exitUsage, []string{"init", "--unknown"}},
		{exitUsage, []string{"status", "--dir", dir, "--format", "yaml"}},
		{exitUsage, []string{"serve", "--dir", dir, "--fault", "nothing@1"}},
		{exitUsage, []string{"load", "--dir", dir}},
		{exitUsage, []string{"load", "--dir", dir, "--kem", "rsa", "x"}},
		{exitUsage, []string{"status", "extra"}},
		{exitConfig, []string{"serve", "--dir", filepath.Join(dir, "missing")}},
		{exitConfig, []string{"status", "--dir", dir}},
	} {
		var out, notes bytes.Buffer
		if code := Run(context.Background(), tt.args, &out, &notes); code != tt.code || out.Len() != 0 || notes.Len() == 0 {
			t.Errorf("%v: exit %d, want %d; %s%s", tt.args, code, tt.code, out.String(), notes.String())
		}
	}
}
