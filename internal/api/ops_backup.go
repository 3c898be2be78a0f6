package api

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/backup"
	"holdfast/internal/role"
)

// CodeBackup is the code of a problem: a backup could not be made where it was
// asked for.
const CodeBackup = "backup"

// Backups makes backups, and keeps account of them and of drills.
type Backups interface {
	// Backup makes one, and notes what came of it.
	Backup(ctx context.Context, req BackupRequest, progress func(Progress)) (*Backup, error)
	// Drill makes a restore drill in the daemon's process, and notes what it came to.
	Drill(ctx context.Context, req DrillRequest, progress func(Progress)) (*Drill, error)
	// Drilled notes what a restore drill came to that another process made.
	Drilled(ctx context.Context, d Drilled) error
	// Backups says what there was.
	Backups(ctx context.Context) (*BackupsResponse, error)
}

// BackupParts are the parts of the server that have to do with backups and drills.
type BackupParts struct{ Backups Backups }

// BackupRequest asks for a backup. Folders are absolute paths on the
// appliance; those that are left out are the configuration's.
type BackupRequest struct {
	To     string `json:"to,omitempty"`
	KeysTo string `json:"keys_to,omitempty"`
}

// Backup is one backup or drill as the log has it.
type Backup struct {
	Seq        uint64    `json:"seq"`  // of its entry
	What       string    `json:"what"` // backup or drill
	At         time.Time `json:"at"`
	ID         string    `json:"id,omitempty"` // of the backup; empty if none was made
	Size       uint64    `json:"size,omitempty"`
	Root       string    `json:"root,omitempty"`
	To         string    `json:"to,omitempty"` // last part of the folder's path
	OK         bool      `json:"ok"`
	ErrorClass string    `json:"error_class,omitempty"`
	Bytes      int64     `json:"bytes,omitempty"`
	MS         int64     `json:"ms"`

	// Of a backup that was just made, and not in the log: how many files it has,
	// what of its bytes was written anew, how many bodies the archive itself could
	// not open, and what was pruned.
	Files   uint64   `json:"files,omitempty"`
	Written int64    `json:"written,omitempty"`
	Damaged uint64   `json:"damaged,omitempty"`
	Pruned  []string `json:"pruned,omitempty"`
}

// DrillRequest asks for a restore drill in the daemon's own process: where the
// master key is in no file, only the daemon has it. Folders are absolute paths
// on the appliance; those that are left out are the configuration's.
type DrillRequest struct {
	From     string `json:"from,omitempty"`
	KeysFrom string `json:"keys_from,omitempty"`
	Backup   string `json:"backup,omitempty"` // its id; empty: the newest
	Temp     string `json:"temp,omitempty"`   // an empty folder; left out: one in the archive's
}

// Drill is a restore drill that came off.
type Drill struct {
	Drilled
	Bodies   uint64 `json:"bodies"`   // of the sample, opened
	Disposed uint64 `json:"disposed"` // of the sample, by certificates
}

// BackupsResponse says which backups and drills there were, the newest first,
// and how they stand.
type BackupsResponse struct {
	LastBackup  *Backup  `json:"last_backup,omitempty"`  // that came off
	LastDrill   *Backup  `json:"last_drill,omitempty"`   // likewise
	KeysCurrent *bool    `json:"keys_current,omitempty"` // the keyring's own backup has every key; absent where none is configured
	Running     bool     `json:"running"`
	Backups     []Backup `json:"backups"` // the last 100
}

// Drilled is what a restore drill came to.
type Drilled struct {
	ID         string `json:"id"`
	Size       uint64 `json:"size"`
	Root       string `json:"root"`
	OK         bool   `json:"ok"`
	ErrorClass string `json:"error_class,omitempty"`
	Bytes      int64  `json:"bytes"`
	MS         int64  `json:"ms"`
}

