package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"holdfast/internal/api"
	"holdfast/internal/durable"
)

// Desk is where a person's login is kept from one command to the next: a file
// login.json below the person's state folder, which says where the server is
// and whom it must prove to be, and the session's token in the keyring of the
// person's desktop or, where none answers, in that file.
type Desk struct {
	Dir     string  // folder of login.json, its own and nobody else's; "" when no folder is known
	Keyring Keyring // nil when there is none
}

// loginFile is the file in the desk's folder.
const loginFile = "login.json"

// maxLogin bounds login.json.
const maxLogin = 64 << 10

// maxAuthority bounds a file of authorities.
const maxAuthority = 1 << 20

// authorityFile are the names of copies of --ca: they are named after their
// content, so that a login and its authorities always belong together.
var authorityFile = regexp.MustCompile(`^authority-[0-9a-f]{32}\.pem$`)

// Where a login's token is.
const (
	inKeyring = "keyring"
	inFile    = "file"
)

// login is the content of login.json. Server, authorities and token are
// written together, so that no token ever goes to a server that did not issue
// it.
type login struct {
	Version int    `json:"v"`               // 1
	Server  string `json:"server"`          // https://HOST:PORT
	CA      string `json:"ca,omitempty"`    // file of the desk's folder with the only authorities for the server, or "" for those of the machine
	Name    string `json:"name,omitempty"`  // with which the person logged in
	Kept    string `json:"kept,omitempty"`  // inKeyring or inFile; "" when logged out
	Token   string `json:"token,omitempty"` // if inFile
}

// systemDesk returns the desk of the person who runs the process: the folder
// holdfast below $XDG_STATE_HOME, or below ~/.local/state (XDG Base Directory
// Specification).
func systemDesk() Desk {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // as the specification has it, a relative path is ignored
		home, err := os.UserHomeDir()
		if err != nil || !filepath.IsAbs(home) {
			return Desk{Keyring: desktopKeyring{}}
		}
		if info, err := os.Stat(home); err != nil || !info.IsDir() { // an account without a home gets none here
			return Desk{Keyring: desktopKeyring{}}
		}
		state = filepath.Join(home, ".local", "state")
	}
	return Desk{Dir: filepath.Join(state, "holdfast"), Keyring: desktopKeyring{}}
}

func (d *Desk) path() string { return filepath.Join(d.Dir, loginFile) }

// read returns the login that is kept, without its token if that is in the
// keyring; nil when there is none. A file that others can read or could have
// written is refused: its token may be known, and its server another's.
func (d *Desk) read() (*login, error) {
	if d.Dir == "" {
		return nil, nil
	}
	if err := ownFolder(d.Dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, unkept(err)
	}
	f, err := os.OpenFile(d.path(), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) // nothing of this name waits: a pipe neither
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, unkept(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unkept(err)
	}
	if !info.Mode().IsRegular() {
		return nil, unkept(fmt.Errorf("%s is not a regular file", d.path()))
	}
	if err := own(d.path(), info, "600"); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxLogin+1))
	if err != nil {
		return nil, unkept(err)
	}
	l, err := parseLogin(b)
	if err != nil {
		return nil, unkept(fmt.Errorf("%s: %w", d.path(), err))
	}
	return l, nil
}

