package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// The names of the alarms that ingest raises: stable, for scripts and alert rules.
const (
	AlarmPageRefused    = "relay-page-refused"    // a page that cannot be verified, twice in a row
	AlarmGap            = "relay-gap"             // a page that skips events, twice in a row
	AlarmEquivocation   = "relay-equivocation"    // two validly signed heads for one seq
	AlarmClock          = "relay-clock"           // the relay's signed time is more than 10 minutes off
	AlarmCursorExpired  = "relay-cursor-expired"  // the relay deleted events that were never acked
	AlarmCursorAhead    = "relay-behind"          // the relay holds less than this archive has taken from it
	AlarmAckedBeyond    = "log-behind-ack"        // the log holds less than this archive has acked
	AlarmEpochChanged   = "relay-epoch-changed"   // the relay's stream began anew, chained to the old one
	AlarmEpochUnknown   = "relay-epoch-unknown"   // the relay's stream does not continue the one that is known
	AlarmRefused        = "relay-refuses"         // the relay refuses this archive's certificate or id
	AlarmUnreachable    = "relay-unreachable"     // no answer for UnreachableAfter
	AlarmLag            = "relay-lag"             // 1, 3, 5 days behind
	AlarmLost           = "relay-lost"            // the relay says that it lost events
	AlarmAckRefused     = "relay-ack-refused"     // an ack refused, twice in a row
	AlarmKeysetRefused  = "relay-keyset-refused"  // a keyset refused, twice in a row
	AlarmDiskFull       = "disk-full"             // no room to append
	AlarmKeysBehind     = "keys-backup-behind"    // the keyring's own backup lacks the key of a new body file
	AlarmWriteFailed    = "log-write-failed"      // a write to the log failed
	AlarmLogFailing     = "log-unreadable"        // the log cannot be read or written, and ingest stands still
	AlarmBacklogDamaged = "backlog-unreadable"    // entries that a start needs and cannot read back
	AlarmKeysEnding     = "recipient-keys-ending" // the last key that senders may seal to ends within 30 days, within 7, or has ended
	AlarmBlobLost       = "attachment-lost"       // an attachment given up
	AlarmProvision      = "provision-refused"     // the relay refuses to act on a departed person's account or device
	AlarmProvisionStall = "provision-stalled"     // provision requests have had no answer for a while
)

const (
	warning  = "warning"
	critical = "critical"
)

// advice is what is always the same about an alarm.
type advice struct{ severity, text, fix string }

var adviceFor = map[string]advice{
	AlarmPageRefused: {critical, "the relay sends pages that do not verify; nothing has been taken from them and nothing is acked",
		"Give the facts below to the relay's operator. If the relay's signing key was changed, have its fingerprint confirmed by a second way, set head_key, and restart."},
	AlarmGap: {critical, "the relay skips events of its own stream; ingest waits for them",
		"Ask the relay's operator for the missing events. Only they can say that they are lost, with a relay.lost event."},
	AlarmEquivocation: {critical, "the relay signed two different heads for one place of its stream: it shows different parties different histories",
		"Keep the facts below: they are proof. Confront the relay's operator, and compare with another party's copy before trusting either."},
	AlarmClock: {warning, "the relay's signed time and this machine's clock differ by more than 10 minutes",
		"Check this machine's clock (chronyc tracking), then have the relay's operator check theirs."},
	AlarmCursorExpired: {critical, "the relay deleted events that this archive has not taken: messages are lost",
		"Ask the relay's operator for a copy of the range given below. Ingest waits; it never skips a gap by itself."},
	AlarmCursorAhead: {critical, "the relay holds less than this archive has already taken from it: it was set back to an older state",
		"Ask the relay's operator what was restored and what was lost. They must begin a new epoch that names the old one."},
	AlarmAckedBeyond: {critical, "this log holds less than the relay was told is safe: it is an older copy",
		"If this archive was restored from a backup, nothing needs doing: what the relay still has is pulled again. If it was not, find out who replaced the data directory."},
	AlarmEpochChanged: {warning, "the relay's stream began anew; it continues the old one without a gap",
		"Confirm with the relay's operator that they moved or restored the relay, then acknowledge this alarm."},
	AlarmEpochUnknown: {critical, "the relay's stream does not continue the one that this archive knows; ingest waits",
		"Ask the relay's operator for a stream for this archive whose previous epoch is the one given below."},
	AlarmRefused: {critical, "the relay refuses this archive",
		"Check [relay] cert, key and url, and that the certificate has not expired; then ask the relay's operator whether this archive's id is still enrolled."},
	AlarmUnreachable: {warning, "the relay has not been reached for a while; it keeps what is sent meanwhile",
		"Check the network, the firewall (TCP 443 outbound) and [relay] url, ca, cert; `holdfast status` names the last error's class."},
	AlarmLag: {warning, "this archive is behind the relay",
		"See `holdfast status` for what holds it up. The relay buffers, but not for ever."},
	AlarmLost: {critical, "the relay says that it lost events",
		"Open the entries given below, find whose messages are missing, and have the relay's operator account for them."},
	AlarmAckRefused: {warning, "the relay refuses this archive's acknowledgements; what is in the log is safe, but the relay cannot delete it",
		"Ask the relay's operator whether this archive's identity key is the one they pinned."},
	AlarmKeysetRefused: {critical, "the relay refuses this archive's keyset; when the last one expires, clients stop sealing",
		"Check this machine's clock, then ask the relay's operator whether this archive's identity key is the one they pinned."},
	AlarmKeysBehind: {critical, "the key of a new body file cannot be copied to the keyring's own backup; nothing is taken or acked until it is, and then it goes on by itself",
		"See that the folder of backup.keys_to is mounted, has room and can be written by the daemon. `holdfastd doctor` says what is wrong with it."},
	AlarmDiskFull: {critical, "the disk is full; nothing is taken or acked until there is room, and then it goes on by itself",
		"Make room on the file system of the data directory, or enlarge it."},
	AlarmWriteFailed: {critical, "a write to the log failed; nothing was acked until the log had been reopened and checked",
		"Check the disk (dmesg, smartctl) and run `holdfast verify`."},
	AlarmLogFailing: {critical, "the log cannot be read or written as it should be; ingest stands still until it can",
		"Check the disk (dmesg, smartctl) and run `holdfast verify`; what it names as damaged is put back from a backup."},
	AlarmBacklogDamaged: {critical, "entries that ingest needs to take its work up again cannot be read back; it goes on without them",
		"Run `holdfast verify` and put back what it names from a backup, then restart: what waits for these entries is taken up again."},
	AlarmKeysEnding: {warning, "the last key that senders may seal to ends soon; then nothing more can be sent to this archive",
		"Have new recipient keys made before the time given below; they are published by themselves."},
	AlarmBlobLost: {warning, "an attachment could not be fetched from the relay and is given up; its message is kept",
		"Ask the sender or the relay's operator for the attachment."},
	AlarmProvision: {critical, "the relay refuses to act on the account or device of a person who departed; it may still be in use",
		"Have the relay's operator do by hand what the request given below asked for, and account for the code."},
	AlarmProvisionStall: {warning, "requests about departed people's accounts and devices wait for the relay's answer",
		"Check that the relay takes provision requests (AMX/1 section 8); the class below says what it answers. They are sent again by themselves."},
}

