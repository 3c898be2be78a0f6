package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"holdfast/internal/config"
	"holdfast/internal/doctor"
	"holdfast/ldapsync"
)

// packagedCredentials is where the package keeps the files that systemd hands
// to the daemon as credentials.
const packagedCredentials = "/etc/holdfast/credentials" // #nosec G101 -- a folder's name

// CredentialFiles returns the folder of the credentials' files as an
// administrator sees it, who is not given them by systemd.
func CredentialFiles(c *config.Config) string {
	dir := CredentialsDir(c.Credentials, c.Data)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && c.Credentials == "" {
		return packagedCredentials
	}
	return dir
}

// TryDirectory tries the account that reads the directory, whether or not there
// is an archive yet. It changes nothing there.
func TryDirectory(ctx context.Context, c *config.Config) (*doctor.Rights, error) {
	d, credentials := c.Directory, CredentialFiles(c)
	r, err := ldapsync.TryRights(ctx, ldapsync.Options{
		URLs: d.URLs, CA: d.CA, Bind: d.Bind, Base: d.Base, GroupBase: d.GroupBase, Filter: d.Filter, Timeout: d.Timeout.Duration,
		Password: func() (string, error) { return readPassword(credentials) },
	})
	if err != nil {
		return nil, err
	}
	return &doctor.Rights{Person: r.Person, Group: r.Group, Writes: r.Writes}, nil
}
