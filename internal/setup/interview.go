package setup

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"holdfast/ingest/envelope"
	"holdfast/internal/config"
)

// Interview asks a person for everything that a first run needs. What base has
// already is the default.
func Interview(ctx context.Context, d *Dialog, base Answers) (*Answers, error) {
	a := base
	a.Complete()
	// Nobody shall answer everything only to hear that an archive is there.
	if _, err := os.Lstat(a.Config); err == nil {
		return nil, fmt.Errorf("%s: %w; if an init that was cut short left it, move it away and run init again", a.Config, ErrThere)
	}
	if err := writable(a.Config); err != nil {
		return nil, err
	}
	if err := d.Say("This makes a new archive. An empty answer takes what stands in brackets; nothing is made before the last question."); err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context, *Dialog) error{
		a.askArchive, a.askMaster, a.askKit, a.askRelay, a.askDirectory, a.askHTTPS, a.askAdministrator, a.askOperations, a.askStart,
	} {
		if err := part(ctx, d); err != nil {
			return nil, err
		}
	}
	a.Complete()
	return &a, a.Check()
}

// into asks one question for a string.
func into(ctx context.Context, d *Dialog, to *string, q Question) (err error) {
	if q.Default == "" {
		q.Default = *to
	}
	*to, err = d.Ask(ctx, q)
	return err
}

func absolute(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("an absolute path, please: one that begins with /")
	}
	return nil
}

func (a *Answers) askArchive(ctx context.Context, d *Dialog) error {
	if a.TimeZone == "UTC" {
		a.TimeZone = machineZone()
	}
	for _, ask := range []struct {
		to *string
		q  Question
	}{
		{&a.ArchiveID, Question{Key: "archive_id", Default: machineDomain(), Text: "archive id",
			Explain: "The archive's name at the relay, as agreed with the vendor; it cannot be changed later. The hospital's domain is a good one.",
			Check: func(s string) error {
				if !envelope.ValidArc(s) {
					return errors.New("1 to 64 of a-z 0-9 . -")
				}
				return nil
			}}},
		{&a.Data, Question{Key: "data", Text: "folder of the archive", Check: func(s string) error { return cmp.Or(absolute(s), emptyData(s)) },
			Explain: "On a local disk of its own, or a volume that can grow: reckon with about 2 KB a message. No network share."}},
		{&a.TimeZone, Question{Key: "time_zone", Text: "time zone", Explain: "The site's time zone: days in searches and productions are its.",
			Check: func(s string) error {
				if _, err := time.LoadLocation(s); err != nil || s == "Local" || s == "" {
					return errors.New("a name as America/Chicago or Europe/Berlin")
				}
				return nil
			}}},
	} {
		if err := into(ctx, d, ask.to, ask.q); err != nil {
			return err
		}
	}
	return nil
}

func (a *Answers) askMaster(ctx context.Context, d *Dialog) error {
	can, tpm := CanSeal(ctx)
	q := Question{Key: "master.kind", Text: "keep the master key as", Default: KindFile, Explain: `The master key opens the archive's keys when the daemon starts.
  file        a file that root alone reads, in ` + a.Credentials + `
  passphrase  nowhere: after each start the daemon waits until somebody runs holdfastd unlock`}
	if can {
		to := "this installation"
		if tpm {
			to = "this installation and its TPM"
		}
		q.Default = KindSealed
		q.Explain += "\n  sealed      as a systemd credential that only " + to + " can open: a stolen disk does not"
	}
	q.Explain += "\nWhichever it is: if the key is lost, the recovery kit opens the archive."
	q.Check = func(s string) error {
		if _, ok := masterFiles[s]; !ok || s == KindSealed && !can {
			return errors.New("one of those, please")
		}
		return nil
	}
	if kind, err := KindOf(a.Credentials); err == nil && kind == KindFile {
		q.Default = KindFile
		q.Explain += "\nThere is a master key in that folder already, which `file` uses."
	}
	var err error
	a.Master.Kind, err = d.Ask(ctx, q)
	return err
}

