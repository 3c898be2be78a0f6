package daemon

import (
	"errors"
	"io/fs"
	"path/filepath"
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

// noBackupVerdict reports whether a backup that failed was never begun, because
// of a folder that the request alone named.
func noBackupVerdict(c config.Backup, req api.BackupRequest, err error) bool {
	if !elsewhere(req.To, c.To) && !elsewhere(req.KeysTo, c.KeysTo) {
		return false
	}
	return isAny(err, backup.ErrTarget, backup.ErrForeign, backup.ErrInside, backup.ErrRunning) || isAny(err, absent...)
}

// NoDrillVerdict reports whether a drill that failed was never begun, because of
// what the request alone named; kit says that shares were given with it.
func NoDrillVerdict(c *config.Config, req api.DrillRequest, kit bool, err error) bool {
	from, keys, temp := elsewhere(req.From, c.Backup.To), elsewhere(req.KeysFrom, c.Backup.KeysTo), req.Temp != ""
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
	return (from || keys || temp) && (errors.Is(err, backup.ErrInside) || isAny(err, absent...))
}

func isAny(err error, of ...error) bool {
	for _, e := range of {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
