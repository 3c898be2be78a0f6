package role

import "slices"

// Endpoint names one thing that the API does.
type Endpoint string

// The endpoints that need a role.
const (
	Status     Endpoint = "status"
	Verify     Endpoint = "verify"
	Checkpoint Endpoint = "checkpoint"
	Metrics    Endpoint = "metrics" // over the socket only

	Search Endpoint = "search"
	Show   Endpoint = "show"
	Export Endpoint = "export"

	Count        Endpoint = "count"
	Conversation Endpoint = "conversation"
	Timeline     Endpoint = "timeline"
	Certify      Endpoint = "certify"

	Audit        Endpoint = "audit"
	AccessReport Endpoint = "access-report"

	AlarmsList Endpoint = "alarms-list"
	AlarmsShow Endpoint = "alarms-show"
	AlarmsAck  Endpoint = "alarms-ack"

	DirectoryStatus  Endpoint = "directory-status"
	DirectoryDiff    Endpoint = "directory-diff"
	DirectorySync    Endpoint = "directory-sync"
	DirectoryApprove Endpoint = "directory-approve"
	DirectoryPeople  Endpoint = "directory-people"
	DirectoryPerson  Endpoint = "directory-person"
	DirectoryMatch   Endpoint = "directory-match" // says which person a relay user is
	DirectoryBlock   Endpoint = "directory-block" // and unblock

	DevicesList    Endpoint = "devices-list"
	DevicesApprove Endpoint = "devices-approve"

	DevicesWipes    Endpoint = "devices-wipes"
	DevicesOverride Endpoint = "devices-override" // asks that a device be wiped although a hold stops it

	RequestsList    Endpoint = "requests-list"
	RequestsDecide  Endpoint = "requests-decide" // approve or deny what somebody else asked for
	RequestsExecute Endpoint = "requests-execute"
	RequestsMake    Endpoint = "requests-make"

	FactorIssue Endpoint = "factor-issue" // a ticket with which a person enrols a second factor
	FactorReset Endpoint = "factor-reset" // ends a person's second factor and sessions

	SessionsList Endpoint = "sessions-list"

	ScheduleShow  Endpoint = "schedule-show"
	ScheduleApply Endpoint = "schedule-apply"

	MattersList   Endpoint = "matters-list"
	MattersShow   Endpoint = "matters-show"
	MattersChange Endpoint = "matters-change" // open, close, members
	HoldsList     Endpoint = "holds-list"
	HoldsShow     Endpoint = "holds-show"
	HoldsChange   Endpoint = "holds-change" // place, widen, release, notices
	HoldsExplain  Endpoint = "holds-explain"

	TagsShow        Endpoint = "tags-show"
	TagsChange      Endpoint = "tags-change"
	ProductionsShow Endpoint = "productions-show" // and list
	Disclosures     Endpoint = "disclosures"
	ClawbackShow    Endpoint = "clawback-show" // and list
	ClawbackMake    Endpoint = "clawback-make"
	SearchesShow    Endpoint = "searches-show"
	SearchesChange  Endpoint = "searches-change" // save and remove

	DispositionList  Endpoint = "disposition-list"
	DispositionShow  Endpoint = "disposition-show"
	DispositionPlan  Endpoint = "disposition-plan"
	DispositionRun   Endpoint = "disposition-run"
	ErasePlan        Endpoint = "erase-plan"
	ReclassPlan      Endpoint = "reclass-plan"
	CertificatesList Endpoint = "certificates-list"
	CertificatesShow Endpoint = "certificates-show"

	ClockShow    Endpoint = "clock-show"
	ClockRelease Endpoint = "clock-release"
	CopiesList   Endpoint = "copies-list"
	CopiesChange Endpoint = "copies-change"

	IngestControl Endpoint = "ingest-control" // pause and resume
	BackupRun     Endpoint = "backup-run"     // over the socket only, as are drills' results
	BackupShow    Endpoint = "backup-show"
	AnchorMake    Endpoint = "anchor-make"
	AnchorShow    Endpoint = "anchor-show"
	RestoreShow   Endpoint = "restore-show"
	RestoreGoOn   Endpoint = "restore-go-on" // ask, and go on once another person approved
	NoticeTest    Endpoint = "notice-test"
	Doctor        Endpoint = "doctor"
	Reload        Endpoint = "reload" // over the socket only
)

// The endpoints for anyone who is logged in or has an account on the
// appliance: they tell about oneself, or about the table.
const (
	Whoami     Endpoint = "whoami"
	Roles      Endpoint = "roles"
	Logout     Endpoint = "logout"
	BreakGlass Endpoint = "break-glass" // over the socket only, for accounts that the configuration names
)

