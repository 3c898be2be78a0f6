package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// A second factor's secret stands in the log, sealed; no view of the log gives
// it out.
func TestNobodySeesASecondFactor(t *testing.T) {
	w, r := newWard(t)
	seq := w.entry(proof.KindCredential, map[string]string{"op": "enrol", "secret": "canary"}, map[string]string{"note": "canary"})
	shown, err := r.Show(t.Context(), []uint64{seq})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(shown)
	if err != nil || strings.Contains(string(b), "canary") || shown[0].Missing == "" || shown[0].Kind != "credential" {
		t.Errorf("%s, %v", b, err)
	}
}

// The audit is an auditor's: an officer does not read it entry by entry.
func TestShowOfAuditEntries(t *testing.T) {
	w := newTown(t)
	entries := []Shown{{Seq: 1, Kind: "access", Class: proof.ClassAudit, Body: json.RawMessage(`"canary"`)}, {Seq: 2, Kind: "person", Class: proof.ClassControl, Body: json.RawMessage(`"seen"`)}}
	officer := role.Grant{Role: role.ComplianceOfficer}
	for _, tt := range []struct {
		grants []role.Grant
		reads  bool
	}{{[]role.Grant{officer}, false}, {[]role.Grant{officer, {Role: role.Auditor}}, true}} {
		w.shown = slices.Clone(entries)
		w.officer(tt.grants...)
		_, body := w.ask(w.server(), "POST /v1/show", `{"seqs":[1,2],"reason":"r"}`)
		if strings.Contains(body, "canary") != tt.reads || strings.Contains(body, forAuditors) == tt.reads || !strings.Contains(body, "seen") {
			t.Errorf("as %v: %s", tt.grants, body)
		}
	}
}