// alarms raises each cause once until it clears. One that could not be appended is owed and appended when the log takes entries again.
type alarms struct {
	log     appender
	logger  *slog.Logger
	metrics *Metrics

	mu     sync.Mutex
	raised map[string]bool          // cause -> appended, or being appended
	owed   map[string]archive.Entry // cause -> not yet appended
}

type appender interface {
	Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error)
}

func newAlarms(log appender, logger *slog.Logger, metrics *Metrics) *alarms {
	return &alarms{log: log, logger: logger, metrics: metrics, raised: map[string]bool{}, owed: map[string]archive.Entry{}}
}

// raise appends an alarm unless its cause already stands. The cause is the name, with detail where one name can stand for several.
func (a *alarms) raise(ctx context.Context, name, detail string, facts map[string]string) {
	a.raiseAs(ctx, adviceFor[name].severity, name, detail, facts)
}

// raiseAs is raise for a name whose causes are not all equally grave.
func (a *alarms) raiseAs(ctx context.Context, severity, name, detail string, facts map[string]string) {
	cause := name + "/" + detail
	a.mu.Lock()
	if a.raised[cause] {
		a.mu.Unlock()
		return
	}
	a.raised[cause] = true
	a.owed[cause] = a.entry(severity, name, facts)
	a.mu.Unlock()
	a.flush(ctx)
}

// flush appends what is owed. Two callers may append one alarm twice; none is lost.
func (a *alarms) flush(ctx context.Context) {
	a.mu.Lock()
	owed := make(map[string]archive.Entry, len(a.owed))
	for cause, e := range a.owed {
		owed[cause] = e
	}
	a.mu.Unlock()
	for cause, e := range owed {
		if _, err := a.log.Append(ctx, archive.Batch{Entries: []archive.Entry{e}}); err != nil {
			a.logger.Warn("an alarm is not in the log yet", "class", classOf(err))
			return
		}
		a.mu.Lock()
		delete(a.owed, cause)
		a.mu.Unlock()
	}
}

// clear lets a cause be raised again: what raised it is over.
func (a *alarms) clear(name, detail string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cause := name + "/" + detail
	if a.raised[cause] {
		delete(a.raised, cause)
		a.logger.Info("alarm's cause is over", "alarm", name)
	}
}

// inBatch returns an alarm's entry for the batch of what it is about: so it is there if and only if that is.
func (a *alarms) inBatch(name string, facts map[string]string) archive.Entry {
	return a.entry(adviceFor[name].severity, name, facts)
}

// onceInBatch is inBatch for a cause that is told once until it clears; false while it stands. It stands only when told says so: two
// batches under way may tell it twice, and a batch that was not appended takes nothing away.
func (a *alarms) onceInBatch(name, detail string, facts map[string]string) (archive.Entry, bool) {
	a.mu.Lock()
	stands := a.raised[name+"/"+detail]
	a.mu.Unlock()
	if stands {
		return archive.Entry{}, false
	}
	return a.inBatch(name, facts), true
}

// told says that the batch with an alarm of onceInBatch is durable.
func (a *alarms) told(name, detail string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.raised[name+"/"+detail] = true
}

func (a *alarms) entry(severity, name string, facts map[string]string) archive.Entry {
	about := adviceFor[name]
	a.metrics.alarms.WithLabelValues(name).Inc()
	a.logger.Error("alarm", "alarm", name, "text", about.text)
	body := archive.AlarmBody{Name: name, Severity: severity, Text: about.text, Fix: about.fix, Facts: facts}
	return control(proof.KindAlarm, body)
}

// control returns a control entry. Its body marshals always: the archive's body types hold strings, numbers and maps of strings.
func control(kind proof.Kind, body any) archive.Entry {
	b, err := json.Marshal(body)
	if err != nil {
		b = fmt.Appendf(nil, `{"error":%q}`, "unmarshalable "+kind.String())
	}
	return archive.Entry{Kind: kind, Class: proof.ClassControl, Body: b}
}
