package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/goreleaser/chglog"
)

// revision is the packages' own, counted anew with each version.
const revision = "1"

// maintainer is whom a package names.
const maintainer = "Holdfast maintainers <maintainers@holdfast.invalid>"

// writeChangelog writes the file of which the packages make their changelogs:
// packaging/changelog.yaml, below the version that is packaged when that is not
// in it yet, as every build between two releases.
func writeChangelog(tree, to, version string, epoch int64) error {
	entries, err := chglog.Parse(filepath.Join(tree, "packaging/changelog.yaml"))
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return fmt.Errorf("packaging/changelog.yaml has no entry")
	}
	if entries[0].Semver != version {
		entries = append(chglog.ChangeLogEntries{{
			Semver: version, Date: time.Unix(epoch, 0).UTC(), Changes: chglog.ChangeLogChanges{{Note: "A build of version " + version + "."}},
		}}, entries...)
	}
	for _, e := range entries {
		e.Semver += "-" + revision
		e.Packager = maintainer
		e.Deb = &chglog.ChangelogDeb{Urgency: "medium", Distributions: []string{"stable"}}
	}
	return entries.Save(to)
}
