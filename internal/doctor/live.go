package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Facts are what Live needs to know besides the metrics.
type Facts struct {
	Now     time.Time // by the archive's own time
	Started time.Time // of the process
	Begun   time.Time // when the archive was made
	Head    error     // what reading and proving the log's last entry came to
	Growth  *Growth   // nil: not known
	// QuarantinedLately is how many entries came into quarantine within a day; the
	// metric counts all that ever did.
	QuarantinedLately float64
	// What is configured.
	Relay, Directory, Backup, KeysBackup, Anchor, Notices bool
	AnchorEvery                                           time.Duration
}

// How old what happens by itself may be. Where there is an alert rule for it
// (packaging/watch), the warning is the rule's.
const (
	day = 24 * time.Hour
	// startGrace is for how long after a start nothing is expected to have
	// happened yet.
	startGrace = 10 * time.Minute

	relayQuiet, relaySilent           = time.Hour, day
	lagWarning, lagCritical           = day, 3 * day
	directoryWarning, directoryOld    = time.Hour, day
	backupWarning, backupCritical     = 30 * time.Hour, 4 * day
	drillWarning, drillCritical       = 15 * day, 35 * day
	checkWarning, checkCritical       = 3 * day, 8 * day
	anchorWarning, anchorCritical     = 6 * time.Hour, day // or three times anchor.every
	indexWarning, indexCritical       = 10_000, 50_000
	certificateWarning, certificateIn = 30 * day, 7 * day
)

// exam is one examination of the running daemon.
type exam struct {
	Facts
	s Samples
}

// Live judges what the running daemon knows of itself. Every check has a
// finding, in a fixed order.
func Live(f Facts, s Samples) []Finding {
	e := &exam{f, s}
	out := []Finding{
		e.chain(), e.check(), e.ingest(), e.relay(), e.gaps(), e.quarantine(), e.index(), e.directory(),
		e.backup(), e.keysBackup(), e.drill(), e.anchor(), e.restored(), e.clock(), e.disk(),
		e.alarms(), e.approvals(), e.notices(),
	}
	return append(out, e.certificates()...)
}

// age returns how long ago a time is that a metric gives in seconds since 1970;
// never says that it has not come yet.
func (e *exam) age(seconds float64) (age time.Duration, never bool) {
	if seconds <= 0 {
		return 0, true
	}
	return e.Now.Sub(time.Unix(int64(seconds), 0)), false
}

// timed judges something that ought to happen again and again: late is after
// how long a warning, old after how long critical. What never happened is as old
// as since.
func (e *exam) timed(id, what string, seconds float64, since time.Time, late, old time.Duration, fix string) Finding {
	age, never := e.age(seconds)
	text := fmt.Sprintf("the last %s was %s ago", what, span(age))
	if never {
		age, text = e.Now.Sub(since), "there was no "+what+" yet"
	}
	switch {
	case age >= old:
		return fatal(id, text, fix).with("age_seconds", age.Seconds())
	case age >= late:
		return warn(id, text, fix).with("age_seconds", age.Seconds())
	}
	return fine(id, text).with("age_seconds", max(age.Seconds(), 0))
}

// span writes a length of time as people say it.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds", int(max(d, 0).Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func (e *exam) chain() Finding {
	if e.Head != nil {
		return fatal("chain", "the log's last entry cannot be read and proven",
			"Run `holdfast verify`, which names every entry at fault. Keep the disk as it is; if it finds damage, restore from a backup with `holdfastd restore`.")
	}
	return fine("chain", "the log's last entry is in the chain, and the tree's root includes it")
}

