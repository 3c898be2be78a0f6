package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// notice is what a part of a program by somebody else is licensed under.
type notice struct {
	name, version string
	ids           []string // SPDX identifiers
	texts         []string
}

// licenceName is how files with licences and notices are called.
var licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)([.\-_].*)?$`)

// fontsOf is the package with which fonts get into a program.
const fontsOf = "holdfast/archive/render/page"

// readNotices reads what the program's parts by others are licensed under: its
// modules, Go itself, and fonts. A part without a licence is an error: it must
// not be handed out.
func readNotices(ctx context.Context, tree, arch, program string) ([]notice, error) {
	text, err := goCommand(ctx, tree, arch, "list", "-deps", "-f", "{{.ImportPath}}\t{{.Dir}}\t{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}", "./cmd/"+program)
	if err != nil {
		return nil, err
	}
	found := map[string]*notice{}
	seen := map[string]bool{}
	fonts := false
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		fonts = fonts || f[0] == fontsOf
		if len(f) != 5 || f[3] == "" {
			continue // of Go itself, or ours
		}
		n := found[f[2]]
		if n == nil {
			n = &notice{name: f[2], version: f[3]}
			found[f[2]] = n
		}
		// Parts of a module may have a licence of their own.
		for dir := f[1]; strings.HasPrefix(dir, f[4]); dir = filepath.Dir(dir) {
			if seen[dir] {
				break
			}
			seen[dir] = true
			if err := n.read(dir); err != nil {
				return nil, err
			}
		}
	}
	out := slices.SortedFunc(maps.Values(found), func(a, b *notice) int { return cmp.Compare(a.name, b.name) })
	own, err := ownNotices(ctx, tree, arch, fonts)
	if err != nil {
		return nil, err
	}
	var list []notice
	for _, n := range append(own, out...) {
		if len(n.texts) == 0 {
			return nil, fmt.Errorf("%s has no licence file: it must not be packaged", n.name)
		}
		if err := n.identify(); err != nil {
			return nil, err
		}
		list = append(list, *n)
	}
	return list, nil
}

// ownNotices are those of what is no module: Go's library and runtime, and the fonts.
func ownNotices(ctx context.Context, tree, arch string, fonts bool) ([]*notice, error) {
	text, err := goCommand(ctx, tree, arch, "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	root, version, _ := strings.Cut(strings.TrimSpace(text), "\n")
	std := &notice{name: "Go's library and runtime", version: version}
	if err := std.read(root); err != nil {
		return nil, err
	}
	if !fonts {
		return []*notice{std}, nil
	}
	face := &notice{name: "fonts DejaVu Sans and Droid Sans Fallback"}
	return []*notice{std, face}, face.read(filepath.Join(tree, "archive/render/page/font"))
}

// read adds the licence files of a folder.
func (n *notice) read(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !f.Type().IsRegular() || !licenceName.MatchString(f.Name()) || strings.HasSuffix(f.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name())) // #nosec G304 -- of a module that is built in
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
		if s := strings.TrimSpace(string(text)); s != "" && !slices.Contains(n.texts, s) {
			n.texts = append(n.texts, s)
		}
	}
	return nil
}

// marks tell licences by what only they say.
var marks = []struct{ id, says string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"Apache-2.0", "http://www.apache.org/licenses/license-2.0"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"Bitstream-Vera", "bitstream vera is a trademark"},
	{"CC0-1.0", "cc0 1.0 universal"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
}

// identify finds out which licences the texts are.
func (n *notice) identify() error {
	for _, text := range n.texts {
		flat := strings.ToLower(strings.Join(strings.Fields(text), " "))
		for _, m := range marks {
			if strings.Contains(flat, m.says) {
				n.ids = append(n.ids, m.id)
			}
		}
		if strings.Contains(flat, "redistribution and use in source and binary forms") {
			id := "BSD-2-Clause"
			if strings.Contains(flat, "neither the name") || strings.Contains(flat, "may not be used to endorse") {
				id = "BSD-3-Clause"
			}
			n.ids = append(n.ids, id)
		}
	}
	slices.Sort(n.ids)
	n.ids = slices.Compact(n.ids)
	if len(n.ids) == 0 {
		return fmt.Errorf("%s: which licence it has is not known: add how to tell it to notices.go", n.name)
	}
	return nil
}

// noticeText is the file of all of them: each text once, under the names of
// what it is about.
func noticeText(list []notice) []byte {
	about := map[string][]string{}
	var order []string
	for _, n := range list {
		for _, t := range n.texts {
			if about[t] == nil {
				order = append(order, t)
			}
			about[t] = append(about[t], strings.TrimSpace(n.name+" "+n.version))
		}
	}
	var b bytes.Buffer
	b.WriteString("What others wrote and this program contains, with its licences.\n")
	for _, t := range order {
		b.WriteString("\n" + strings.Repeat("=", 78) + "\n")
		for _, name := range about[t] {
			b.WriteString(name + "\n")
		}
		b.WriteString("\n" + t + "\n")
	}
	return b.Bytes()
}

// readText reads a file of the tree.
func readText(tree, name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(tree, filepath.FromSlash(name))) // #nosec G304 -- a path from the lists of this package
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing in the tree: it is to be packaged", name)
	}
	return text, err
}
