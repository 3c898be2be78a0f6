package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/rpm"
	"github.com/spf13/cobra"

	holdfast "holdfast/cmd/holdfast/command"
	holdfastd "holdfast/cmd/holdfastd/command"
)

// formats are those of the packages.
var formats = []struct {
	name     string
	packager nfpm.Packager
}{{"deb", deb.Default}, {"rpm", rpm.DefaultRPM}}

// sums is the file with everything's hashes, for `sha256sum -c`.
const sums = "SHA256SUMS"

// makeAll makes the packages of every architecture and what goes beside them.
// A file is written whole under another name first, so that one with a
// package's name is a package.
func makeAll(ctx context.Context, o options) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil { // #nosec G301 -- packages are for everybody
		return err
	}
	if err := writeChangelog(o.tree, filepath.Join(o.stage, "changelog.yaml"), o.version, o.epoch); err != nil {
		return err
	}
	shared, err := sharedEntries(o)
	if err != nil {
		return err
	}
	var lines []string
	put := func(name string, text []byte) error {
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(text), name))
		return o.put(name, text)
	}
	for _, arch := range o.archs {
		if err := makeArch(ctx, o, arch, shared, put); err != nil {
			return err
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })
	list := []byte(strings.Join(lines, ""))
	if err := o.put(sums, list); err != nil || o.sign == nil {
		return err
	}
	signature, err := o.sign.armored(bytes.NewReader(list))
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	return o.put(sums+".asc", signature)
}

func (o options) put(name string, text []byte) error {
	path := filepath.Join(o.out, name)
	if err := os.WriteFile(path+".part", text, 0o644); err != nil { // #nosec G306 -- likewise
		return err
	}
	if err := os.Rename(path+".part", path); err != nil {
		return err
	}
	o.announce(path)
	return nil
}

func makeArch(ctx context.Context, o options, arch string, shared map[string][]entry, put func(string, []byte) error) error {
	stage := filepath.Join(o.stage, arch)
	if err := os.Mkdir(stage, 0o700); err != nil {
		return err
	}
	if err := compile(ctx, o.tree, stage, arch, o.program); err != nil {
		return err
	}
	for _, p := range newProducts(o.version) {
		own, bill, err := builtEntries(ctx, o, p.name, arch, stage)
		if err != nil {
			return err
		}
		if err := put(fmt.Sprintf("%s_%s_%s.cdx.json", p.name, o.version, arch), bill); err != nil {
			return err
		}
		p.entries = slices.Concat(p.entries, shared[p.name], own)
		if err := pack(o, p, arch, stage, put); err != nil {
			return err
		}
	}
	return nil
}

