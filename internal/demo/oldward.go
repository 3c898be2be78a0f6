package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// oldWardName is an archive that was filled in 2019 and has stood still since
// (oldward_test.go makes it): what a schedule lets go is years old, and nobody
// can make received times up.
const (
	oldWardName = "ward-2019"
	oldWardPath = "internal/demo/testdata/" + oldWardName + ".tar.gz"
	oldMessages = 90
)

// openOldWard starts a second daemon on that archive, with the same directory.
func (d *demo) openOldWard(ctx context.Context) error {
	old := &demo{
		bin: d.bin, dir: d.path("old"), set: d.set, out: io.Discard, looks: map[string]int{},
		directory: d.directory, apiCert: d.apiCert, apiKey: d.apiKey,
	}
	if err := os.MkdirAll(old.path("credentials"), 0o700); err != nil {
		return err
	}
	if err := unpack(d.oldWard, old.dir); err != nil {
		return err
	}
	password, err := os.ReadFile(d.path("credentials/holdfast.directory"))
	if err != nil {
		return err
	}
	config := fmt.Sprintf("data = %q\nsocket = %q\ncredentials = %q\n\n%s", old.path(oldWardName), old.path("socket"), old.path("credentials"), old.directoryConfig())
	for _, r := range [][2]string{{officers, "records-manager"}, {admins, "approver"}} {
		config += fmt.Sprintf("[[directory.role]]\ngroup = %q\nrole = %q\n\n", r[0], r[1])
	}
	for name, text := range map[string]string{
		"credentials/holdfast.master":    strings.Repeat("0", 64) + "\n",
		"credentials/holdfast.directory": string(password),
		"holdfastd.toml":                 config,
	} {
		if err := os.WriteFile(old.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	d.old = old
	if old.daemon, err = old.launch(ctx, "holdfastd", "serve", "--config", old.path("holdfastd.toml")); err != nil {
		return err
	}
	answers := func(ctx context.Context) (bool, error) {
		_, err := old.status(ctx)
		return err == nil, err
	}
	if err := await(ctx, startWithin, "the second daemon answers at its socket", answers, old.daemon); err != nil {
		return err
	}
	var clock struct {
		Frozen bool `json:"frozen"`
	}
	if err := old.holdfast(ctx, &clock, "clock", "show"); err != nil {
		return err
	}
	if !clock.Frozen {
		return errors.New("an archive that stood still for years does not doubt the clock")
	}
	if err := old.holdfast(ctx, &struct{}{}, "clock", "release", "--today", time.Now().UTC().Format(time.DateOnly), "--reason", reason); err != nil {
		return err
	}
	if err := old.matchPeople(ctx); err != nil {
		return err
	}
	for _, who := range []string{officer, administrator} {
		if err := old.enter(ctx, who); err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
	}
	return d.say("Started a second daemon on an archive of 2019 that has stood still since. It doubted the clock, so that nothing could be disposed of, until a person said which day it is.")
}

// deskJSON is deskOf for a command that prints JSON, which is decoded into v.
func (d *demo) deskJSON(ctx context.Context, v any, who string, code int, args ...string) error {
	out, err := d.deskOf(ctx, who, code, "", args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, v); err != nil {
		return fmt.Errorf("%s did not print the JSON expected: %w", strings.Join(args[:2], " "), err)
	}
	return nil
}

// hold has the officer put a schedule into force and one person's messages
// under hold.
func (d *demo) hold(ctx context.Context) error {
	old := d.old
	text, err := old.ask(ctx, 0, "holdfast", "schedule", "default")
	if err != nil {
		return err
	}
	if err := os.WriteFile(old.path("schedule.toml"), text, 0o600); err != nil {
		return err
	}
	if err := old.deskJSON(ctx, &struct{}{}, officer, 0, "schedule", "apply", old.path("schedule.toml"), "--reason", reason); err != nil {
		return err
	}
	if err := old.deskJSON(ctx, &struct{}{}, officer, 0, "matter", "open", "DEMO-1", "--name", "a complaint", "--reason", reason); err != nil {
		return err
	}
	custodian := old.set.users[1]
	var placed struct {
		Seq   uint64 `json:"seq"`
		State string `json:"state"`
	}
	if err := old.deskJSON(ctx, &placed, officer, 0, "hold", "place", "--matter", "DEMO-1", "--custodian", custodian.Name, "--reason", reason); err != nil {
		return err
	}
	if placed.State != "active" {
		return fmt.Errorf("the hold is %q", placed.State)
	}
	old.held = custodian
	var all, theirs hits
	if err := old.deskJSON(ctx, &all, officer, 0, "search", "sent>=2019-01-01", "--reason", reason, "--limit", "1000"); err != nil {
		return err
	}
	if err := old.deskJSON(ctx, &theirs, officer, 0, "search", "from:"+custodian.User, "--reason", reason, "--limit", "1000"); err != nil {
		return err
	}
	if all.Total != oldMessages || theirs.Total == 0 || theirs.Total == all.Total {
		return fmt.Errorf("the archive of 2019 has %d messages, %d of them the custodian's", all.Total, theirs.Total)
	}
	old.found, old.exported = all.Total, theirs.Total
	return d.say("The officer applied the schedule that ships (seven years), opened a matter and placed a hold on %s, who sent %d of the %d messages.", custodian.Name, theirs.Total, all.Total)
}

// dispose plans, has another person approve, and runs.
func (d *demo) dispose(ctx context.Context) error {
	old := d.old
	var plan struct {
		Seq     uint64 `json:"seq"`
		Request uint64 `json:"request"`
		Total   int    `json:"total"`
		Lines   []struct {
			Entries int `json:"entries"`
		} `json:"lines"`
	}
	if err := old.deskJSON(ctx, &plan, officer, 0, "disposition", "plan", "--reason", reason); err != nil {
		return err
	}
	if plan.Total != old.found-old.exported {
		return fmt.Errorf("%d entries are planned; %d are due and not held", plan.Total, old.found-old.exported)
	}
	months := 0
	for _, l := range plan.Lines {
		if l.Entries > 0 {
			months++
		}
	}
	number := strconv.FormatUint(plan.Seq, 10)
	if _, err := old.deskOf(ctx, officer, exitPermission, "", "disposition", "approve", number, "--reason", reason); err != nil {
		return fmt.Errorf("who planned approved it as well: %w", err)
	}
	if err := old.deskJSON(ctx, &struct{}{}, administrator, 0, "disposition", "approve", number, "--reason", reason); err != nil {
		return err
	}
	var ran struct {
		Gone         int `json:"gone"`
		Certificates []struct {
			Seq      uint64 `json:"seq"`
			Complete bool   `json:"complete"`
		} `json:"certificates"`
	}
	if err := old.deskJSON(ctx, &ran, officer, 0, "disposition", "run", number, "--yes"); err != nil {
		return err
	}
	if ran.Gone != plan.Total || len(ran.Certificates) != months {
		return fmt.Errorf("%d entries are gone with %d certificates; %d in %d months were planned", ran.Gone, len(ran.Certificates), plan.Total, months)
	}
	for _, c := range ran.Certificates {
		old.certificates = append(old.certificates, c.Seq)
	}
	return d.say("Planned the disposition of the %d messages that are due and not held, in %d months. The planner could not approve it; another person did; it was run once.",
		ran.Gone, months)
}

// disposed looks for what was destroyed and for what was held, and verifies.
func (d *demo) disposed(ctx context.Context) error {
	old := d.old
	var left hits
	// The index is being built anew; until then a search scans.
	if err := old.deskJSON(ctx, &left, officer, 0, "search", "sent>=2019-01-01", "--reason", reason, "--limit", "1000"); err != nil {
		return err
	}
	if left.Total != old.exported || len(left.Hits) != old.exported {
		return fmt.Errorf("%d messages are found after the disposition; %d are held", left.Total, old.exported)
	}
	for _, h := range left.Hits {
		if !strings.EqualFold(h.From, old.held.Name) {
			return fmt.Errorf("entry %d is still found, and is not the custodian's", h.Seq)
		}
	}
	var r report
	if err := old.holdfast(ctx, &r, "verify"); err != nil {
		return err
	}
	if err := r.sound(); err != nil {
		return err
	}
	for _, c := range old.certificates {
		number := strconv.FormatUint(c, 10)
		file := old.path("certificate-" + number + ".jws")
		if _, err := old.deskOf(ctx, officer, 0, "", "certificate", "export", number, "--output", file); err != nil {
			return err
		}
		if _, err := old.ask(ctx, 0, "holdfast", "certificate", "verify", file, "--identity", old.path(oldWardName+"/identity.json")); err != nil {
			return err
		}
	}
	if err := old.daemon.stop(); err != nil {
		return err
	}
	return d.say("What is held is still found, the rest is not. The chain still verifies, with all its %d entries, and so do the %d certificates, offline.", r.Size, len(old.certificates))
}

// maxOldFile bounds one file of the archive of 2019, in bytes.
const maxOldFile = 64 << 20

// unpack extracts the archive of 2019 into dir, with the holes of its files.
func unpack(path, dir string) error {
	f, err := os.Open(path) // #nosec G304 -- whoever runs the demo names it
	if err != nil {
		return err
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for files := tar.NewReader(zip); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) || h.Size > maxOldFile {
			return fmt.Errorf("%s has a file that it should not have", path)
		}
		name := filepath.Join(dir, h.Name) // #nosec G305 -- local, as was just checked
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(name, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := unpackFile(name, h, files); err != nil {
			return err
		}
	}
}

// unpackFile writes one file, leaving out what is zero.
func unpackFile(name string, h *tar.Header, r io.Reader) error {
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600) // #nosec G304 -- checked by unpack
	if err != nil {
		return err
	}
	block, zero := make([]byte, 16<<10), make([]byte, 16<<10)
	for at := int64(0); at < h.Size; {
		n, err := io.ReadFull(r, block[:min(int64(len(block)), h.Size-at)])
		if err == nil && !bytes.Equal(block[:n], zero[:n]) {
			_, err = out.WriteAt(block[:n], at)
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
		at += int64(n)
	}
	return errors.Join(out.Truncate(h.Size), out.Close())
}
