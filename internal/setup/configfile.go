package setup

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"holdfast/internal/config"
	"holdfast/internal/role"
)

// writer writes a configuration with every key: what was answered, and what was
// not behind a #.
type writer struct {
	strings.Builder
	later bool // the section waits for a file: all of it stands behind a #
	whole bool // nothing waits: to see whether all that was answered is a configuration
}

// section begins a table. One that is off, or has to wait for files that are
// not there yet, stands behind a #.
func (w *writer) section(name string, on bool, missing []string, about string) {
	w.later = !on || len(missing) > 0
	fmt.Fprintf(w, "\n# %s\n", about)
	for _, path := range missing {
		fmt.Fprintf(w, "# Take the # away from here on once %s is there; until then the section would refuse the start.\n", path)
	}
	w.line("["+name+"]", "")
}

func (w *writer) line(text, about string) {
	if w.later && text != "" {
		text = "# " + text
	}
	if about != "" {
		about = strings.Repeat(" ", max(1, 58-len(text))) + "# " + about
	}
	fmt.Fprintf(w, "%s%s\n", text, about)
}

// set writes a key: value where it was answered, else what stands for it.
func (w *writer) set(key string, value any, instead, about string) {
	text, given := asTOML(value)
	switch {
	case given:
		w.line(key+" = "+text, about)
	case w.later:
		w.line(key+" = "+instead, about)
	default:
		w.later = true
		w.line(key+" = "+instead, about)
		w.later = false
	}
}

// asTOML returns a value as TOML, and whether it is any. JSON's strings, numbers
// and lists of strings are TOML's.
func asTOML(v any) (string, bool) {
	var given bool
	switch x := v.(type) {
	case string:
		given = x != ""
	case []string:
		given = len(x) > 0
	case []role.Role:
		given = len(x) > 0
	case bool:
		given = x
	case int:
		given = x != 0
	case config.Duration:
		given, v = x.Duration != 0, x.String()
	case uint32:
		given = true
	}
	b, err := json.Marshal(v)
	out := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", "\x7f", `\u007f`).Replace(string(b))
	return out, given && err == nil
}

// ConfigText returns the configuration that the answers come to: commented, with
// every section, and accepted by config.Parse.
func (a *Answers) ConfigText() (string, error) { return a.configText(&writer{}) }

func (a *Answers) configText(w *writer) (string, error) {
	fmt.Fprint(w, "# Holdfast's configuration, written by `holdfastd init`. An unknown key refuses the start: `holdfastd check-config` says which.\n"+
		"# What stands behind a # is not set; what follows its = is the default, or an example. Paths are absolute, or start at this folder.\n\n")
	w.set("data", a.Data, "", "the archive; made by init, never by itself")
	w.set("socket", a.Socket, "", "where holdfast finds the daemon; access by group and [[account]]")
	w.set("credentials", "", `"`+a.Credentials+`"`, "default: systemd's credentials, else the folder given to init")
	w.set("log_level", "", `"info"`, "debug, info, warn, error")
	w.set("time_zone", a.TimeZone, "", "the site's: days in queries and productions")
	if err := a.people(w); err != nil {
		return "", err
	}
	a.links(w)
	a.operations(w)
	limits(w)
	if _, err := config.Parse([]byte(w.String()), "/"); err != nil {
		return "", fmt.Errorf("%w: what would be written is no configuration: %w", ErrAnswers, err)
	}
	return w.String(), nil
}

func (a *Answers) links(w *writer) {
	r := config.Relay{}
	if a.Relay != nil {
		r = *a.Relay
	}
	w.section("relay", a.Relay != nil, w.missing(a.Relay != nil, r.CA, r.Cert, r.Key, r.HeadKey, r.EnrolKey), "The cloud relay, and the pins by which it is known: `holdfast relay enroll` makes and checks them.")
	w.set("url", r.URL, `"https://relay.vendor.example"`, "")
	w.set("ca", r.CA, `"relay-ca.pem"`, "the only authorities that may certify the relay")
	w.set("cert", r.Cert, `"relay.pem"`, "the archive's client certificate")
	w.set("key", r.Key, `"relay.key"`, "and its key")
	w.set("head_key", r.HeadKey, `"relay-head.pem"`, "by which the relay signs what it hands out")
	w.set("enrol_key", r.EnrolKey, `"enrolment.pem"`, "the hospital's own; without it no device is `enrolled`")
	w.set("allow_x25519", r.AllowX25519, "false", "accept envelopes of the suite that is not post-quantum and not P-256")

	h := HTTPS{}
	if a.HTTPS != nil {
		h = *a.HTTPS
	}
	waits := w.missing(a.HTTPS != nil, h.Cert, h.Key)
	if a.Directory != nil {
		waits = append(waits, w.missing(a.HTTPS != nil, a.Directory.CA)...)
	}
	w.section("https", a.HTTPS != nil, waits, "The API for compliance desks: TLS 1.3 alone. It needs [directory]: nobody else could log in.")
	w.set("listen", h.Listen, `":8443"`, "")
	w.set("cert", h.Cert, `"api.pem"`, "read again when the files change")
	w.set("key", h.Key, `"api.key"`, "")
	w.set("idle", "", `"15m"`, "ends a session in which nothing was asked")
	w.set("absolute", "", `"10h"`, "ends any session")

	w.section("provision", false, nil, "What the relay is asked when somebody departs; all off by default.")
	w.set("disable", false, "false", "the relay user")
	w.set("revoke", false, "false", "the person's devices")
	w.set("wipe", false, "false", "what is on them")
}

