package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const archiveID = "demo.invalid"

func (d *demo) makeArchive(ctx context.Context) error {
	_, err := d.ask(ctx, 0, "holdfastd", "init", "--data", d.path("data"), "--archive-id", archiveID,
		"--credentials", d.path("credentials"), "--non-interactive", "--recovery-out", d.path("recovery-kit.txt"))
	if err != nil {
		return err
	}
	for _, secret := range []string{"credentials/holdfast.master", "recovery-kit.txt"} {
		info, err := os.Stat(d.path(secret))
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			return fmt.Errorf("%s has mode %o: only its owner may read it", secret, mode)
		}
	}
	return d.say("Made the archive %q: its identity, its keys and an empty log. The master key and the recovery kit lie in files of their own.", archiveID)
}

func (d *demo) makeRelay(ctx context.Context) error {
	table, err := d.ask(ctx, 0, "holdfast-relay", "init", "--dir", d.path("relay"), "--archive-id", archiveID,
		"--identity", d.path("data/identity.json"), "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	config := fmt.Sprintf("data = %q\nsocket = %q\n\n%s\n%s", d.path("data"), d.path("socket"), d.directoryConfig(), table)
	if err := os.WriteFile(d.path("holdfastd.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	return d.say("Made a relay with certificates of its own and a hospital enrolment key, and wrote the daemon's configuration.")
}

func (d *demo) start(ctx context.Context) (err error) {
	// Both outlive the context of one step, but not that of the demo.
	if d.relay, err = d.launch(ctx, "holdfast-relay", "serve", "--dir", d.path("relay")); err != nil {
		return err
	}
	up := func(context.Context) (bool, error) { return strings.Contains(d.relay.logged(), "ready https://"), nil }
	if err := await(ctx, startWithin, "the relay listens", up, d.relay); err != nil {
		return err
	}
	if d.daemon, err = d.launch(ctx, "holdfastd", "serve", "--config", d.path("holdfastd.toml")); err != nil {
		return err
	}
	answers := func(ctx context.Context) (bool, error) {
		_, err := d.status(ctx)
		return err == nil, err
	}
	if err := await(ctx, startWithin, "the daemon answers at its socket", answers, d.daemon, d.relay); err != nil {
		return err
	}
	return d.say("Started the relay (TLS 1.3, both sides with certificates) and the archive's daemon.")
}

// status is what the demo reads of the daemon's status.
type status struct {
	ArchiveID string `json:"archive_id"`
	Size      uint64 `json:"size"`
	Accepting bool   `json:"accepting"`
	Relay     struct {
		Acked   uint64 `json:"acked"`
		High    uint64 `json:"high"`
		Failing string `json:"failing"`
	} `json:"relay"`
	Quarantined uint64 `json:"quarantined"`
	Pending     uint64 `json:"pending_attachments"`
	Alarms      uint64 `json:"open_alarms"`
}

func (d *demo) status(ctx context.Context) (s status, err error) {
	return s, d.holdfast(ctx, &s, "status")
}

func (d *demo) load(ctx context.Context) error {
	var sum struct {
		Messages    int    `json:"messages"`
		Attachments int    `json:"attachments"`
		Devices     int    `json:"devices"`
		Events      uint64 `json:"events"`
	}
	err := d.askJSON(ctx, &sum, 0, "holdfast-relay", "load", "--dir", d.path("relay"), "--format", "json", d.setPath)
	if err != nil {
		return err
	}
	if want := len(d.set.messages); sum.Messages != want {
		return fmt.Errorf("%d messages were loaded, the set has %d", sum.Messages, want)
	}
	d.events = sum.Events
	return d.say("Sent %d invented ward messages of %d people, signed on %d devices and sealed to the archive's key, with %d attachments, through the relay.",
		sum.Messages, len(d.set.users), sum.Devices, sum.Attachments)
}

// relayStatus is how far the relay says the archive has acked.
type relayStatus struct {
	High  uint64 `json:"high"`
	Acked uint64 `json:"acked"`
}

func (d *demo) awaitAck(ctx context.Context) error {
	var at relayStatus
	began := time.Now()
	all := func(ctx context.Context) (bool, error) {
		err := d.askJSON(ctx, &at, 0, "holdfast-relay", "status", "--dir", d.path("relay"), "--format", "json")
		return err == nil && at.High == d.events && at.Acked == d.events, err
	}
	if err := await(ctx, startWithin, "the relay to say that all is acked", all, d.daemon, d.relay); err != nil {
		return fmt.Errorf("%w (%d of %d events acked)", err, at.Acked, at.High)
	}
	waited := time.Since(began).Round(pollEvery)
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	switch {
	case s.ArchiveID != archiveID, !s.Accepting, s.Relay.Failing != "":
		return fmt.Errorf("the daemon is not well: %+v", s)
	case s.Relay.Acked != at.High:
		return fmt.Errorf("the daemon says that %d relay events are acked, the relay says %d", s.Relay.Acked, at.High)
	case s.Quarantined != 0, s.Pending != 0, s.Alarms != 0:
		return fmt.Errorf("%d entries are quarantined, %d attachments pending, %d alarms open; none should be", s.Quarantined, s.Pending, s.Alarms)
	}
	d.archived = len(d.set.messages)
	return d.say("After %v the relay says that all its %d events are acked: they are on the archive's disk. Its log has %d entries, none of them quarantined.", waited, at.High, s.Size)
}

// everyFile calls do for each regular file below dir.
func everyFile(dir string, do func(path string) error) error {
	return filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		return do(path)
	})
}
