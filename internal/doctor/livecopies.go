package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (e *exam) backup() Finding {
	const fix = "Run `holdfastd backup`, and see why the timer does not: systemctl status holdfastd-backup.timer, journalctl -u holdfastd-backup."
	last, _ := e.s.value("holdfast_backup_last_success_timestamp_seconds")
	if !e.Backup && last == 0 {
		return warn("backup", "no backup is configured, and none was made", "Set [backup] to and keys_to to folders on other machines or disks, then `systemctl enable --now holdfastd-backup.timer`.")
	}
	f := e.timed("backup", "backup", last, e.Begun, backupWarning, backupCritical, fix)
	if failed, _ := e.s.value("holdfast_backup_failed"); failed != 0 {
		f.Text, f.Fix = "the last attempt at a backup failed; "+f.Text, fix
		if f.Severity == OK {
			f.Severity = Warning
		}
	}
	return f
}

func (e *exam) keysBackup() Finding {
	const fix = "Run `holdfastd backup --keys-to DIR`, or set [backup] keys_to to a folder on another medium than the data backup. Without a copy of the keyring no backup made since can be read."
	current, ok := e.s.value("holdfast_keys_backup_current")
	switch {
	case !e.KeysBackup && (!ok || current == 0):
		return warn("keys-backup", "the keyring has no backup of its own", fix)
	case current == 0:
		return fatal("keys-backup", "the keyring's own backup lacks keys that are in use", fix)
	}
	return fine("keys-backup", "the keyring's own backup has every key")
}

func (e *exam) drill() Finding {
	const fix = "Run `holdfastd drill`, and see why the timer does not: systemctl status holdfastd-drill.timer, journalctl -u holdfastd-drill."
	if failed, _ := e.s.value("holdfast_drill_failed"); failed != 0 {
		return fatal("drill", "the last restore drill failed: the newest backup may not be worth anything",
			"Run `holdfastd drill` and read what it says; then make a new backup with `holdfastd backup` and drill again.")
	}
	last, _ := e.s.value("holdfast_drill_last_success_timestamp_seconds")
	return e.timed("drill", "restore drill", last, e.Begun, drillWarning, drillCritical, fix)
}

func (e *exam) anchor() Finding {
	const fix = "`holdfast anchors list` shows each place and when it last answered; `holdfast anchors make` tries now. Check the network to it, and whether its file system is mounted."
	failing := e.s.set("holdfast_anchor_failing")
	newest := 0.0
	places := e.s["holdfast_anchor_last_success_timestamp_seconds"]
	for _, place := range slices.Sorted(maps.Keys(places)) {
		newest = max(newest, places[place])
	}
	if !e.Anchor {
		if newest > 0 && len(failing) == 0 {
			return warn("anchor", "the log is anchored by the relay's acks alone", "Configure [anchor] file, a witness or a timestamp on a machine that others administer.")
		}
		return warn("anchor", "the log is anchored nowhere outside this machine", "Configure [anchor] file, a witness or a timestamp on a machine that others administer; then `holdfast anchors make`.")
	}
	if len(failing) > 0 {
		return warn("anchor", fmt.Sprintf("%d of the places where the log is anchored do not answer: %s", len(failing), strings.Join(failing, ", ")),
			fix+" If one says that it saw another log, treat it as an incident: `holdfast alarms list`.").with("failing", float64(len(failing)))
	}
	late := max(3*e.AnchorEvery, anchorWarning)
	return e.timed("anchor", "anchor", newest, latest(e.Begun, e.Started), late, max(late, anchorCritical), fix)
}

func (e *exam) restored() Finding {
	if waiting, _ := e.s.value("holdfast_restored_waiting"); waiting != 0 {
		return fatal("restored", "this archive was restored from an older log: ingest and disposition wait until two people have agreed to go on",
			"`holdfast restore show` says what is lost. Then `holdfast restore ask`, another person's `holdfast requests approve`, and `holdfast restore go-on`.")
	}
	return fine("restored", "no restored log waits for anybody")
}

func (e *exam) disk() Finding {
	if e.Growth == nil {
		return warn("disk", "what is free on the archive's disk could not be found out", "Run `df` on the archive's folder, and see the daemon's log: journalctl -u holdfastd.")
	}
	return e.Growth.Finding()
}
