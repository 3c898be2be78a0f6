package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What lies in the tree to be packaged is packaged, and what the lists name lies there.
func TestListsAreTheTree(t *testing.T) {
	var listed []string
	for _, e := range slices.Concat(daemonTree, clientTree) {
		if _, err := os.Stat(filepath.Join("..", e.source)); err != nil {
			t.Errorf("listed and not there: %v", err)
		}
		listed = append(listed, e.source)
	}
	for _, p := range newProducts("1.0") {
		for _, s := range p.scripts {
			for _, name := range []string{s.PreInstall, s.PostInstall, s.PreRemove, s.PostRemove} {
				listed = append(listed, "packaging/scripts/"+name)
			}
		}
	}
	for _, top := range []string{"systemd", "packaging/scripts", "packaging/watch"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name := strings.TrimPrefix(filepath.ToSlash(path), "../")
			if !slices.Contains(listed, name) && !slices.Contains(notPackaged, name) {
				t.Errorf("%s is in no list of contents.go", name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// notPackaged are tests of what is.
var notPackaged = []string{"packaging/watch/alerts.test.yml", "packaging/watch/alerts-days.test.yml", "packaging/watch/alerts-waits.test.yml"}

// Nothing is installed where a site's own files are: a configuration that the
// package had would stop upgrades that nobody attends, and data is init's.
func TestNothingOfTheSites(t *testing.T) {
	for _, e := range slices.Concat(daemonTree, clientTree) {
		if !strings.HasPrefix(e.destination(), "/usr/") {
			t.Errorf("%s is outside of /usr", e.destination())
		}
	}
}

// The units that the scripts stop are those that are packaged.
func TestUpkeepKnowsTheUnits(t *testing.T) {
	script, err := os.ReadFile("scripts/upkeep")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range daemonTree {
		unit := filepath.Base(e.source)
		started := strings.HasSuffix(unit, ".timer") || strings.HasSuffix(unit, ".socket") || unit == "holdfastd.service"
		if strings.Contains(e.dest, "/systemd/system/") && started && !strings.Contains(string(script), unit) {
			t.Errorf("upkeep does not stop %s", unit)
		}
	}
}