// The endpoints for anyone at all.
const (
	Login   Endpoint = "login"   // over HTTPS only
	Healthz Endpoint = "healthz" // the process answers
	Readyz  Endpoint = "readyz"  // the archive takes entries and answers searches
)

var anyone = []Endpoint{Whoami, Roles, Logout, BreakGlass}

// open are the endpoints that ask for no principal.
var open = []Endpoint{Login, Healthz, Readyz}

// Open reports whether e answers whoever asks.
func Open(e Endpoint) bool { return slices.Contains(open, e) }

// Anyone reports whether e answers every principal, whatever the roles.
func Anyone(e Endpoint) bool { return slices.Contains(anyone, e) }

// Row is one line of the table.
type Row struct {
	Endpoint Endpoint `json:"endpoint"`
	What     string   `json:"what"`
	Roles    []Role   `json:"roles"`
}

// table is the one place that says who may do what. Nothing in it lets
// anybody but a compliance officer read a message, and nobody both asks for
// and decides what takes two people, whatever the roles (archive/approval).
var table = []Row{
	{Status, "how the daemon and the archive stand; no names", all},
	{Verify, "check the whole store", []Role{Administrator, Auditor}},
	{Checkpoint, "a signed checkpoint of the log", all},
	{Metrics, "counters for monitoring; no names", []Role{Administrator}},

	{Search, "find messages", []Role{ComplianceOfficer}},
	{Count, "count what a search finds, by custodian, month, conversation or term", []Role{ComplianceOfficer}},
	{Show, "read entries", []Role{ComplianceOfficer}},
	{Conversation, "read a conversation as it was known at a time", []Role{ComplianceOfficer}},
	{Timeline, "who could see a message, and who read it when", []Role{ComplianceOfficer}},
	{Certify, "certify how far the archive has what a custodian sent and was sent (not with a narrowed role)", []Role{ComplianceOfficer, Auditor}},
	{Export, "make a production", []Role{ComplianceOfficer}},

	{Audit, "who looked at what", []Role{Auditor}},
	{AccessReport, "who looked at one custodian's messages, or what one officer did", []Role{Auditor}},

	{AlarmsList, "list alarms", all},
	{AlarmsShow, "show an alarm", all},
	{AlarmsAck, "acknowledge an alarm", []Role{Administrator, ComplianceOfficer}},

	{DirectoryStatus, "how the directory's synchronisation stands", all},
	{DirectoryDiff, "what a synchronisation would change", []Role{Administrator, Approver}},
	{DirectorySync, "synchronise now", []Role{Administrator}},
	{DirectoryApprove, "approve exactly the pending diff", []Role{Approver}},
	{DirectoryPeople, "list people", []Role{Administrator, RecordsManager, ComplianceOfficer, Auditor}},
	{DirectoryPerson, "a person's dated history", []Role{Administrator, RecordsManager, ComplianceOfficer, Auditor}},
	{DirectoryMatch, "say which person a relay user is (not with a narrowed role, not of oneself)", []Role{ComplianceOfficer}},
	{DirectoryBlock, "block a person from logging in, or unblock", []Role{Administrator}},

	{DevicesList, "list devices with their assurance and fingerprint", []Role{Administrator, ComplianceOfficer, Approver}},
	{DevicesApprove, "approve a device after comparing its fingerprint (likewise)", []Role{ComplianceOfficer}},
	{DevicesWipes, "list the wipes of departed people's devices; which code stops one is told as a matter is", []Role{Administrator, ComplianceOfficer, Approver}},
	{DevicesOverride, "ask that a device be wiped although a hold stops it, as a member of its matter (not with a narrowed role)", []Role{ComplianceOfficer}},

	{RequestsList, "what waits for a second person", all},
	{RequestsMake, "ask for what takes two people", []Role{Administrator, RecordsManager, ComplianceOfficer}},
	{RequestsDecide, "approve or deny what another person asked for", []Role{Approver}},
	{RequestsExecute, "do what was approved, once", []Role{Administrator, RecordsManager, ComplianceOfficer}},

	{FactorIssue, "issue a ticket for enrolling a second factor", []Role{Administrator}},
	{FactorReset, "end a person's second factor", []Role{Administrator}},
	{SessionsList, "who is logged in", []Role{Administrator, Auditor}},

	{ScheduleShow, "the retention schedule that counts", all},
	{ScheduleApply, "apply a schedule; one that narrows waits for an approver", []Role{RecordsManager}},

	{MattersList, "list matters; who is no member of one, or a custodian in it, sees that something is held", overHolds},
	{MattersShow, "show a matter (to members, approvers and auditors, and to none of its custodians)", overHolds},
	{MattersChange, "open a matter; close it and change its members, as one of them (not with a narrowed role)", []Role{ComplianceOfficer}},
	{HoldsList, "list holds (as matters are)", overHolds},
	{HoldsShow, "show a hold, its scope and its custodians (as a matter is)", overHolds},
	{HoldsChange, "place, widen and release holds of a matter, as one of its members (not with a narrowed role)", []Role{ComplianceOfficer}},
	{HoldsExplain, "why an entry is kept, until when, and what would let it go", []Role{RecordsManager, ComplianceOfficer, Auditor}},

	{TagsShow, "which entries are tagged, and so withheld from productions; whose matter tagged one is told to its members", []Role{ComplianceOfficer}},
	{TagsChange, "tag entries for a matter, as one of its members, or take a tag of its off (not with a narrowed role)", []Role{ComplianceOfficer}},
	{ProductionsShow, "what was produced, to whom and why (of a matter to its members)", []Role{ComplianceOfficer}},
	{Disclosures, "the accounting of a patient's disclosures, whatever the matter (not with a narrowed role)", []Role{ComplianceOfficer, Auditor}},
	{ClawbackShow, "what a matter asked back, with the notices to send, as one of its members", []Role{ComplianceOfficer}},
	{ClawbackMake, "ask back what a matter produced, as one of its members (not with a narrowed role)", []Role{ComplianceOfficer}},
	{SearchesShow, "the saved searches of a matter, as one of its members", []Role{ComplianceOfficer}},
	{SearchesChange, "save a search for a matter, or remove it, as one of its members", []Role{ComplianceOfficer}},

	{DispositionList, "list disposition plans", overHolds},
	{DispositionShow, "show a plan", overHolds},
	{DispositionPlan, "plan what is due (not with a narrowed role)", []Role{RecordsManager}},
	{DispositionRun, "carry out a plan that an approver approved, once (likewise)", []Role{RecordsManager}},
	{ErasePlan, "plan the erasure of single entries, by a court's order (likewise)", []Role{RecordsManager}},
	{ReclassPlan, "plan another record class for single entries (likewise)", []Role{RecordsManager}},
	{CertificatesList, "list certificates of disposition", all},
	{CertificatesShow, "a certificate of disposition, signed", all},

	{ClockShow, "whether the clock has jumped, and disposition waits", all},
	{ClockRelease, "say that the clock is right after a jump (likewise)", []Role{Administrator}},
	{CopiesList, "list the known copies of keys and data", []Role{Administrator, RecordsManager, Auditor}},
	{CopiesChange, "record a copy, or that it is gone (likewise)", []Role{Administrator}},

	{IngestControl, "pause what comes from the relay, and resume it", []Role{Administrator}},
	{BackupRun, "make a backup; note what a restore drill came to", []Role{Administrator}},
	{BackupShow, "which backups and drills there were", []Role{Administrator, RecordsManager, Auditor}},
	{AnchorMake, "anchor the log outside the machine now", []Role{Administrator}},
	{AnchorShow, "where the log is anchored, and since when", all},
	{RestoreShow, "from which older log the archive was restored, and what is lost", all},
	{RestoreGoOn, "ask to go on from a restored log, and go on once an approver approved", []Role{Administrator}},
	{NoticeTest, "send a test of the alarms' ways out", []Role{Administrator}},
	{Doctor, "the daemon's own findings about itself; no names", []Role{Administrator, Auditor}},
	{Reload, "have the daemon read its configuration and its certificates again", []Role{Administrator}},
}

// overHolds are the roles that have to do with what is held and what goes.
var overHolds = []Role{RecordsManager, ComplianceOfficer, Approver, Auditor}

// Table returns every row, those for anyone and for everybody last.
func Table() []Row {
	rows := slices.Clone(table)
	for _, e := range anyone {
		rows = append(rows, Row{Endpoint: e, What: "for whoever is logged in or has an account on the appliance", Roles: all})
	}
	for _, e := range open {
		rows = append(rows, Row{Endpoint: e, What: "for anyone, logged in or not"})
	}
	return rows
}

// Allows reports whether role r may use endpoint e. What the table does not
// have is allowed to nobody.
func Allows(r Role, e Endpoint) bool {
	if Anyone(e) {
		return slices.Contains(all, r)
	}
	i := slices.IndexFunc(table, func(row Row) bool { return row.Endpoint == e })
	return i >= 0 && slices.Contains(table[i].Roles, r)
}