func (a *Answers) askKit(ctx context.Context, d *Dialog) error {
	number := func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < 2 || n > 255 {
			return errors.New("a number from 2 to 255")
		}
		return nil
	}
	shares, err := d.Ask(ctx, Question{Key: "kit.shares", Text: "shares of the recovery kit", Default: strconv.Itoa(a.Kit.Shares), Check: number,
		Explain: "The recovery kit is a key on paper, in shares for different people: some of them together open the archive when the\nmaster key is lost, and restore it from a backup."})
	if err != nil {
		return err
	}
	a.Kit.Shares, _ = strconv.Atoi(shares) // checked above
	needed, err := d.Ask(ctx, Question{Key: "kit.needed", Text: "how many of them are needed", Default: strconv.Itoa(min(a.Kit.Needed, a.Kit.Shares)), Check: func(s string) error {
		if err := number(s); err != nil {
			return err
		}
		if n, _ := strconv.Atoi(s); n > a.Kit.Shares { // checked above
			return fmt.Errorf("at most all %d", a.Kit.Shares)
		}
		return nil
	}})
	a.Kit.Needed, _ = strconv.Atoi(needed) // likewise
	return err
}

func (a *Answers) askRelay(ctx context.Context, d *Dialog) error {
	address, err := d.Ask(ctx, Question{Key: "relay.url", Text: "the relay's address", Default: "none yet", Explain: "The vendor's relay, https://HOST[:PORT]. Its files are made and checked by `holdfast relay enroll`; as long as one of them\nis not there, the section is written behind a #.",
		Check: func(s string) error {
			if s != "none yet" && !strings.HasPrefix(s, "https://") {
				return errors.New("https://HOST[:PORT], or an empty line for later")
			}
			return nil
		}})
	if err != nil || address == "none yet" {
		return err
	}
	a.Relay = &config.Relay{URL: address, EnrolKey: filepath.Join(filepath.Dir(a.Config), "enrolment.pem")}
	a.Complete()
	for _, ask := range []struct {
		to        *string
		key, text string
	}{
		{&a.Relay.CA, "relay.ca", "file of the authority that certifies the relay"},
		{&a.Relay.Cert, "relay.cert", "file of the archive's client certificate"},
		{&a.Relay.Key, "relay.key", "file of its key"},
		{&a.Relay.HeadKey, "relay.head_key", "file of the relay's signing key"},
		{&a.Relay.EnrolKey, "relay.enrol_key", "file of the hospital's enrolment key"},
	} {
		if err := into(ctx, d, ask.to, Question{Key: ask.key, Text: ask.text, Check: absolute}); err != nil {
			return err
		}
	}
	return nil
}

func (a *Answers) askDirectory(ctx context.Context, d *Dialog) error {
	urls, err := d.Ask(ctx, Question{Key: "directory.urls", Text: "domain controllers", Default: "none", Explain: "Active Directory, from which people and their roles come: ldaps://HOST, several with blanks between. Without it only\naccounts of this machine can use the archive, and nobody over the network."})
	if err != nil || urls == "none" {
		return err
	}
	a.Directory = &config.Directory{URLs: strings.Fields(urls)}
	a.Complete()
	var base string
	for _, ask := range []struct {
		to *string
		q  Question
	}{
		{&a.Directory.CA, Question{Key: "directory.ca", Text: "file of the authority that certifies them", Check: absolute}},
		{&a.Directory.Bind, Question{Key: "directory.bind", Text: "account that reads the directory (UPN or DN)", Check: required, Explain: "An account that may read people and groups, and nothing else: it needs no right to change anything."}},
		{&base, Question{Key: "directory.base", Text: "where people are, as a DN", Check: required, Explain: "For instance OU=Staff,DC=hospital,DC=example"}},
	} {
		if err := into(ctx, d, ask.to, ask.q); err != nil {
			return err
		}
	}
	a.Directory.Base = []string{base}
	return a.askPassword(ctx, d)
}

// askPassword asks for the directory's password, twice, or for a file with it.
func (a *Answers) askPassword(ctx context.Context, d *Dialog) error {
	if err := d.Say("\nIts password goes to %s, and nowhere else. It is not shown.", filepath.Join(a.Credentials, DirectoryFile)); err != nil {
		return err
	}
	for {
		first, err := d.Secret(ctx, "the password", "that account's password (empty: later, or from a file)")
		if err != nil {
			return err
		}
		if len(first) == 0 {
			return into(ctx, d, &a.DirectoryPassword, Question{Key: "directory_password_file", Text: "file with that account's password (empty: later)",
				Explain: "It is copied; delete the original afterwards."})
		}
		again, err := d.Secret(ctx, "the password", "the same again")
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(first, again) == 1 {
			a.password = first
			return nil
		}
		if err := d.Say("  The two are not the same."); err != nil {
			return err
		}
	}
}

