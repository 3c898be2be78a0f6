package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"
)

// product is a package before it is a deb or an rpm.
type product struct {
	name        string // the program's too
	description string // its first line is the summary
	section     string
	entries     []entry
	debNeeds    []string
	debLikes    []string
	rpmNeeds    []string
	rpmLikes    []string
	scripts     map[string]nfpm.Scripts // by format, paths below the tree
}

const clientText = `client of the Holdfast message archive
Holdfast is the message archive that stays in the hospital's own hands. This
is its command line for compliance staff: search, show, export, hold, dispose,
and verify productions and certificates, on the archive's machine or over
HTTPS from a desk. It opens no data file and needs no daemon to verify.`

const daemonText = `message archive that stays in the hospital's own hands
Holdfast pulls end-to-end-encrypted copies of every secure text from the
vendor's relay, opens them with a key that only the hospital holds, and keeps
them in an append-only, hash-chained archive under retention schedules and
legal holds. This is its daemon, with backup, restore and checks.
Installing it starts nothing: "holdfastd init" makes an archive.`

// newProducts are the packages: the client, and the daemon, which needs the
// client of the same version beside it.
func newProducts(version string) []product {
	same := version + "-" + revision
	return []product{
		{name: "holdfast", section: "utils", description: clientText, entries: clientTree},
		{
			name: "holdfastd", section: "net", description: daemonText, entries: daemonTree,
			debNeeds: []string{"holdfast (= " + same + ")", "systemd (>= 247)"},
			debLikes: []string{"ca-certificates", "chrony | time-daemon"},
			rpmNeeds: []string{"holdfast = " + same, "systemd >= 247"},
			rpmLikes: []string{"ca-certificates", "chrony"},
			scripts: map[string]nfpm.Scripts{
				"deb": {PostInstall: "deb-postinst", PreRemove: "deb-prerm", PostRemove: "deb-postrm"},
				"rpm": {PostInstall: "rpm-post", PreRemove: "rpm-preun", PostRemove: "rpm-postun"},
			},
		},
	}
}

// info makes p a package of a format for arch. Its files that are made here
// are put into the folder stage.
func (p product) info(o options, format, arch, stage string) (*nfpm.Info, error) {
	when := time.Unix(o.epoch, 0).UTC()
	info := &nfpm.Info{
		Name: p.name, Arch: arch, Platform: "linux", Version: o.version, VersionSchema: "none", Release: revision,
		Section: p.section, Priority: "optional", Maintainer: maintainer, Vendor: "Holdfast", License: "Apache-2.0",
		Description: p.description, DisableGlobbing: true, MTime: when, Changelog: filepath.Join(o.stage, "changelog.yaml"),
	}
	// Otherwise it would be the host that built it.
	info.RPM.BuildHost = "holdfast.invalid"
	// The default, the best that there is, takes three times as long for a percent or two.
	info.Deb.Compression, info.RPM.Compression = "gzip:6", "gzip:6"
	info.RPM.Summary = summary(p.description)
	info.Depends, info.Recommends = p.debNeeds, p.debLikes
	if format == "rpm" {
		info.Depends, info.Recommends = p.rpmNeeds, p.rpmLikes
		_, info.Description, _ = strings.Cut(p.description, "\n")
		if p.scripts["rpm"].PostInstall != "" {
			info.RPM.Requires.Post = []string{"systemd", "coreutils"}
		}
		info.Contents = ownFolders(p.entries, when)
	}
	info.Scripts = p.scripts[format]
	for _, script := range []*string{&info.Scripts.PreInstall, &info.Scripts.PostInstall, &info.Scripts.PreRemove, &info.Scripts.PostRemove} {
		if *script != "" {
			*script = filepath.Join(o.tree, "packaging/scripts", *script)
		}
	}
	for i, e := range p.entries {
		if e.only != "" && e.only != format {
			continue
		}
		source := filepath.Join(stage, fmt.Sprintf("%s-%s-%d", p.name, format, i))
		text := e.text
		if e.source != "" {
			var err error
			if text, err = readText(o.tree, e.source); err != nil {
				return nil, err
			}
		}
		if err := os.WriteFile(source, text, 0o600); err != nil {
			return nil, err
		}
		c := &files.Content{Source: source, Destination: e.destination(), FileInfo: &files.ContentFileInfo{Mode: 0o644, MTime: when, Owner: "root", Group: "root"}}
		if e.mode != 0 {
			c.FileInfo.Mode = os.FileMode(e.mode)
		}
		if format == "rpm" {
			c.Type = map[kind]string{docFile: files.TypeRPMDoc, licenceFile: files.TypeRPMLicence}[e.kind]
		}
		info.Contents = append(info.Contents, c)
	}
	return info, nil
}

// ownFolders are the folders that nobody but us has files in. rpm removes with
// a package only those that are in it; dpkg removes every empty one.
func ownFolders(entries []entry, when time.Time) files.Contents {
	seen := map[string]bool{}
	var out files.Contents
	for _, e := range entries {
		for dir := path.Dir(e.destination()); strings.Contains(dir, "/holdfast") && e.only != "deb"; dir = path.Dir(dir) {
			if !seen[dir] {
				seen[dir] = true
				out = append(out, &files.Content{Destination: dir, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o755, MTime: when, Owner: "root", Group: "root"}})
			}
		}
	}
	return out
}

// summary is the first line of a description, as rpm likes it: with a capital.
func summary(description string) string {
	line, _, _ := strings.Cut(description, "\n")
	return strings.ToUpper(line[:1]) + line[1:]
}
