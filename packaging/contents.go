package main

import (
	"bytes"
	"compress/gzip"
	"path/filepath"
	"strings"
	"time"
)

// The kinds of a package's files, where rpm tells them apart.
type kind int

const (
	plainFile kind = iota
	docFile
	licenceFile
)

// entry is a file of a package: from the tree, by its path there, or made here.
// Every file of every package stands in a list below: nothing gets in by lying
// in a folder.
type entry struct {
	dest   string
	source string // path below the tree's top
	text   []byte // instead of source
	mode   uint32
	kind   kind
	only   string // "deb" or "rpm"; "" is both
}

const docs = "/usr/share/doc/"

// daemonTree are holdfastd's files that lie in the tree as they are packaged.
var daemonTree = []entry{
	{dest: "/usr/lib/systemd/system/", source: "systemd/holdfastd.service"},
	{dest: "/usr/lib/systemd/system/", source: "systemd/holdfastd-backup.service"},
	{dest: "/usr/lib/systemd/system/", source: "systemd/holdfastd-backup.timer"},
	{dest: "/usr/lib/systemd/system/", source: "systemd/holdfastd-drill.service"},
	{dest: "/usr/lib/systemd/system/", source: "systemd/holdfastd-drill.timer"},
	{dest: "/usr/lib/systemd/system/", source: "systemd/holdfast-master.socket"},
	{dest: "/usr/lib/systemd/system/", source: "systemd/holdfast-master@.service"},
	{dest: "/usr/lib/systemd/system-preset/", source: "systemd/preset/90-holdfast.preset"},
	{dest: "/usr/lib/sysusers.d/", source: "systemd/sysusers.d/holdfast.conf"},
	{dest: "/usr/lib/tmpfiles.d/", source: "systemd/tmpfiles.d/holdfast.conf"},
	{dest: "/usr/libexec/holdfast/", source: "packaging/scripts/upkeep", mode: 0o755},

	{dest: docs + "holdfastd/", source: "packaging/OPERATIONS.md", kind: docFile},
	{dest: docs + "holdfastd/", source: "packaging/holdfastd.toml.example", kind: docFile},
	{dest: docs + "holdfastd/watch/", source: "packaging/watch/RUNBOOK.md", kind: docFile},
	{dest: docs + "holdfastd/watch/", source: "packaging/watch/alerts.rules.yml", kind: docFile},
	{dest: docs + "holdfastd/watch/", source: "packaging/watch/dashboard.json", kind: docFile},
	{dest: docs + "holdfastd/examples/", source: "systemd/examples/network.conf", kind: docFile},
	{dest: docs + "holdfastd/examples/", source: "systemd/examples/paths.conf", kind: docFile},
	{dest: docs + "holdfastd/examples/", source: "systemd/examples/slow-disk.conf", kind: docFile},
	// What a stranger needs to read the archive and the relay's protocol without us.
	{dest: docs + "holdfastd/formats/archive.md", source: "archive/FORMAT.md", kind: docFile},
	{dest: docs + "holdfastd/formats/index.md", source: "archive/search/FORMAT.md", kind: docFile},
	{dest: docs + "holdfastd/formats/relay.md", source: "ingest/AMX.md", kind: docFile},
}

// clientTree are those of holdfast: what its productions and certificates look
// like, for whoever verifies one.
var clientTree = []entry{
	{dest: docs + "holdfast/formats/production.md", source: "archive/export/FORMAT.md", kind: docFile},
	{dest: docs + "holdfast/formats/completeness.md", source: "archive/coverage/FORMAT.md", kind: docFile},
	{dest: docs + "holdfast/formats/mail.md", source: "archive/render/mail/FORMAT.md", kind: docFile},
	{dest: docs + "holdfast/formats/page.md", source: "archive/render/page/FORMAT.md", kind: docFile},
	{dest: docs + "holdfast/formats/rsmf.md", source: "archive/render/rsmf/FORMAT.md", kind: docFile},
	{dest: docs + "holdfast/formats/sheet.md", source: "archive/render/sheet/FORMAT.md", kind: docFile},
}

// destination is where e goes: into a folder it keeps its name.
func (e entry) destination() string {
	if strings.HasSuffix(e.dest, "/") {
		return e.dest + filepath.Base(e.source)
	}
	return e.dest
}

// compressed returns text as gzip -9n would, dated by nothing.
func compressed(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// day is the day of a package, as manual pages show it.
func day(epoch int64) string { return time.Unix(epoch, 0).UTC().Format("2 January 2006") }