func (e *exam) check() Finding {
	const fix = "Run `holdfast verify`: it names every entry at fault. Keep the disk as it is, and restore from a backup with `holdfastd restore` if it finds damage."
	if failed, _ := e.s.value("holdfast_check_failed"); failed != 0 {
		return fatal("check", "the last check of the whole chain found damage", fix)
	}
	last, ok := e.s.value("holdfast_check_last_success_timestamp_seconds")
	if !ok {
		return warn("check", "nothing is known of checks of the whole chain", "Run `holdfast verify`, and see the daemon's log for why none is made by itself: journalctl -u holdfastd.")
	}
	return e.timed("check", "check of the whole chain", last, latest(e.Begun, e.Started), checkWarning, checkCritical,
		"Run `holdfast verify`, and see the daemon's log for why the daily check was not made: journalctl -u holdfastd.")
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (e *exam) ingest() Finding {
	if accepting, ok := e.s.value("holdfast_accepting"); ok && accepting == 0 {
		return fatal("ingest", "nothing is taken from the relay: the disk is below its low-water mark, or a write failed",
			"The check `disk` and the daemon's log (journalctl -u holdfastd) say which. Below the mark: free space or enlarge the disk, and it goes on by itself. After a failed write: free space on the archive's disk, or replace the disk; then `systemctl restart holdfastd`, which checks the store as it opens it. The relay keeps what comes meanwhile.")
	}
	if paused, _ := e.s.value("holdfast_ingest_paused"); paused != 0 {
		return warn("ingest", "ingest is paused by an administrator: the relay buffers what is sent", "Run `holdfast ingest resume --reason ...` when what it was paused for is done; `holdfast ingest show` says since when.")
	}
	return fine("ingest", "entries are taken")
}

// relayFixes are the fixes of what may stand in the way of the relay, by the
// class of the failure.
var relayFixes = map[string]string{
	"network":        "Check the firewall (TCP to the relay's port, outbound), DNS and the proxy: `holdfastd doctor --preflight`.",
	"tls":            "Something else than the relay answers, or a certificate has ended. `holdfastd doctor --preflight` says who signed what answers; have the relay's name taken out of TLS inspection, or renew with `holdfast relay enroll --name relay-2`.",
	"stalled":        "Something between here and the relay cuts long answers: raise the idle timeout of firewall and proxy for this connection to 2 minutes or more.",
	"disk_full":      "Free space on the archive's disk; it goes on by itself.",
	"log":            "Check the archive's disk, then `systemctl restart holdfastd`: it checks the store as it opens it.",
	"page_signature": "The relay's pages are not signed by the pinned key. Call the relay's operator and compare the fingerprint of relay.head_key before anything else.",
	"page_head":      "The relay's pages are not signed by the pinned key. Call the relay's operator and compare the fingerprint of relay.head_key before anything else.",
	"conflict":       "The relay's operator and this archive disagree about what was delivered. Call the operator; `holdfast alarms list` has the numbers.",
	"unexpected":     "See `holdfast alarms list` and the daemon's log: journalctl -u holdfastd. If it goes on, call the relay's operator.",
}

func (e *exam) relay() Finding {
	if !e.Relay {
		return fine("relay", "no relay is configured: nothing is pulled")
	}
	lag, _ := e.s.value("holdfast_relay_lag_seconds")
	events, _ := e.s.value("holdfast_relay_lag_events")
	contact, _ := e.s.value("holdfast_relay_last_contact_timestamp_seconds")
	age, never := e.age(contact)
	text := fmt.Sprintf("the relay answered %s ago and has %.0f events that are not pulled yet, the oldest %s old", span(age), events, span(seconds(lag)))
	if never {
		age, text = e.Now.Sub(e.Started), "the relay has not answered since the start"
	}
	failing := e.s.set("holdfast_relay_failing")
	fix := relayFixes["unexpected"]
	if len(failing) > 0 {
		text += "; what stands in the way: " + strings.Join(failing, ", ")
		if known, ok := relayFixes[failing[0]]; ok {
			fix = known
		}
	} else if never || age > relayQuiet {
		fix = relayFixes["network"]
	}
	f := fine("relay", text)
	switch {
	case seconds(lag) >= lagCritical, age >= relaySilent:
		f = fatal("relay", text, fix+" The relay keeps what comes only for a time: ask its operator to keep it longer.")
	case seconds(lag) >= lagWarning, age >= relayQuiet, len(failing) > 0, never && age >= startGrace:
		f = warn("relay", text, fix)
	}
	return f.with("lag_seconds", lag).with("lag_events", events).with("contact_age_seconds", max(age.Seconds(), 0))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (e *exam) gaps() Finding {
	n, _ := e.s.value("holdfast_stream_gaps")
	if n == 0 {
		return fine("gaps", "no gap is known in what the relay and the devices sent").with("gaps", 0)
	}
	return warn("gaps", fmt.Sprintf("%.0f known gaps in what the relay or the devices sent", n),
		"See `holdfast alarms list` for where they are, and call the relay's operator: what was buffered there can be sent again. `holdfast certify` says what is missing of a custodian.").with("gaps", n)
}

func (e *exam) quarantine() Finding {
	n, _ := e.s.value("holdfast_quarantined_entries")
	grown := e.QuarantinedLately
	if grown == 0 {
		return fine("quarantine", fmt.Sprintf("%.0f entries are in quarantine, none of them came of late", n)).with("entries", n).with("grown", 0)
	}
	return warn("quarantine", fmt.Sprintf("%.0f entries came into quarantine within a day: they are kept, and could not be believed or opened", grown),
		"See `holdfast alarms list` for why. Often a device is not enrolled yet: `holdfast devices list`. A compliance officer reads them with `holdfast show`.").with("entries", n).with("grown", grown)
}

func (e *exam) index() Finding {
	lag, _ := e.s.value("holdfast_index_lag_entries")
	text := fmt.Sprintf("the index is %.0f entries behind the log", lag)
	const fix = "It catches up by itself: look again in some minutes. If it does not fall, see the daemon's log (journalctl -u holdfastd) and the free space; the index may be deleted while the daemon is stopped, and is built anew from the log."
	switch {
	case lag >= indexCritical:
		return fatal("index", text+": ingest waits for it, or searches say what they have not seen", fix).with("lag_entries", lag)
	case lag >= indexWarning:
		return warn("index", text, fix).with("lag_entries", lag)
	}
	return fine("index", text).with("lag_entries", lag)
}

func (e *exam) directory() Finding {
	if !e.Directory {
		return fine("directory", "no directory is configured: nobody logs in over HTTPS")
	}
	last, _ := e.s.value("holdfast_directory_last_success_timestamp_seconds")
	if refused, _ := e.s.value("holdfast_directory_refused"); refused != 0 {
		f := warn("directory", "what the directory says is not taken: the last synchronisation failed, or takes more people away than the rails allow",
			"`holdfast directory status` says which. A diff that waits is in `holdfast directory diff`: if it is right, an approver runs `holdfast directory approve`; if not, correct the directory or [directory] base and filter.")
		if age, never := e.age(last); age >= directoryOld || never && e.Now.Sub(e.Started) >= directoryOld {
			f.Severity = Critical
		}
		return f
	}
	return e.timed("directory", "synchronisation with the directory", last, e.Started, directoryWarning, directoryOld,
		"`holdfast directory status` says what is wrong; `holdfastd doctor --preflight` tries the account. Logins fail until it answers; what is archived goes on.")
}

func (e *exam) clock() Finding {
	if suspect, _ := e.s.value("holdfast_clock_suspect"); suspect != 0 {
		return fatal("clock", "the machine's clock jumped: entries are dated by the time that passes instead, and nothing is disposed of",
			"Compare the machine's clock with one that you trust, and set it right. Then `holdfast clock show` and `holdfast clock release --reason ...`.")
	}
	return fine("clock", "the clock has not jumped")
}

func (e *exam) alarms() Finding {
	n, _ := e.s.value("holdfast_alarms_open")
	if n == 0 {
		return fine("alarms", "no alarm is open").with("open", 0)
	}
	return warn("alarms", fmt.Sprintf("%.0f alarms wait for somebody to acknowledge them", n),
		"`holdfast alarms list` shows them, `holdfast alarms show` each with its fix, and `holdfast alarms ack` acknowledges one.").with("open", n)
}

func (e *exam) approvals() Finding {
	n, _ := e.s.value("holdfast_approvals_waiting")
	return fine("approvals", fmt.Sprintf("%.0f requests wait for a second person (`holdfast requests list`)", n)).with("waiting", n)
}

func (e *exam) notices() Finding {
	if !e.Notices {
		return warn("notices", "alarms leave this machine by no way: they are seen only by who looks",
			"Configure [notify.smtp], [notify.webhook] or [notify.syslog], and try it with `holdfast notify test`.")
	}
	if failing := e.s.set("holdfast_notice_failing"); len(failing) > 0 {
		return warn("notices", "alarms do not get out by: "+strings.Join(failing, ", "),
			"See the daemon's log for why (journalctl -u holdfastd), correct [notify] or [mirror], and try it with `holdfast notify test`.")
	}
	return fine("notices", "alarms get out")
}

func (e *exam) certificates() []Finding {
	var out []Finding
	ends := e.s["holdfast_certificate_not_after_timestamp_seconds"]
	for _, name := range slices.Sorted(maps.Keys(ends)) {
		if ends[name] > 0 {
			out = append(out, certificateEnds(name, time.Unix(int64(ends[name]), 0), e.Now))
		}
	}
	return out
}

// RenewRelayClient says how the certificate is renewed with which the archive
// comes to the relay: the alarm of its end says the same.
const RenewRelayClient = "Run `holdfast relay enroll --name relay-2` for a new key and request, have the relay's operator sign it, install it with --name relay-2 --certificate FILE, put the new names into [relay], then `systemctl restart holdfastd`."

// certificateFixes say how each of our certificates is renewed.
var certificateFixes = map[string]string{
	"relay-client": RenewRelayClient,
	"https":        "Put a new certificate at https.cert and its key at https.key. No restart is needed; `holdfastd reload` says whether they were taken.",
	"relay-ca":     "Ask the relay's operator for the new authority's certificate, compare its fingerprint over the phone, put it into relay.ca beside the old one, and restart the daemon.",
	"directory-ca": "Export the domain's new authority, put it into directory.ca beside the old one; it is read for every connection.",
	"recipient":    "The daemon makes new recipient keys by itself, every hour: see its log for why it does not (journalctl -u holdfastd), and whether the relay takes the key set.",
}

// certificateEnds judges the end of one certificate or recipient key.
func certificateEnds(name string, end, now time.Time) Finding {
	left, id := end.Sub(now), "certificate-"+name
	text := fmt.Sprintf("%s is good until %s, for %s", name, end.UTC().Format(time.DateOnly), span(left))
	fix, ok := certificateFixes[name]
	if !ok {
		fix = "Renew it, and put the new one into the file that the configuration names."
	}
	f := fine(id, text)
	switch {
	case left <= 0:
		f = fatal(id, name+" ended on "+end.UTC().Format(time.DateOnly), fix)
	case left < certificateIn:
		f = fatal(id, text, fix)
	case left < certificateWarning:
		f = warn(id, text, fix)
	}
	return f.with("seconds_left", left.Seconds())
}
