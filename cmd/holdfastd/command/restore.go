package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/archive/proof"
	"holdfast/internal/anchor"
	"holdfast/internal/daemon"
	"holdfast/internal/setup"
	"holdfast/retention"
)

type restoreOptions struct {
	from, keys, to, id, credentials, shares, anchor, certificates string
	salvage, json                                                 bool
}

const defaultCredentials = "/etc/holdfast/credentials" // #nosec G101 -- a folder

func newRestore() *cobra.Command {
	var o restoreOptions
	c := &cobra.Command{
		Use:   "restore --from DIR --keys-from DIR --to NEW",
		Short: "Put a backup back into a fresh folder, with the recovery kit",
		Long: `restore puts a backup back as an archive of its own: from the data backup, the
keyring's own backup and the recovery kit alone, into a folder that is empty or
not there yet, never onto an archive. It checks every byte: the manifest's
signature, each file, the chain, the tree, the signed checkpoint, each body and
attachment. Compare the fingerprint that it shows with the one in your papers.

The keyring is written under the master key in --credentials, which is made when
there is none. Give with --anchor the file in which the log was anchored: then
restore says what the backup lacks.

The restored log signs under a name of its own (/r1, /r2, ...) from there on. When
the daemon is started on it, it asks the relay how far the lost archive had come.
If nothing is missing it goes on by itself. Else, and when there is neither relay
nor anchor to ask, nothing is pulled and nothing disposed of until two people say so: holdfast restore show, ask, go-on.`,
		Example: `  holdfastd restore --from /mnt/nas/holdfast --keys-from /mnt/usb/holdfast-keys --to /var/lib/holdfast --anchor /mnt/anchors/holdfast
  holdfastd restore --from /mnt/nas/holdfast --keys-from /mnt/usb/holdfast-keys --to /srv/test --credentials /srv/test-keys --backup 20261122T020000Z-184467 --shares shares.txt --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runRestore(c, o) },
	}
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "folder of the data backup")
	f.StringVar(&o.keys, "keys-from", "", "folder of the keyring's own backup")
	f.StringVar(&o.to, "to", "", "folder of the archive: empty, or not there yet")
	f.StringVar(&o.id, "backup", "", "which backup, as `holdfastd backup list` names it (default: the newest)")
	f.StringVar(&o.credentials, "credentials", defaultCredentials, "folder of the master key; one is made if there is none")
	f.StringVar(&o.shares, "shares", "", "file with the recovery kit's shares, one a line (default: they are asked for)")
	f.StringVar(&o.anchor, "anchor", "", "file in which the log was anchored")
	f.StringVar(&o.certificates, "certificates", "", "folder with certificates of disposition (*.jws) newer than the backup: what they have as destroyed is not missing")
	f.BoolVar(&o.salvage, "salvage", false, "keep what was put back although entries of it are damaged; it may not start")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return c
}

// restored is the result of restore as JSON.
type restored struct {
	OK          bool            `json:"ok"`
	Backup      string          `json:"backup"`
	Created     string          `json:"created"`
	ArchiveID   string          `json:"archive_id"`
	Fingerprint string          `json:"fingerprint"` // of the identity key: the origin's last part
	To          string          `json:"to"`
	Credentials string          `json:"credentials"`
	MasterMade  bool            `json:"master_made"`
	Keyring     uint64          `json:"keyring_generation"`
	Missing     []archive.KeyID `json:"missing_keys,omitempty"`
	Truncated   uint64          `json:"truncated_bodies"`
	Times       uint32          `json:"times"` // N of /rN
	Anchor      anchorUsed      `json:"anchor"`
	Lost        *archive.Lost   `json:"lost,omitempty"`
	Report      *archive.Report `json:"report"`
}

// anchorUsed says whether the backup was held against an anchor, and what that
// stated.
type anchorUsed struct {
	Compared bool   `json:"compared"`
	Size     uint64 `json:"size,omitempty"` // entries of the log that it states
	At       string `json:"at,omitempty"`   // when it was made, RFC 3339
}

func runRestore(c *cobra.Command, o restoreOptions) (err error) {
	for flag, value := range map[string]string{"from": o.from, "keys-from": o.keys, "to": o.to} {
		if value == "" {
			return fmt.Errorf("%w: --%s is missing; see `holdfastd restore --help`", errUsage, flag)
		}
	}
	options := backup.RestoreOptions{From: o.from, Keys: o.keys, To: o.to, Backup: o.id, Salvage: o.salvage, Progress: restoreProgress(c.ErrOrStderr())}
	out := restored{To: o.to, Credentials: o.credentials}
	if options.Anchor, err = out.anchorFrom(o.anchor); err != nil {
		return err
	}
	if err := backup.Apart(o.to, o.from, o.keys); err != nil {
		return err
	}
	// Before anybody is asked to type shares: whose backup it is, and that it can be read.
	_, id, err := backup.Chosen(o.from, o.id)
	if err != nil {
		return err
	}
	if options.Lapsed, err = lapsedBy(o.certificates, id); err != nil {
		return err
	}
	d := kitDialog(c)
	if err := d.Say("backup of the archive %s, fingerprint %s", id.ArchiveID, fingerprint(id)); err != nil {
		return err
	}
	if options.Recovery, err = askKit(c.Context(), d, o.shares); err != nil {
		return err
	}
	if options.Master, out.MasterMade, err = daemon.EnsureMaster(o.credentials); err != nil {
		return err
	}
	taken, err := setup.Take(o.to)
	defer func() { err = errors.Join(err, taken.Back()) }()
	if err != nil {
		return err
	}
	made, err := backup.Restore(c.Context(), options)
	if err != nil {
		return err
	}
	// A crash here leaves an archive that is whole, and does not know yet where its master key lies.
	if err := daemon.LinkCredentials(o.to, o.credentials); err != nil {
		return err
	}
	if _, err := setup.Own(setup.Ownership{Data: o.to}); err != nil {
		return err
	}
	out.OK, out.Backup, out.Created, out.ArchiveID, out.Fingerprint = made.Report.OK(), made.Manifest.ID, made.Manifest.Created, id.ArchiveID, fingerprint(id)
	out.Keyring, out.Missing, out.Truncated, out.Times, out.Lost, out.Report = made.Keyring, made.Missing, made.Truncated, made.Mark.Times(), made.Lost, made.Report
	if o.json {
		err = json.NewEncoder(c.OutOrStdout()).Encode(out)
	} else {
		err = sayRestored(c.OutOrStdout(), &out)
	}
	if err == nil && !out.OK {
		err = errDamage
	}
	return err
}

// fingerprint is what identifies an archive on paper: the last part of its
// origin, in groups of four.
func fingerprint(id *proof.Identity) string {
	hex := id.Origin[strings.LastIndexByte(id.Origin, '/')+1:]
	var groups []string
	for ; len(hex) >= 4; hex = hex[4:] {
		groups = append(groups, hex[:4])
	}
	return strings.Join(groups, " ")
}

// anchorFrom reads the last checkpoint of a file of anchors; nil without one.
func (r *restored) anchorFrom(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	line, err := anchor.Last(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: --anchor: %w; see that its disk is mounted, and name the file of anchor.file; without one leave --anchor out, and nothing is compared", errUsage, err)
	}
	if err != nil {
		return nil, fmt.Errorf("--anchor: %w; name the file of anchor.file, or leave --anchor out, and nothing is compared", err)
	}
	r.Anchor = anchorUsed{Compared: true, Size: line.Size, At: line.At.UTC().Format(time.RFC3339)}
	return []byte(line.Checkpoint), nil
}

// maxCertificate bounds a certificate's file, in bytes.
const maxCertificate = 64 << 20

// lapsedBy reads certificates of disposition; nil without a folder.
func lapsedBy(dir string, id *proof.Identity) (func(file string, l *proof.Leaf) bool, error) {
	if dir == "" {
		return nil, nil
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.jws"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w: --certificates: %s has no file *.jws; `holdfast certificate show --jws` prints one", errUsage, dir)
	}
	var destroyed []func(file string, seq uint64) bool
	for _, path := range paths {
		compact, err := readWhole(path, maxCertificate)
		if err != nil {
			return nil, err
		}
		s, err := retention.VerifyCertificate(compact, id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		of, err := s.Destroyed()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		destroyed = append(destroyed, of)
	}
	return func(file string, l *proof.Leaf) bool {
		for _, of := range destroyed {
			if of(file, l.Seq) {
				return true
			}
		}
		return false
	}, nil
}

func readWhole(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, err
}

func sayRestored(w io.Writer, r *restored) error {
	lines := []string{
		fmt.Sprintf("restored   backup %s of the archive %s, fingerprint %s", r.Backup, r.ArchiveID, r.Fingerprint),
		fmt.Sprintf("checked    %d entries, %d bodies, %d attachments, %d checkpoints", r.Report.Size, r.Report.Bodies, r.Report.Blobs, r.Report.Checkpoints),
		fmt.Sprintf("into       %s, keys under the master key in %s", r.To, r.Credentials),
		fmt.Sprintf("signs as   /r%d beyond entry %d", r.Times, r.Report.Size-1),
		"anchor     " + r.compared(),
	}
	if r.Report.Disposed > 0 {
		lines = append(lines, fmt.Sprintf("disposed   %d entries, by certificates", r.Report.Disposed))
	}
	if r.Lost != nil {
		lines = append(lines, fmt.Sprintf("LOST       entries %d to %d, which were anchored, are not in this backup", r.Lost.From, r.Lost.To-1))
	}
	for _, f := range r.Report.Findings {
		lines = append(lines, fmt.Sprintf("DAMAGED    entry %d: %s", f.Seq, f.What))
	}
	lines = append(lines, "", "next: compare the fingerprint with your papers; set `data` and `credentials` in the configuration; start the daemon; `holdfast restore show`")
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// compared says what holding the backup against an anchor came to.
func (r *restored) compared() string {
	switch {
	case !r.Anchor.Compared:
		return "not compared: without --anchor FILE nothing says whether the log that was lost had more"
	case r.Lost != nil:
		return fmt.Sprintf("compared: the one of %s states %d entries, more than are in this backup", r.Anchor.At, r.Anchor.Size)
	}
	return fmt.Sprintf("compared: all %d entries that the one of %s states are in this backup, unchanged", r.Anchor.Size, r.Anchor.At)
}

// restoreProgress tells a terminal how far it is, on one line.
func restoreProgress(w io.Writer) func(what string, done, total int64) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) { // #nosec G115 -- a descriptor
		return nil
	}
	return func(what string, done, total int64) {
		if _, err := fmt.Fprintf(f, "\r\x1b[K%s: %d %%", what, 100*done/max(total, 1)); err != nil {
			return // the terminal is gone; the restore goes on
		}
	}
}
