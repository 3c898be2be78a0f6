package main

import (
	"context"
	"fmt"
	"os"
)

// backUp has the running daemon make a backup.
func (d *demo) backUp(ctx context.Context) error {
	for _, folder := range []string{"backup", "backup-keys"} {
		if err := os.Mkdir(d.path(folder), 0o700); err != nil {
			return err
		}
	}
	var made struct {
		OK    bool   `json:"ok"`
		Size  uint64 `json:"size"`
		Bytes int64  `json:"bytes"`
	}
	err := d.askJSON(ctx, &made, 0, "holdfastd", "backup", "--config", d.path("holdfastd.toml"), "--to", d.path("backup"), "--keys-to", d.path("backup-keys"), "--json")
	if err != nil {
		return err
	}
	if !made.OK || made.Size == 0 || made.Bytes == 0 {
		return fmt.Errorf("the backup: %+v", made)
	}
	d.backedUp = made.Size
	return d.say("Backed up the running archive: %d entries, %d KB, read back before it counts. The keys went elsewhere, sealed to the recovery kit.", made.Size, made.Bytes>>10)
}

// restore puts the backup back as a stranger to the machine would have to: from
// the two folders and the kit alone.
func (d *demo) restore(ctx context.Context) error {
	var out struct {
		OK     bool   `json:"ok"`
		Report report `json:"report"`
		Times  uint32 `json:"times"`
	}
	err := d.askJSON(ctx, &out, 0, "holdfastd", "restore", "--from", d.path("backup"), "--keys-from", d.path("backup-keys"), "--to", d.path("restored"),
		"--credentials", d.path("restored-credentials"), "--shares", d.path("recovery-kit.txt"), "--json")
	if err != nil {
		return err
	}
	if !out.OK || out.Times != 1 || out.Report.Size != d.backedUp || len(out.Report.Findings) > 0 || out.Report.Bodies == 0 {
		return fmt.Errorf("what was put back: %+v; %d entries were due", out, d.backedUp)
	}
	return d.say("Put the backup back into a new folder with nothing but the two folders and the recovery kit: %d entries and %d bodies, every byte checked, a new master key.",
		out.Report.Size, out.Report.Bodies)
}