// backupRoutes are the ways to backups and drills.
func (s *Server) backupRoutes() []route {
	return []route{
		{name: "POST /v1/backup/run", answer: s.backupRun, endpoint: role.BackupRun, only: role.ViaSocket},
		{name: "POST /v1/backup/drill", answer: s.backupDrill, endpoint: role.BackupRun, only: role.ViaSocket},
		{name: "POST /v1/backup/drilled", answer: s.backupDrilled, endpoint: role.BackupRun, only: role.ViaSocket},
		{name: "POST /v1/backup/show", answer: s.backupShow, endpoint: role.BackupShow},
	}
}

// backupRun makes a backup. It goes on when the client hangs up.
func (s *Server) backupRun(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req BackupRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if !absolute(req.To, req.KeysTo) {
		return badRequest("a folder that is no absolute path", "give --to and --keys-to as absolute paths on the appliance")
	}
	if s.Backups == nil {
		return notConfigured("backup")
	}
	return s.work(w, r, c, audit.Access{Action: audit.ActionBackup, Target: "run"}, func(ctx context.Context, progress func(Progress)) (*WorkLine, uint64, error) {
		ctx, end := steadfast(ctx)
		defer end()
		made, err := s.Backups.Backup(ctx, req, progress)
		if err != nil {
			return nil, 0, backupProblem(err)
		}
		return &WorkLine{Backup: made}, 1, nil
	})
}

// absolute reports whether each folder that is named is an absolute path.
func absolute(folders ...string) bool {
	for _, f := range folders {
		if f != "" && (!filepath.IsAbs(f) || filepath.Clean(f) != f || len(f) > 4096 || strings.ContainsFunc(f, func(r rune) bool { return r < ' ' })) {
			return false
		}
	}
	return true
}

// backupDrill makes a restore drill. It ends when the client hangs up.
func (s *Server) backupDrill(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req DrillRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if !absolute(req.From, req.KeysFrom, req.Temp) {
		return badRequest("a folder that is no absolute path", "give --from, --keys-from and --temp as absolute paths on the appliance")
	}
	if _, _, err := backup.ParseID(req.Backup); req.Backup != "" && err != nil {
		return badRequest("a name that no backup has", "`holdfastd backup list` names them")
	}
	if s.Backups == nil {
		return notConfigured("backup")
	}
	return s.work(w, r, c, audit.Access{Action: audit.ActionBackup, Target: "drill"}, func(ctx context.Context, progress func(Progress)) (*WorkLine, uint64, error) {
		made, err := s.Backups.Drill(ctx, req, progress)
		if err != nil {
			return nil, 0, drillProblem(err)
		}
		return &WorkLine{Drill: made}, 1, nil
	})
}

// drillProblem says what to do about a drill that found something. What these
// errors say is free of content.
func drillProblem(err error) error {
	p := &Problem{Title: "the backup was not shown to be good", Status: http.StatusConflict, Detail: err.Error(), Code: CodeBackup, Exit: ExitData,
		Hint: "make another backup with `holdfastd backup`, and drill that; keep the older ones until it came off", err: err}
	switch {
	case errors.Is(err, ErrDrillRunning):
		p.Exit = ExitTemporary
		p.Hint = "wait for it; `holdfastd backup list` shows what came of it"
	case errors.Is(err, ErrBackupFolders), errors.Is(err, backup.ErrNoBackup), errors.Is(err, backup.ErrNoKeys):
		p.Exit = ExitUsage
		p.Hint = "see that both folders of the backups are mounted, and are those of [backup] in the configuration"
	case errors.Is(err, backup.ErrInside):
		p.Exit = ExitUsage
		p.Hint = "give with --temp an empty folder that lies in none of the backup's"
	case errors.Is(err, backup.ErrNotEmpty), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOSPC):
		p.Exit = ExitCreate
		p.Hint = "give with --temp an empty folder with room for the log and the bodies that the daemon's account may write to"
	}
	return p
}

