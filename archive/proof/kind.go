package proof

import "fmt"

// Kind says what an entry is. The numbers are part of the leaf's bytes and are
// never used again for something else.
type Kind uint8

// The kinds of entries. "Relay" kinds carry a relay epoch and seq; each relay
// seq makes exactly one of them.
const (
	KindGenesis     Kind = 1  // leaf 0: identity.json
	KindMessage     Kind = 2  // relay: an opened, verified envelope; body: its JWS
	KindRedelivery  Kind = 3  // relay: a message that the log already holds; body: {"of":seq}
	KindQuarantine  Kind = 4  // relay: what could not be opened or trusted; body: the opened bytes, else the event's data
	KindDirectory   Kind = 5  // relay: a device directory event; body: the event's data
	KindRelay       Kind = 6  // relay: any other event of the relay's; body: the event's data
	KindBlob        Kind = 7  // control: an attachment pending, stored or given up
	KindAlarm       Kind = 8  // control: an alarm raised
	KindAlarmAck    Kind = 9  // control: an alarm acknowledged
	KindEpoch       Kind = 10 // control: a change of the relay's epoch
	KindAccess      Kind = 11 // audit: somebody is about to look
	KindOutcome     Kind = 12 // audit: what that look came to
	KindStart       Kind = 13 // control: the daemon started, with which version and configuration
	KindPerson      Kind = 14 // control: what the directory says of one person from here on
	KindGroup       Kind = 15 // control: what it says of one group
	KindSync        Kind = 16 // control: a synchronisation applied, or refused by its rails
	KindMatch       Kind = 17 // control: which person a relay user is
	KindRequest     Kind = 18 // control: somebody asks for an act that takes two people
	KindDecision    Kind = 19 // control: somebody else approved or denied it
	KindExecution   Kind = 20 // control: the approval was used, which happens once
	KindDevice      Kind = 21 // control: a person approved a device
	KindCredential  Kind = 22 // control: a second factor issued, enrolled, used up or reset
	KindProvision   Kind = 23 // control: what the relay is asked to do with a person's account or device
	KindMatter      Kind = 24 // control: a matter opened or closed, or its members changed
	KindHold        Kind = 25 // control: a hold placed, widened, released or its release cancelled; a notice to a custodian
	KindSchedule    Kind = 26 // control: the retention schedule from here on
	KindPlan        Kind = 27 // control: what somebody means to dispose of, erase or reclassify
	KindIntent      Kind = 28 // control: a disposition's switch of body files
	KindAbandoned   Kind = 29 // control: that switch undone, because something is held now
	KindCertificate Kind = 30 // control: what was destroyed, signed
	KindClock       Kind = 31 // control: the clock jumped, or a person released it
	KindKey         Kind = 32 // control: a key to which envelopes are sealed made or destroyed
	KindCopy        Kind = 33 // control: a copy of keys or data made, or gone
	KindReclass     Kind = 34 // control: entries given another class
	KindTag         Kind = 35 // control: entries tagged, or a tag taken off: privileged, part2, psychotherapy
	KindProduction  Kind = 36 // control: Bates numbers reserved, a production made or given up, a disclosure to somebody
	KindClawback    Kind = 37 // control: what was produced by mistake and is asked back, by Bates numbers
	KindSearch      Kind = 38 // control: a search saved for a matter, or removed
	KindPause       Kind = 39 // control: ingest paused by a person, or resumed
	KindBackup      Kind = 40 // control: a backup, or a drill of restoring one, and what it came to
	KindAnchor      Kind = 41 // control: a checkpoint that was anchored outside the machine
	KindRestore     Kind = 42 // control: the log goes on from a restored, older one
)

var kindNames = [...]string{
	KindGenesis: "genesis", KindMessage: "message", KindRedelivery: "redelivery", KindQuarantine: "quarantine",
	KindDirectory: "directory", KindRelay: "relay", KindBlob: "blob", KindAlarm: "alarm", KindAlarmAck: "alarm-ack",
	KindEpoch: "epoch", KindAccess: "access", KindOutcome: "outcome", KindStart: "start",
	KindPerson: "person", KindGroup: "group", KindSync: "sync", KindMatch: "match",
	KindRequest: "request", KindDecision: "decision", KindExecution: "execution",
	KindDevice: "device", KindCredential: "credential", KindProvision: "provision",
	KindMatter: "matter", KindHold: "hold", KindSchedule: "schedule", KindPlan: "plan", KindIntent: "intent",
	KindAbandoned: "abandoned", KindCertificate: "certificate", KindClock: "clock", KindKey: "key", KindCopy: "copy", KindReclass: "reclass",
	KindTag: "tag", KindProduction: "production", KindClawback: "clawback", KindSearch: "search",
	KindPause: "pause", KindBackup: "backup", KindAnchor: "anchor", KindRestore: "restore",
}

// The record classes that every archive has. ClassControl is never disposed
// of; ClassAudit is kept at least six years (45 CFR 164.316(b)(2)).
// ClassGeneral takes what no schedule has given a class of its own.
const (
	ClassControl = "control"
	ClassAudit   = "audit"
	ClassGeneral = "general"
)

// Valid reports whether k is a kind that this version knows.
func (k Kind) Valid() bool { return int(k) < len(kindNames) && kindNames[k] != "" }

// FromRelay reports whether entries of kind k carry a relay epoch and seq.
func (k Kind) FromRelay() bool { return KindMessage <= k && k <= KindRelay }

// String returns k's name, as scripts and people see it.
func (k Kind) String() string {
	if !k.Valid() {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// MarshalText and UnmarshalText give kinds their names in JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind's name.
func (k *Kind) UnmarshalText(b []byte) error {
	for i, name := range kindNames {
		if name != "" && name == string(b) {
			*k = Kind(i) // #nosec G115 -- an index of a short array
			return nil
		}
	}
	return fmt.Errorf("unknown kind of entry")
}
