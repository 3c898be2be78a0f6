package daemon

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/archive/seal"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/setup"
)

// What was never begun is no verdict on the backups that the configuration
// names: a folder or an id that somebody mistyped goes back to that person, and
// is neither noted as a failure nor an alarm. What the configuration names and
// cannot be used is both.

// elsewhere reports whether a folder was named that is not the configured one.
func elsewhere(given, configured string) bool {
	return given != "" && (configured == "" || filepath.Clean(given) != filepath.Clean(configured))
}

// absent are the errors of a folder that is not there, or not to be used.
var absent = []error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.EROFS}

// about reports whether err is of a file in one of the folders, or on the way to
// it.
func about(err error, folders ...string) bool {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return false
	}
	within := func(path, folder string) bool {
		return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
	}
	return slices.ContainsFunc(folders, func(f string) bool {
		p, f := filepath.Clean(at.Path), filepath.Clean(f)
		return within(p, f) || within(f, p)
	})
}

// mistyped are the folders that the request alone named, of pairs of what it
// named and what the configuration has.
func mistyped(pairs ...[2]string) (out []string) {
	for _, p := range pairs {
		if elsewhere(p[0], p[1]) {
			out = append(out, p[0])
		}
	}
	return out
}

// noBackupVerdict reports whether a backup that failed was never begun, because
// of a folder that the request alone named: not where it is the other one that
// cannot be used, or the archive.
func noBackupVerdict(c config.Backup, req api.BackupRequest, err error) bool {
	named := mistyped([2]string{req.To, c.To}, [2]string{req.KeysTo, c.KeysTo})
	var at *fs.PathError
	switch {
	case len(named) == 0:
		return false
	case isAny(err, backup.ErrInside, backup.ErrRunning), (errors.Is(err, backup.ErrTarget) || isAny(err, absent...)) && about(err, named...):
		return true
	case errors.Is(err, backup.ErrForeign):
		return elsewhere(req.To, c.To)
	case errors.Is(err, backup.ErrTarget) && !errors.As(err, &at):
		// The data folder comes first: once it has its marker, it was taken, and the other one was not.
		if _, none := backup.ReadMarker(cmp.Or(req.To, c.To)); none != nil {
			return elsewhere(req.To, c.To)
		}
		return elsewhere(req.KeysTo, c.KeysTo)
	}
	return false
}

// NoDrillVerdict reports whether a drill that failed was never begun, because of
// what the request alone named; kit says that shares were given with it.
func NoDrillVerdict(c *config.Config, req api.DrillRequest, kit bool, err error) bool {
	from, keys, temp := elsewhere(req.From, c.Backup.To), elsewhere(req.KeysFrom, c.Backup.KeysTo), req.Temp != ""
	named := mistyped([2]string{req.From, c.Backup.To}, [2]string{req.KeysFrom, c.Backup.KeysTo}, [2]string{req.Temp})
	var unknown *backup.UnknownError
	switch {
	case isAny(err, api.ErrBackupFolders, api.ErrDrillRunning), errors.As(err, &unknown):
		return true
	case errors.Is(err, ErrCredential) && errors.Is(err, fs.ErrPermission):
		return true // who is not root tried it
	case from && isAny(err, backup.ErrNoBackup, backup.ErrForeign), keys && errors.Is(err, backup.ErrNoKeys), temp && errors.Is(err, backup.ErrNotEmpty):
		return true
	case kit && isAny(err, archive.ErrKit, seal.ErrShare, setup.ErrGiven):
		return true
	}
	return len(named) > 0 && errors.Is(err, backup.ErrInside) || isAny(err, absent...) && about(err, named...)
}

func isAny(err error, of ...error) bool {
	for _, e := range of {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
