package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// sha256sum checks the production's sums with the machine's own tool: the
// formats are open.
func (d *demo) sha256sum(ctx context.Context) error {
	c := exec.CommandContext(ctx, "sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS")
	c.Dir = d.path("production")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("sha256sum: %w\n%s", err, out)
	}
	return nil
}

// report is what the demo reads of a check of a store.
type report struct {
	OK       bool   `json:"ok"`
	Size     uint64 `json:"size"`
	Bodies   uint64 `json:"bodies"`
	Findings []struct {
		Seq  uint64 `json:"seq"`
		What string `json:"what"`
	} `json:"findings"`
}

func (r *report) sound() error {
	if !r.OK || len(r.Findings) > 0 || r.Bodies == 0 {
		return fmt.Errorf("%d findings in %d entries with %d bodies: %+v", len(r.Findings), r.Size, r.Bodies, r.Findings)
	}
	return nil
}

func (d *demo) verifyLive(ctx context.Context) error {
	var r report
	if err := d.holdfast(ctx, &r, "verify"); err != nil {
		return err
	}
	if err := r.sound(); err != nil {
		return err
	}
	return d.say("Had the daemon check its whole store: %d entries and %d bodies against the chain, the tree and the signed checkpoints. All hold.", r.Size, r.Bodies)
}

func (d *demo) stop(context.Context) error {
	for _, p := range []*process{d.daemon, d.relay} {
		if err := p.stop(); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(d.path("socket")); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the daemon left its socket behind")
	}
	return d.say("Stopped the daemon and the relay with SIGTERM; both ended cleanly.")
}

func (d *demo) verifyOffline(ctx context.Context) error {
	// Out of the way, as on another machine.
	away := d.path("away")
	if err := os.Rename(d.path("data"), away); err != nil {
		return err
	}
	var v struct {
		Result   string `json:"result"`
		Records  int    `json:"records"`
		Verified int    `json:"verified"`
	}
	if err := d.askJSON(ctx, &v, 0, "holdfast", "verify", d.path("production"), "--log-key", d.path("log.key"), "--format", "json"); err != nil {
		return err
	}
	if v.Result != "verified" || v.Records != d.exported || v.Verified != d.exported {
		return fmt.Errorf("%q: %d of %d records verified, %d were exported", v.Result, v.Verified, v.Records, d.exported)
	}
	d.verified = v.Verified
	if err := os.Rename(away, d.path("data")); err != nil {
		return err
	}
	return d.say("Verified the export offline, with the daemon stopped and the data directory gone: %d of %d messages stood in the log as exported, signed by their senders' devices.", d.verified, d.exported)
}

func (d *demo) verifyCopy(ctx context.Context) error {
	if err := os.CopyFS(d.path("copy"), os.DirFS(d.path("data"))); err != nil {
		return err
	}
	var r report
	if err := d.askJSON(ctx, &r, 0, "holdfastd", "verify", "--data", d.path("copy"), "--format", "json"); err != nil {
		return err
	}
	if err := r.sound(); err != nil {
		return err
	}
	return d.say("Copied the stopped store and verified the copy: all %d entries hold.", r.Size)
}

func (d *demo) verifyAltered(ctx context.Context) error {
	seq, text, err := d.exportedEntry()
	if err != nil {
		return err
	}
	leaf, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	at := len(leaf) / 2
	flipped := 0
	err = everyFile(d.path("copy/log"), func(path string) error {
		n, err := flip(path, leaf, at)
		flipped += n
		return err
	})
	if err != nil {
		return err
	}
	if flipped == 0 {
		return fmt.Errorf("the log does not hold the leaf of entry %d as its proof has it", seq)
	}
	var r report
	const damaged = 65
	if err := d.askJSON(ctx, &r, damaged, "holdfastd", "verify", "--data", d.path("copy"), "--format", "json"); err != nil {
		return err
	}
	if r.OK || len(r.Findings) == 0 || r.Findings[0].Seq != seq {
		return fmt.Errorf("one bit of entry %d was flipped, and verify found %+v", seq, r.Findings)
	}
	return d.say("Flipped one bit of entry %d in the copy's log. Verify names it: entry %d: %s.", seq, r.Findings[0].Seq, r.Findings[0].What)
}

// flip inverts the lowest bit of byte at of each place where the file holds
// want. The store keeps former versions of its pages, so there may be several.
func flip(path string, want []byte, at int) (int, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // #nosec G304 -- our own temporary directory
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return 0, err
	}
	n := 0
	for from := 0; ; n++ {
		i := bytes.Index(b[from:], want)
		if i < 0 {
			return n, nil
		}
		place := from + i + at
		if _, err := f.WriteAt([]byte{b[place] ^ 1}, int64(place)); err != nil {
			return n, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		from += i + 1
	}
}
