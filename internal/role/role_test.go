package role

import (
	"slices"
	"testing"
	"time"
)

// What a role must never be able to do, stated apart from the table: a row
// that is changed by mistake fails here.
func TestLeastPrivilege(t *testing.T) {
	for _, e := range []Endpoint{Search, Show, Export} {
		for _, r := range All() {
			if Allows(r, e) != (r == ComplianceOfficer) {
				t.Errorf("%s for %s: %v; a compliance officer alone reads messages", e, r, Allows(r, e))
			}
		}
	}
	apart := map[Role][]Endpoint{
		Administrator: {Audit, AccessReport, RequestsDecide, DirectoryApprove, DevicesApprove, DevicesOverride, DirectoryMatch,
			ScheduleApply, MattersList, MattersShow, MattersChange, HoldsList, HoldsShow, HoldsChange, HoldsExplain, DispositionList, DispositionShow, DispositionPlan, DispositionRun, ErasePlan, ReclassPlan,
			TagsShow, TagsChange, ProductionsShow, Disclosures, ClawbackShow, ClawbackMake, SearchesShow, SearchesChange},
		RecordsManager: {TagsShow, TagsChange, ProductionsShow, Disclosures, ClawbackMake, SearchesShow, DevicesWipes, DevicesOverride, Audit, RequestsDecide, DirectorySync, FactorIssue, Verify, MattersChange, HoldsChange, ClockRelease, CopiesChange},
		ComplianceOfficer: {Audit, AccessReport, RequestsDecide, DirectoryApprove, DirectorySync, FactorIssue, FactorReset, DirectoryBlock,
			ScheduleApply, DispositionPlan, DispositionRun, ErasePlan, ReclassPlan, ClockRelease, CopiesList, CopiesChange},
		Approver: {TagsShow, TagsChange, ProductionsShow, Disclosures, ClawbackMake, SearchesShow, RequestsMake, RequestsExecute, DirectorySync, DevicesApprove, DevicesOverride, FactorIssue, Audit,
			ScheduleApply, MattersChange, HoldsChange, HoldsExplain, DispositionPlan, DispositionRun, ErasePlan, ReclassPlan, ClockRelease, CopiesList, CopiesChange},
		Auditor: {TagsShow, TagsChange, ProductionsShow, ClawbackMake, SearchesShow, RequestsMake, RequestsDecide, DirectorySync, AlarmsAck, DevicesApprove, DevicesWipes, DevicesOverride, FactorIssue,
			ScheduleApply, MattersChange, HoldsChange, DispositionPlan, DispositionRun, ErasePlan, ReclassPlan, ClockRelease, CopiesChange},
	}
	for r, endpoints := range apart {
		for _, e := range endpoints {
			if Allows(r, e) {
				t.Errorf("%s may use %s", r, e)
			}
		}
	}
	for _, e := range []Endpoint{"", "searches", Login} {
		for _, r := range append(All(), "", "root") {
			if Allows(r, e) {
				t.Errorf("%q may use %q", r, e)
			}
		}
	}
	if Allows("root", Whoami) || !Allows(Auditor, Whoami) {
		t.Error("whoami is for every role, and for roles alone")
	}
}

func TestTableIsWhole(t *testing.T) {
	seen := map[Endpoint]bool{}
	for _, row := range Table() {
		if seen[row.Endpoint] || row.What == "" {
			t.Errorf("%s stands there twice, or says nothing", row.Endpoint)
		}
		seen[row.Endpoint] = true
		for _, r := range All() {
			if got, want := Allows(r, row.Endpoint), slices.Contains(row.Roles, r); got != want {
				t.Errorf("%s, %s: Allows says %v, the table %v", row.Endpoint, r, got, want)
			}
		}
	}
	table := Table()
	table[0].Endpoint = "changed"
	if Table()[0].Endpoint != Status {
		t.Error("a caller changed the table")
	}
}

func TestAllowed(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	past, later := now, now.Add(time.Second)
	icu := Grant{Role: ComplianceOfficer, Department: "ICU"}
	lab := Grant{Role: ComplianceOfficer, OU: "OU=Lab,DC=x"}
	tests := map[string]struct {
		grants []Grant
		e      Endpoint
		scope  Scope
		ok     bool
	}{
		"none":                   {nil, Search, Scope{}, false},
		"anyone":                 {nil, Whoami, Scope{All: true}, true},
		"everybody's":            {[]Grant{{Role: ComplianceOfficer}}, Search, Scope{All: true}, true},
		"another role":           {[]Grant{{Role: Auditor}}, Search, Scope{}, false},
		"ended":                  {[]Grant{{Role: ComplianceOfficer, Until: &past}}, Search, Scope{}, false},
		"not ended":              {[]Grant{{Role: ComplianceOfficer, Until: &later}}, Search, Scope{All: true}, true},
		"scoped":                 {[]Grant{icu, lab}, Search, Scope{Of: []Grant{icu, lab}}, true},
		"scoped and not":         {[]Grant{icu, {Role: ComplianceOfficer}}, Search, Scope{All: true}, true},
		"scoped, the other over": {[]Grant{icu, {Role: ComplianceOfficer, Until: &past}}, Search, Scope{Of: []Grant{icu}}, true},
	}
	for name, tt := range tests {
		s, ok := Allowed(tt.grants, tt.e, now)
		if ok != tt.ok || s.All != tt.scope.All || len(s.Of) != len(tt.scope.Of) {
			t.Errorf("%s: %+v, %v", name, s, ok)
		}
	}
	if !Has([]Grant{icu}, ComplianceOfficer, now) || Has([]Grant{{Role: Auditor, Until: &past}}, Auditor, now) {
		t.Error("Has is wrong")
	}
}

func TestParse(t *testing.T) {
	for _, r := range All() {
		if got, err := Parse(string(r)); got != r || err != nil {
			t.Errorf("%s: %v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "Auditor", "officer"} {
		if _, err := Parse(s); err == nil {
			t.Errorf("%q is a role", s)
		}
	}
}

// One person has one identity, however they came.
func TestPrincipal(t *testing.T) {
	const guid = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
	socket := Principal{UID: new(uint32(1000)), Name: "jdoe", Person: guid, Via: ViaSocket}
	https := Principal{Name: "Jan Doe", Person: guid, Via: ViaHTTPS, Address: "10.0.0.7"}
	if socket.ID() != https.ID() {
		t.Errorf("%s and %s are one person", socket.ID(), https.ID())
	}
	if account := (Principal{UID: new(uint32(1000)), Name: "jdoe"}); account.ID() != "uid:1000" || account.String() != "jdoe (1000)" {
		t.Errorf("%s, %s", account.ID(), account)
	}
	if Daemon().ID() != "daemon" || https.String() != "Jan Doe ("+guid+")" {
		t.Errorf("%s, %s", Daemon().ID(), https)
	}
}