// ErrDrillRunning means that the daemon tries a backup already.
var ErrDrillRunning = errors.New("a restore drill is under way")

// backupProblem says what to do about a backup that was not made. What these
// errors say is free of content.
func backupProblem(err error) error {
	p := &Problem{Title: "no backup was made; those that were there are as they were", Status: http.StatusConflict, Detail: err.Error(), Code: CodeBackup, Exit: ExitCreate,
		Hint: "see that both folders are there, belong to the daemon's account and have room; then run it again", err: err}
	for _, known := range []error{backup.ErrTarget, backup.ErrForeign, backup.ErrNoKeys, backup.ErrKeysUncopied, backup.ErrDamaged, backup.ErrRunning, ErrBackupFolders} {
		if errors.Is(err, known) {
			if known == backup.ErrRunning {
				p.Exit = ExitTemporary
			}
			return p
		}
	}
	if p := problemOf(err); p.Code != CodeInternal {
		return err
	}
	p.Detail, p.Hint = "", "the daemon's log says why: journalctl -u holdfastd; most often a folder is not mounted, is full or is not the daemon's to write to"
	return p
}

// ErrBackupFolders means that nobody said where a backup goes.
var ErrBackupFolders = errors.New("a backup needs two folders: [backup] to and keys_to of the configuration, or --to and --keys-to")

func (s *Server) backupDrilled(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req Drilled
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if _, size, err := backup.ParseID(req.ID); req.ID != "" && (err != nil || size != req.Size) || len(req.Root) > 64 || len(req.ErrorClass) > 32 || req.MS < 0 || req.Bytes < 0 ||
		req.OK != (req.ErrorClass == "") || req.OK && req.ID == "" {
		return badRequest("it is not what a drill comes to", "`holdfastd drill` reports by itself")
	}
	if s.Backups == nil {
		return notConfigured("backup")
	}
	err := s.act(r.Context(), c, audit.ActionBackup, "drilled", "", func(ctx context.Context) (uint64, error) {
		return 1, s.Backups.Drilled(ctx, req)
	})
	if err != nil {
		return err
	}
	return s.replyBackups(w, r)
}

// backupShow names nobody, and is no look.
func (s *Server) backupShow(w http.ResponseWriter, r *http.Request, _ *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Backups == nil {
		return notConfigured("backup")
	}
	return s.replyBackups(w, r)
}

func (s *Server) replyBackups(w http.ResponseWriter, r *http.Request) error {
	out, err := s.Backups.Backups(r.Context())
	if err != nil {
		return err
	}
	return reply(w, out)
}

// Backup has the daemon make a backup. progress, which may be nil, hears how
// far it has come. The daemon goes on with it even when the client is gone.
func (c *Client) Backup(ctx context.Context, req BackupRequest, progress func(Progress)) (*Backup, error) {
	line, err := c.work(ctx, "/v1/backup/run", req, progress)
	if err != nil {
		return nil, err
	}
	return line.Backup, nil
}

// Drill has the daemon make a restore drill in its own process, and note what it
// came to. progress, which may be nil, hears how far it has come.
func (c *Client) Drill(ctx context.Context, req DrillRequest, progress func(Progress)) (*Drill, error) {
	line, err := c.work(ctx, "/v1/backup/drill", req, progress)
	if err != nil {
		return nil, err
	}
	return line.Drill, nil
}

// Drilled tells the daemon what a restore drill came to.
func (c *Client) Drilled(ctx context.Context, d Drilled) (*BackupsResponse, error) {
	return ask[BackupsResponse](ctx, c, http.MethodPost, "/v1/backup/drilled", d)
}

// Backups asks which backups and drills there were.
func (c *Client) Backups(ctx context.Context) (*BackupsResponse, error) {
	return ask[BackupsResponse](ctx, c, http.MethodPost, "/v1/backup/show", struct{}{})
}