// pack makes a product's packages of every format.
func pack(o options, p product, arch, stage string, put func(string, []byte) error) error {
	for _, f := range formats {
		info, err := p.info(o, f.name, arch, stage)
		if err != nil {
			return err
		}
		if o.sign != nil {
			info.Deb.Signature.SignFn = o.sign.armored
			info.RPM.Signature.SignFn = o.sign.binary
		}
		name := f.packager.ConventionalFileName(info)
		var b bytes.Buffer
		if err := f.packager.Package(info, &b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := put(name, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// builtEntries are a package's files that depend on the architecture, and the
// bill of materials, which is one of them.
func builtEntries(ctx context.Context, o options, program, arch, stage string) ([]entry, []byte, error) {
	path := filepath.Join(stage, program)
	binary, err := os.ReadFile(path) // #nosec G304 -- built a moment ago
	if err != nil {
		return nil, nil, err
	}
	notices, err := readNotices(ctx, o.tree, arch, program)
	if err != nil {
		return nil, nil, err
	}
	bill, err := billOf(path, o.version, o.epoch, notices)
	if err != nil {
		return nil, nil, err
	}
	text := noticeText(notices)
	small, err := compressed(text)
	if err != nil {
		return nil, nil, err
	}
	return []entry{
		{dest: "/usr/bin/" + program, text: binary, mode: 0o755},
		{dest: docs + program + "/" + program + ".cdx.json", text: bill, kind: docFile},
		{dest: docs + program + "/THIRD-PARTY-NOTICES.gz", text: small, only: "deb"},
		{dest: "/usr/share/licenses/" + program + "/THIRD-PARTY-NOTICES", text: text, kind: licenceFile, only: "rpm"},
	}, bill, nil
}

// sharedEntries are the files of each package that are the same on every
// architecture and made here: manual pages, completions and its own licence.
func sharedEntries(o options) (map[string][]entry, error) {
	licence, err := readText(o.tree, "LICENSE")
	if err != nil {
		return nil, err
	}
	config := [2]string{"/etc/holdfast/holdfastd.toml", "The daemon's configuration; `holdfastd init` writes it."}
	pages := map[string]manual{
		"holdfast": {section: 1, also: []string{"holdfastd(8)"}},
		"holdfastd": {section: 8, also: []string{"holdfast(1)", "holdfastd.toml(5)"}, files: [][2]string{config,
			{"/etc/holdfast/credentials", "The master key and passwords, for root alone; systemd hands them to the daemon."},
			{"/var/lib/holdfast", "The archive."},
			{"/usr/share/doc/holdfastd", "The operations guide, alert rules, a dashboard and examples."}}},
	}
	out := map[string][]entry{}
	for name, root := range map[string]*cobra.Command{"holdfast": holdfast.Root(), "holdfastd": holdfastd.Root()} {
		m := pages[name]
		m.version, m.day = o.version, day(o.epoch)
		texts, err := m.pages(root)
		if err != nil {
			return nil, err
		}
		var list []entry
		for file, text := range texts {
			list = append(list, entry{dest: fmt.Sprintf("/usr/share/man/man%d/%s", m.section, file), text: text, kind: docFile})
		}
		completions, err := completionEntries(name, root)
		if err != nil {
			return nil, err
		}
		list = append(list, completions...)
		list = append(list,
			entry{dest: docs + name + "/copyright", text: []byte(copyright), only: "deb"},
			entry{dest: "/usr/share/lintian/overrides/" + name, text: []byte(strings.ReplaceAll(overrides, "PACKAGE", name)), only: "deb"},
			entry{dest: "/usr/share/licenses/" + name + "/LICENSE", text: licence, kind: licenceFile, only: "rpm"})
		slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.dest, b.dest) })
		out[name] = list
	}
	example, err := readText(o.tree, "packaging/holdfastd.toml.example")
	if err != nil {
		return nil, err
	}
	page, err := compressed(configPage(example, o))
	out["holdfastd"] = append(out["holdfastd"], entry{dest: "/usr/share/man/man5/holdfastd.toml.5.gz", text: page, kind: docFile})
	return out, err
}

// copyright is the file that Debian's policy asks for (section 12.5).
const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Holdfast
Comment: What others wrote and the program contains is named, with its
 licences, in THIRD-PARTY-NOTICES.gz in this folder.

Files: *
Copyright: 2026 The Holdfast authors
License: Apache-2.0
 On Debian systems the full text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
`

// overrides are what lintian is told not to mind, with why.
const overrides = `# Static on purpose: the same program runs on every distribution, and no library of the host's is in the way of its keys.
PACKAGE: statically-linked-binary [usr/bin/PACKAGE]
# Never uploaded to Debian, whose bug of the intent to package it would close.
PACKAGE: initial-upload-closes-no-bugs [usr/share/doc/PACKAGE/changelog.Debian.gz:1]
`

// completionEntries are the completions of the shells that have folders for them.
func completionEntries(name string, root *cobra.Command) ([]entry, error) {
	var out []entry
	for _, s := range []struct {
		dest, only string
		write      func(io.Writer) error
	}{
		{"/usr/share/bash-completion/completions/" + name, "", func(w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
		{"/usr/share/zsh/vendor-completions/_" + name, "deb", root.GenZshCompletion},
		{"/usr/share/zsh/site-functions/_" + name, "rpm", root.GenZshCompletion},
		{"/usr/share/fish/vendor_completions.d/" + name + ".fish", "", func(w io.Writer) error { return root.GenFishCompletion(w, true) }},
	} {
		var b bytes.Buffer
		if err := s.write(&b); err != nil {
			return nil, err
		}
		out = append(out, entry{dest: s.dest, text: b.Bytes(), only: s.only})
	}
	return out, nil
}

// configPage is the manual page of the configuration: the example, which says
// of each key what it means.
func configPage(example []byte, o options) []byte {
	var p page
	p.begin("holdfastd.toml", 5, day(o.epoch), o.version)
	p.section("NAME")
	p.line(`holdfastd.toml \- configuration of holdfastd`)
	p.section("DESCRIPTION")
	p.text("The daemon reads /etc/holdfast/holdfastd.toml, which is written in TOML. An unknown key, a missing one or one out of its range refuses the start.\n" +
		"`holdfastd init` writes the file, and `holdfastd check-config` reads it as the daemon would. A relative path starts at the file's own folder. This is every key there is:")
	p.verbatim(strings.Split(strings.TrimRight(string(example), "\n"), "\n"))
	p.section("SEE ALSO")
	p.line(".BR holdfastd (8)")
	return p.Bytes()
}