// parseLogin reads login.json.
func parseLogin(b []byte) (*login, error) {
	if len(b) > maxLogin {
		return nil, errors.New("it is too large")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	l := &login{}
	if err := dec.Decode(l); err != nil {
		return nil, errors.New("it is not what `holdfast login` writes") // the decoder's error could quote it
	}
	server, err := serverURL(l.Server)
	switch {
	case l.Version != 1:
		return nil, errors.New("another version of holdfast wrote it")
	case err != nil, server != l.Server, dec.More(),
		l.CA != "" && !authorityFile.MatchString(l.CA), l.Kept != "" && l.Kept != inKeyring && l.Kept != inFile, (l.Kept == inFile) != (l.Token != ""):
		return nil, errors.New("it is not what `holdfast login` writes")
	}
	return l, nil
}

// copyAuthority copies the PEM file ca into the desk's folder, where nobody
// else can exchange it, and returns the copy's name.
func (d *Desk) copyAuthority(ca string) (string, error) {
	problem := func(err error) error {
		return &api.Problem{Title: "the file of the server's authority cannot be read", Detail: err.Error(), Code: api.CodeBadRequest, Exit: api.ExitUsage,
			Hint: "name with --ca the PEM file that the archive's administrator gave out"}
	}
	info, err := os.Stat(ca)
	switch {
	case err != nil:
		return "", problem(err)
	case !info.Mode().IsRegular() || info.Size() > maxAuthority:
		return "", problem(fmt.Errorf("%s is no file of at most %d bytes", ca, maxAuthority))
	}
	b, err := os.ReadFile(ca) // #nosec G304 -- whoever runs the command names it
	if err != nil {
		return "", problem(err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return "", problem(fmt.Errorf("%s holds no certificate in PEM", ca))
	}
	sum := sha256.Sum256(b)
	name := "authority-" + hex.EncodeToString(sum[:16]) + ".pem"
	if err := d.makeOwn(); err != nil {
		return "", err
	}
	// A crash after this leaves a file that no login.json names, which the next login with these authorities takes up.
	if err := durable.Replace(filepath.Join(d.Dir, name), b, 0o600); err != nil {
		return "", unkept(err)
	}
	return name, nil
}

// makeOwn makes the desk's folder where it is missing.
func (d *Desk) makeOwn() error {
	if d.Dir == "" {
		return unkept(errors.New("neither $HOME nor $XDG_STATE_HOME names a folder"))
	}
	if err := makeFolders(d.Dir); err != nil {
		return unkept(err)
	}
	if err := ownFolder(d.Dir); err != nil {
		return unkept(err)
	}
	return nil
}

// save keeps l, durable once it returns. The token goes into the keyring if
// one answers, else into the file.
func (d *Desk) save(ctx context.Context, l login, token string) (*login, error) {
	if err := d.makeOwn(); err != nil {
		return nil, err
	}
	l.Version, l.Kept, l.Token = 1, "", ""
	if token != "" {
		l.Kept, l.Token = inFile, token
		if d.Keyring != nil && d.Keyring.Keep(ctx, l.Server, token) == nil {
			// A crash after this leaves a token in the keyring that no login.json names: it ends with its session.
			l.Kept, l.Token = inKeyring, ""
		}
	}
	b, err := json.MarshalIndent(l, "", "  ")
	if err == nil {
		// A crash here leaves the login of before, or this one.
		err = durable.Replace(d.path(), append(b, '\n'), 0o600)
	}
	if err != nil {
		return nil, unkept(err)
	}
	return &l, nil
}

// token returns the token of a login that was read.
func (d *Desk) token(ctx context.Context, l *login) (string, error) {
	if l.Kept == inFile {
		return l.Token, nil
	}
	if d.Keyring == nil {
		return "", errNoKeyring
	}
	return d.Keyring.Token(ctx, l.Server)
}

// forget takes the token of l away and keeps where the server is, so that the
// next login need not be told.
func (d *Desk) forget(ctx context.Context, l *login) error {
	var err error
	if l.Kept == inKeyring && d.Keyring != nil {
		err = d.Keyring.Forget(ctx, l.Server)
	}
	_, saved := d.save(ctx, *l, "")
	return errors.Join(err, saved)
}

// makeFolders makes dir, and what is missing above it, for the person alone.
func makeFolders(dir string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeFolders(filepath.Dir(dir)); err != nil {
		return err
	}
	return durable.Mkdir(dir, 0o700)
}

// ownFolder refuses a folder into which others can see or write.
func ownFolder(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	}
	return own(dir, info, "700")
}

// own refuses what belongs to somebody else or is open to others.
func own(path string, info fs.FileInfo, mode string) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int64(st.Uid) != int64(os.Geteuid()):
		return &api.Problem{Title: "the saved login is not used", Detail: path + " belongs to another account", Exit: api.ExitPermission,
			Hint: "remove it, and log in again with `holdfast login` under your own account"}
	case info.Mode().Perm()&0o077 != 0:
		return &api.Problem{Title: "the saved login is not used", Detail: fmt.Sprintf("%s is open to other accounts (mode %#o)", path, info.Mode().Perm()),
			Exit: api.ExitPermission, Hint: "run `chmod " + mode + " " + path + "`, then `holdfast logout` and `holdfast login`: somebody may have read the token"}
	}
	return nil
}

// unkept is the problem of a desk that cannot be used.
func unkept(err error) error {
	var own *api.Problem
	if errors.As(err, &own) {
		return own
	}
	return &api.Problem{Title: "the saved login cannot be used", Detail: err.Error(), Exit: api.ExitPermission,
		Hint: "remove login.json and log in again with `holdfast login`, or use --socket on the archive's own machine"}
}

// serverURL checks a server's address and returns it as it is kept:
// https://HOST:PORT.
func serverURL(s string) (string, error) {
	wrong := usage("--server is https://HOST:PORT")
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery ||
		u.Fragment != "" || u.Opaque != "" || (u.Path != "" && u.Path != "/") || strings.ContainsFunc(s, steers) {
		return "", wrong
	}
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return "", wrong
		}
		port = "443"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", wrong
	}
	return "https://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port), nil
}