func (w *writer) missing(on bool, paths ...string) []string {
	return missing(on && !w.whole, paths...)
}

// missing returns the files of a section that are not there yet.
func missing(on bool, paths ...string) (out []string) {
	for _, path := range paths {
		if _, err := os.Stat(path); on && path != "" && err != nil {
			out = append(out, path)
		}
	}
	return out
}

func (a *Answers) people(w *writer) error {
	d := config.Directory{}
	if a.Directory != nil {
		d = *a.Directory
	}
	w.section("directory", a.Directory != nil, w.missing(a.Directory != nil, d.CA), "Active Directory: people, and through its groups their roles.")
	w.set("urls", d.URLs, `["ldaps://dc1.hospital.example"]`, "or ldap:// for StartTLS; there is no plain LDAP")
	w.set("ca", d.CA, `"ad-ca.pem"`, "the only authorities that may certify the domain controllers")
	w.set("bind", d.Bind, `"holdfast@hospital.example"`, "reads; password: first line of the credential holdfast.directory")
	w.set("base", d.Base, `["OU=Staff,DC=hospital,DC=example"]`, "")
	w.set("group_base", d.GroupBase, `["OU=Groups,DC=hospital,DC=example"]`, "default: base")
	w.set("filter", d.Filter, `"(employeeType=staff)"`, "narrows the people")
	w.set("interval", d.Interval, `"5m"`, "")
	w.set("timeout", d.Timeout, `"15s"`, "")
	w.set("max_loss_percent", d.MaxLossPercent, "5", "more departures at once than both of these wait for a second person")
	w.set("max_loss", d.MaxLoss, "20", "")
	roles := d.Roles
	if a.Administrator.Group != "" {
		roles = append(roles, config.GroupRole{Group: a.Administrator.Group, Role: role.Administrator})
	}
	off := w.later
	for _, r := range roles {
		w.line("", "")
		w.line("[[directory.role]]", "")
		w.set("group", r.Group, "", "account, DN or objectGUID; nested members count")
		w.set("role", string(r.Role), "", "`holdfast roles` lists them")
		w.set("department", r.Department, `"Cardiology"`, "only messages of who was there at the time")
		w.set("ou", r.OU, `"OU=..."`, "")
		if r.Until != nil {
			w.set("until", r.Until.Format("2006-01-02"), "", "")
		} else {
			w.set("until", "", `"2027-01-31"`, "the first day without it, in UTC")
		}
	}
	w.later = off || len(roles) == 0
	if len(roles) == 0 {
		w.line("[[directory.role]]", "")
		w.set("group", "", `"Holdfast Compliance"`, "account, DN or objectGUID; nested members count")
		w.set("role", "", `"compliance-officer"`, "administrator, records-manager, compliance-officer, approver, auditor")
		w.set("department", "", `"Cardiology"`, "only messages of who was there at the time; or ou, a DN")
		w.set("ou", "", `"OU=..."`, "")
		w.set("until", "", `"2027-01-31"`, "the first day without it, in UTC")
	}
	uid, given, err := a.Administrator.uid()
	if err != nil {
		return err
	}
	w.later = !given
	fmt.Fprint(w, "\n# An account of this machine that may use the socket; also: usermod -aG holdfast NAME. Several may stand here.\n")
	w.line("[[account]]", "")
	if given {
		w.set("uid", uid, "", "")
		w.set("roles", []role.Role{role.Administrator}, "", "`holdfast roles` lists them")
	} else {
		w.set("uid", "", "1203", "")
		w.set("roles", "", `["administrator"]`, "`holdfast roles` lists them")
	}
	w.set("person", a.Administrator.Person, `"jdoe@hospital.example"`, "whose account it is: what takes two people takes people")
	w.set("break_glass", false, "true", "may use `holdfast break-glass`")
	return nil
}