func required(s string) error {
	if s == "" {
		return errors.New("there is no default for this")
	}
	return nil
}

func (a *Answers) askHTTPS(ctx context.Context, d *Dialog) error {
	if a.Directory == nil {
		return nil
	}
	name, _ := os.Hostname() // "" asks without a default
	answer, err := d.Ask(ctx, Question{Key: "https.name", Text: "host name for compliance desks (none: not over the network)", Default: name,
		Explain: "Compliance desks log in over HTTPS under this name. A key and a certificate request for it are made; the certificate that\nyour authority signs goes beside them."})
	if err != nil || answer == "" || answer == "none" {
		return err
	}
	a.HTTPS = &HTTPS{Name: answer}
	a.Complete()
	return into(ctx, d, &a.HTTPS.Listen, Question{Key: "https.listen", Text: "address to listen at", Check: checkListen})
}

func (a *Answers) askAdministrator(ctx context.Context, d *Dialog) error {
	explain := "The first administrator, who configures and sees no message. An account of this machine"
	if a.Directory != nil {
		group, err := d.Ask(ctx, Question{Key: "administrator.group", Text: "the directory's group of administrators (empty: none)",
			Explain: "The first administrator, who configures and sees no message: a group of the directory, or else an account of this machine."})
		if err != nil {
			return err
		}
		a.Administrator.Group, explain = group, "And an account of this machine, for when the directory does not answer"
	}
	return into(ctx, d, &a.Administrator.Account, Question{Key: "administrator.account", Text: "account (empty: root alone)", Default: os.Getenv("SUDO_USER"), Explain: explain + ":",
		Check: func(s string) error {
			_, _, err := Administrator{Account: s}.uid()
			return err
		}})
}

func (a *Answers) askOperations(ctx context.Context, d *Dialog) error {
	optional := func(s string) error {
		if s == "" {
			return nil
		}
		return absolute(s)
	}
	for _, ask := range []struct {
		to *string
		q  Question
	}{
		{&a.Backup.To, Question{Key: "backup.to", Text: "folder for backups (empty: later)", Check: optional, Explain: "On another disk or machine, mounted here. Backups hold no key."}},
		{&a.Backup.KeysTo, Question{Key: "backup.keys_to", Text: "folder for the copy of the keyring (empty: later)", Check: optional, Explain: "The keyring, sealed to the recovery kit: on another medium than the backups."}},
	} {
		if err := into(ctx, d, ask.to, ask.q); err != nil {
			return err
		}
	}
	return nil
}

func (a *Answers) askStart(ctx context.Context, d *Dialog) (err error) {
	if CanStart() {
		a.Start, err = d.Yes(ctx, Question{Key: "start", Text: "start the daemon now, and at every boot", Default: "yes"})
		if err != nil {
			return err
		}
	}
	sure, err := d.Yes(ctx, Question{Key: "go on", Text: "make the archive", Default: "yes",
		Explain: fmt.Sprintf("Archive %s in %s, master key kept as %s, kit of %d of %d shares, configuration %s.", a.ArchiveID, a.Data, a.Master.Kind, a.Kit.Needed, a.Kit.Shares, a.Config)})
	if err == nil && !sure {
		err = ErrNothing
	}
	return err
}

// machineZone returns the machine's time zone by name; UTC where it is not
// known.
func machineZone() string {
	target, err := os.Readlink("/etc/localtime")
	if err == nil {
		if _, name, ok := strings.Cut(target, "zoneinfo/"); ok {
			if _, err := time.LoadLocation(name); err == nil && !strings.HasPrefix(name, "Etc/") {
				return name
			}
		}
	}
	return "UTC"
}

// machineDomain returns the machine's domain, "" where it has none.
func machineDomain() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	_, domain, _ := strings.Cut(strings.ToLower(name), ".")
	if !envelope.ValidArc(domain) {
		return ""
	}
	return domain
}
