package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/archive/coverage"
	"holdfast/archive/proof"
	"holdfast/internal/api"
	"holdfast/internal/jws"
)

// A completeness certificate is verified with the archive's identity and nothing
// else, and no name in it steers a terminal.
func TestCoverageIsVerifiedOffline(t *testing.T) {
	is := newIssuer(t, "st-elsewhere")
	checkpoint, err := proof.SignCheckpoint(proof.Checkpoint{Origin: is.id.Origin, Size: 40, Root: proof.Hash{1}}, is.log)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(coverage.Statement{
		V: 1, Archive: is.id.ArchiveID, Origin: is.id.Origin, Checkpoint: string(checkpoint), Size: 40, From: "2026-01-01T00:00:00.000Z", To: "2026-02-01T00:00:00.000Z", Next: 40,
		Custodian: coverage.Custodian{Name: "Anna\x1b[2J"}, CannotShow: []string{"what came after"},
		Devices: []coverage.Device{{Usr: "u1", Dev: "phone", Standing: coverage.Gaps, Missing: []coverage.Gap{{From: 3, To: 4}}, After: coverage.Unknown}},
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jws.Sign(coverage.StatementType, is.key, payload)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(is.folder, "coverage.jws")
	if err := os.WriteFile(file, signed, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := offline(t, "certify", "verify", file, "--identity", is.identity())
	for _, want := range []string{"VERIFIED", "phone of u1: GAPS", "missing 3 to 4", "cannot show what came after"} {
		if code != 0 || !strings.Contains(out, want) || strings.Contains(out, "\x1b") {
			t.Errorf("exit code %d, no %q\n%q%s", code, want, out, errs)
		}
	}
	other := newIssuer(t, "st-elsewhere")
	if code, out, _ = offline(t, "certify", "verify", file, "--identity", other.identity()); code != api.ExitData || !strings.Contains(out, "DOES NOT HOLD") {
		t.Errorf("of another archive: exit code %d\n%s", code, out)
	}
	if code, out, _ = offline(t, "certify", "verify", file, "--identity", other.identity(), "--json"); code != api.ExitData || !strings.HasPrefix(out, `{"ok":false,"detail":"`) {
		t.Errorf("for scripts: exit code %d\n%s", code, out)
	}
	// A certificate of a disposition is none of completeness.
	if code, _, _ = offline(t, "certify", "verify", is.issue(t, nil), "--identity", is.identity()); code != api.ExitData {
		t.Errorf("of another kind: exit code %d", code)
	}
	if code, _, _ = offline(t, "certify", "verify", file); code != api.ExitUsage {
		t.Errorf("without an identity: exit code %d", code)
	}
}
