package command

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
	"holdfast/internal/api"
	"holdfast/internal/jws"
	"holdfast/retention"
)

// issuer is an archive that signs certificates.
type issuer struct {
	key    ed25519.PrivateKey
	log    note.Signer
	id     *proof.Identity
	folder string
}

func newIssuer(t *testing.T, arc string) *issuer {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	origin := proof.Origin(arc, public)
	secret, logKey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	log, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	is := &issuer{key: key, log: log, folder: t.TempDir(), id: &proof.Identity{Version: 1, ArchiveID: arc, Origin: origin, IdentityKey: jws.EncodeB64(public), LogKey: logKey,
		RecoveryKey: jws.EncodeB64(make([]byte, 1216)), Created: "2026-01-01T00:00:00Z"}}
	b, err := is.id.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(is.identity(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return is
}

func (is *issuer) identity() string { return filepath.Join(is.folder, "identity.json") }

// issue signs a certificate of entries 10 to 12, changed by change, and returns
// its file.
func (is *issuer) issue(t *testing.T, change func(s *retention.Statement)) string {
	t.Helper()
	checkpoint := func(size uint64) string {
		b, err := proof.SignCheckpoint(proof.Checkpoint{Origin: is.id.Origin, Size: size, Root: proof.Hash{1}}, is.log)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	ranges := []byte{10, 2}
	sum := sha256.Sum256(append([]byte("holdfast ranges v1\x00"), ranges...))
	s := retention.Statement{V: 1, Archive: is.id.ArchiveID, Origin: is.id.Origin, Class: "general", Month: "2019-01", Kind: "cutoff", First: 10, Last: 12, Count: 3,
		Ranges: jws.EncodeB64(ranges), RangesDigest: hex.EncodeToString(sum[:]), LeafRange: retention.LeafRange{From: 5, To: 20},
		Method: retention.Method, Plan: 30, Request: 31, Intent: 40, Planner: jdoe, Approver: aberg, Runner: jdoe, Before: checkpoint(40), After: checkpoint(41),
		Copies: []retention.Remaining{{What: "backup", ID: "tape\x1b-1", Where: "safe"}}, Media: "m", At: "2026-03-01T09:00:00.000Z", Tool: "test"}
	if change != nil {
		change(&s)
	}
	payload, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := jws.Sign(retention.CertificateType, is.key, payload)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(is.folder, "c.jws")
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// offline runs a command that needs no daemon.
func offline(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Run(t.Context(), &Terminal{Out: &stdout, Err: &stderr, In: strings.NewReader("")}, append([]string{"--socket", "nowhere"}, args...))
	return code, stdout.String(), stderr.String()
}

// A certificate is verified with the archive's identity and nothing else.
func TestCertificateIsVerifiedOffline(t *testing.T) {
	is := newIssuer(t, "st-elsewhere")
	file := is.issue(t, nil)
	code, out, errs := offline(t, "certificate", "verify", file, "--identity", is.identity())
	for _, want := range []string{"VERIFIED", "NOT COMPLETE", "3 entries of class general received in 2019-01", "tape␛-1", retention.Method} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q\n%s%s", code, want, out, errs)
		}
	}
	if code, out, _ = offline(t, "certificate", "verify", file, "--identity", is.identity(), "--json"); code != 0 || !strings.HasPrefix(out, `{"ok":true,"statement":{"v":1,"archive":"st-elsewhere"`) {
		t.Errorf("exit code %d\n%s", code, out)
	}

	other := newIssuer(t, "st-elsewhere")
	if code, out, _ = offline(t, "certificate", "verify", file, "--identity", other.identity()); code != api.ExitData || !strings.Contains(out, "DOES NOT HOLD") {
		t.Errorf("of another archive: exit code %d\n%s", code, out)
	}
	for name, change := range map[string]func(s *retention.Statement){
		"another count":        func(s *retention.Statement) { s.Count = 4 },
		"other ranges":         func(s *retention.Statement) { s.Ranges = jws.EncodeB64([]byte{10, 1}) },
		"complete with copies": func(s *retention.Statement) { s.Complete = true },
		"no checkpoint":        func(s *retention.Statement) { s.After = "" },
		"another archive":      func(s *retention.Statement) { s.Archive = "st-nowhere" },
	} {
		file := is.issue(t, change)
		if code, out, _ = offline(t, "certificate", "verify", file, "--identity", is.identity(), "--json"); code != api.ExitData || !strings.HasPrefix(out, `{"ok":false,"detail":"`) {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
	}
	file = is.issue(t, nil)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndexByte(b, '.') - 10 // within the payload
	b[at] ^= 'A' ^ 'B'
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ = offline(t, "certificate", "verify", file, "--identity", is.identity()); code != api.ExitData || strings.Contains(out, "VERIFIED") {
		t.Errorf("altered: exit code %d\n%s", code, out)
	}
}

func TestCertificateVerifyIsUsedRightly(t *testing.T) {
	is := newIssuer(t, "st-elsewhere")
	file := is.issue(t, nil)
	for _, tt := range []struct {
		want int
		args []string
	}{
		{api.ExitUsage, []string{file}},
		{api.ExitUsage, []string{"--identity", is.identity()}},
		{api.ExitIO, []string{filepath.Join(is.folder, "none"), "--identity", is.identity()}},
		{api.ExitPermission, []string{file, "--identity", filepath.Join(is.folder, "none")}},
		{api.ExitPermission, []string{file, "--identity", file}},
	} {
		if code, out, errs := offline(t, append([]string{"certificate", "verify"}, tt.args...)...); code != tt.want || out != "" || !strings.Contains(errs, "\n  ") && tt.want != api.ExitUsage {
			t.Errorf("%v: exit code %d\n%s%s", tt.args, code, out, errs)
		}
	}
}

// The schedule that ships is one, and what it says can be read in a table.
func TestScheduleIsCheckedOffline(t *testing.T) {
	code, text, errs := offline(t, "schedule", "default")
	if code != 0 || !strings.Contains(text, "45 CFR 164.316(b)(2)") {
		t.Fatalf("exit code %d\n%s%s", code, text, errs)
	}
	file := filepath.Join(t.TempDir(), "s.toml")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	code, out, errs := offline(t, "schedule", "check", file)
	if code != 0 || !strings.Contains(out, "majority (18)") || !strings.Contains(out, "(whatever no rule takes)") || !strings.Contains(errs, "--dry-run") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if code, out, _ = offline(t, "schedule", "check", file, "--json"); code != 0 || out != `{"faults":[],"ok":true}`+"\n" {
		t.Errorf("exit code %d\n%s", code, out)
	}
	lines := strings.Count(text, "\n")
	write(text + "perid\u202e = 7\n")
	code, out, errs = offline(t, "schedule", "check", file)
	if code != api.ExitUsage || strings.Contains(out, "\u202e") || !strings.Contains(errs, "SCHEDULE.md") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	write(text + "period = \"7y\"\nrule = 1\n")
	code, out, _ = offline(t, "schedule", "check", file, "--json")
	var got struct {
		OK     bool
		Faults []scheduleFault
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != api.ExitUsage || got.OK || len(got.Faults) == 0 || got.Faults[0].Line <= lines-40 {
		t.Errorf("%v, exit code %d\n%s", err, code, out)
	}
}