func (a *Answers) operations(w *writer) {
	w.section("backup", a.Backup.To != "" || a.Backup.KeysTo != "", nil, "Where `holdfastd backup` writes: data and keys on different media.")
	w.set("to", a.Backup.To, `"/srv/holdfast/backup"`, "the data")
	w.set("keys_to", a.Backup.KeysTo, `"/mnt/holdfast/keys"`, "the keyring, sealed to the recovery kit; never inside `to`")
	w.set("spool", "", `"`+a.Data+`/spool"`, "on a local disk, so that a slow destination holds up nobody")
	w.set("keep", "", "30", "backups")
	w.set("drill_sample", "", "1000", "bodies that a restore drill opens")

	w.section("anchor", a.Anchor != "", nil, "Where the log's checkpoints go, so that not even root rewrites it unnoticed.")
	w.set("every", "", `"1h"`, "")
	w.set("file", a.Anchor, `"/mnt/holdfast/anchors"`, "on another machine's disk")
	w.section("anchor.timestamp", false, nil, "A time-stamping authority (RFC 3161).")
	w.set("url", "", `"https://tsa.example/tsr"`, "")
	w.set("ca", "", `"tsa-ca.pem"`, "")
	w.section("[anchor.witness]", false, nil, "A witness on another administrator's machine (C2SP tlog-witness).")
	w.set("url", "", `"https://witness.example"`, "")
	w.set("key", "", `"witness.vkey"`, "")
	w.set("ca", "", `"witness-ca.pem"`, "default: the machine's")

	w.section("notify", false, nil, "How alarms leave the machine, free of content. `holdfast notify test` tries it.")
	w.set("repeat", "", `"4h"`, "until somebody acknowledges")
	w.section("notify.smtp", false, nil, "By mail; password in the credential holdfast.smtp.")
	w.set("address", "", `"mail.hospital.example:587"`, "")
	w.set("tls", "", `"starttls"`, "or tls")
	w.set("ca", "", `"mail-ca.pem"`, "default: the machine's")
	w.set("from", "", `"holdfast@hospital.example"`, "")
	w.set("to", "", `["it-oncall@hospital.example"]`, "")
	w.set("user", "", `"holdfast"`, "default: no login")
	w.section("notify.webhook", false, nil, "As JSON over HTTPS, signed by the credential holdfast.webhook.")
	w.set("url", "", `"https://alerts.hospital.example/holdfast"`, "")
	w.set("ca", "", `"alerts-ca.pem"`, "default: the machine's")
	for _, s := range [][2]string{{"notify.syslog", "By syslog (RFC 5424)."}, {"mirror.syslog", "The audit's copy for the site's collector, free of content."}} {
		w.section(s[0], false, nil, s[1])
		w.set("address", "", `"siem.hospital.example:6514"`, "")
		w.set("network", "", `"tls"`, "tls, tcp or udp")
		w.set("ca", "", `"siem-ca.pem"`, "default: the machine's")
	}
	w.section("metrics", a.Metrics != "", nil, "For Prometheus on this machine; no name and no content is in it.")
	w.set("listen", a.Metrics, `"127.0.0.1:9185"`, "loopback alone")
}

// limits are the sections that a first run leaves as they are.
func limits(w *writer) {
	w.section("watch", false, nil, "What `holdfast audit --flagged` finds unusual.")
	w.set("zone", "", `"America/New_York"`, "default: time_zone")
	w.set("from", "", `"07:00"`, "")
	w.set("to", "", `"19:00"`, "")
	w.set("days", "", `["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]`, "")
	w.set("volume", "", "1000", "entries shown to one person in a day")
	w.set("large_export", "", "10000", "entries above which an export takes two people")
	w.section("retention", false, nil, "How holds are released; what is kept for how long is set by `holdfast schedule apply`.")
	w.set("grace_days", "", "30", "for so long a released hold goes on holding")
	w.section("patient_access", false, nil, "What a patient gets: `holdfast export --mrn`.")
	w.set("third_parties", "", `"initials"`, "how others are shown: show, initials or hide")
	w.set("contact", "", `"Privacy office, 555-0100"`, "whom the package tells the patient to ask")
	w.section("disk", false, nil, "What ingest may fill, in bytes.")
	w.set("low_water", "", "268435456", "below it only audit and control entries are accepted")
	w.set("reserve", "", "67108864", "kept for those alone")
}
