// Package config reads the daemon's configuration: a TOML file in which an
// unknown key, a missing one or one out of its range refuses the start. It
// holds no secret: keys are named by their files.
//
// internal/daemon and the commands import it; of the project it imports
// internal/role alone. The keys are documented at the fields of Config.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"time"

	"github.com/pelletier/go-toml/v2"

	"holdfast/internal/regular"
)

// Max bounds a configuration file, in bytes.
const Max = 1 << 20

// maxSocket is the longest path of a Unix socket, in bytes (unix(7)).
const maxSocket = 107

// How long a released hold holds, in days.
const (
	defaultGrace = 30
	maxGrace     = 3650
)

// ErrConfig is what every error of Load is.
var ErrConfig = errors.New("configuration")

// Config is the daemon's configuration. A relative path is relative to the
// file's own folder.
type Config struct {
	// Data is the archive's directory, made by `holdfastd init`. Required.
	Data string `toml:"data"`
	// Socket is the Unix socket at which `holdfast` finds the daemon. Required;
	// at most 107 bytes, the kernel's limit.
	Socket string `toml:"socket"`
	// Credentials is the folder of the master key. Default: systemd's
	// $CREDENTIALS_DIRECTORY, else the folder that `init` was given.
	Credentials string `toml:"credentials"`
	// Accounts are the appliance's accounts that may use the socket, with their
	// roles; they also need to be in the socket's group. Without any, and
	// without a directory, root and the daemon's own account hold every role:
	// somebody is trying the archive out. With either, those two are
	// administrators, unless they stand here with other roles.
	Accounts []Account `toml:"account"`
	// LogLevel is debug, info, warn or error. Default: info.
	LogLevel string `toml:"log_level"`
	// TimeZone is the site's, by its IANA name, as America/Chicago: dates in
	// queries and days in productions are those there. Default: UTC.
	TimeZone string `toml:"time_zone"`
	// Disk says how the archive's disk is guarded.
	Disk Disk `toml:"disk"`
	// Relay is the relay to pull from. Without it the daemon serves what the
	// archive holds and pulls nothing.
	Relay *Relay `toml:"relay"`
	// Directory is the Active Directory that people and roles come from.
	// Without it nobody can log in over HTTPS.
	Directory *Directory `toml:"directory"`
	// HTTPS is the API for compliance desks. Without it there is the socket alone.
	HTTPS *HTTPS `toml:"https"`
	// Provision says what the relay is asked to do when people leave. Default: nothing.
	Provision Provision `toml:"provision"`
	// Watch says which looks the audit flags as unusual.
	Watch Watch `toml:"watch"`
	// Retention says how holds are released. What is kept for how long is no
	// configuration: `holdfast schedule apply` puts it into the log.
	Retention Retention `toml:"retention"`
	// PatientAccess says what patients get who ask for their messages.
	PatientAccess PatientAccess `toml:"patient_access"`
	// Backup says where backups go.
	Backup Backup `toml:"backup"`
	// Anchor says where the log is anchored outside the machine. Without any place
	// nobody but the relay could tell that it was rewritten as a whole.
	Anchor Anchor `toml:"anchor"`
	// Notify says how alarms leave the machine. Default: they do not.
	Notify Notify `toml:"notify"`
	// Mirror says where the audit is copied to.
	Mirror Mirror `toml:"mirror"`
	// Metrics says where metrics are served besides the socket.
	Metrics Metrics `toml:"metrics"`
}

// Retention says how holds are released.
type Retention struct {
	// GraceDays is for how many days after its release a hold still holds, and
	// its release can be cancelled: 1 to 3650. Default: 30.
	GraceDays int `toml:"grace_days"`
}

// Disk bounds what ingest may fill, in bytes. Zero stands for the default.
type Disk struct {
	// LowWater is the free space below which only audit and control entries
	// are accepted. Default: a tenth of the file system, at most 256 MiB.
	LowWater int64 `toml:"low_water"`
	// Reserve is kept for those entries alone. Default: a twentieth of the file
	// system, at most 64 MiB.
	Reserve int64 `toml:"reserve"`
}

// Relay is the cloud relay and the pins by which it is known.
type Relay struct {
	// URL is https://HOST[:PORT]. Required.
	URL string `toml:"url"`
	// CA is a PEM file with the only authorities that may certify the relay. Required.
	CA string `toml:"ca"`
	// Cert and Key are the archive's TLS client certificate, PEM. Required.
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
	// HeadKey is a PEM file with the Ed25519 public key by which the relay signs its pages. Required.
	HeadKey string `toml:"head_key"`
	// EnrolKey is a PEM file with the hospital's Ed25519 enrolment public key.
	// Without it no device can be `enrolled`.
	EnrolKey string `toml:"enrol_key"`
	// AllowX25519 opts in to envelopes under the X25519 suite. Default: refused.
	AllowX25519 bool `toml:"allow_x25519"`
}

// Load reads and checks the file at path.
func Load(path string) (*Config, error) {
	text, err := regular.Read(path, Max)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w; `holdfastd init` writes one", ErrConfig, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c, err := Parse(text, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrConfig, path, err)
	}
	return c, nil
}

// Parse reads a configuration whose relative paths start at dir.
func Parse(text []byte, dir string) (*Config, error) {
	if len(text) > Max {
		return nil, fmt.Errorf("larger than %d bytes", Max)
	}
	var c Config
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		var unknown *toml.StrictMissingError
		var syntax *toml.DecodeError
		switch {
		case errors.As(err, &unknown) && len(unknown.Errors) > 0:
			row, _ := unknown.Errors[0].Position()
			return nil, fmt.Errorf("line %d: there is no such key; holdfastd.toml.example lists them", row)
		case errors.As(err, &syntax):
			row, column := syntax.Position()
			if len(syntax.Key()) > 0 {
				return nil, fmt.Errorf("line %d: not a value of the kind that this key takes", row)
			}
			return nil, fmt.Errorf("line %d, column %d: %s", row, column, syntax.Error())
		}
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.resolve(dir)
	if len(c.Socket) > maxSocket {
		return nil, fmt.Errorf("socket is a path of %d bytes; the kernel takes %d: choose a shorter one", len(c.Socket), maxSocket)
	}
	return &c, nil
}

func (c *Config) check() error {
	required := []struct{ key, value string }{{"data", c.Data}, {"socket", c.Socket}}
	if r := c.Relay; r != nil {
		required = append(required, []struct{ key, value string }{
			{"relay.url", r.URL}, {"relay.ca", r.CA}, {"relay.cert", r.Cert}, {"relay.key", r.Key}, {"relay.head_key", r.HeadKey},
		}...)
	}
	for _, k := range required {
		if k.value == "" {
			return fmt.Errorf("%s is missing", k.key)
		}
	}
	switch c.LogLevel {
	case "", "debug", "info", "warn", "error":
	default:
		return errors.New("log_level is one of debug, info, warn, error")
	}
	if _, err := zone(c.TimeZone); err != nil {
		return err
	}
	if c.Disk.LowWater < 0 || c.Disk.Reserve < 0 {
		return errors.New("disk.low_water and disk.reserve are numbers of bytes")
	}
	if c.Retention.GraceDays < 0 || c.Retention.GraceDays > maxGrace {
		return fmt.Errorf("retention.grace_days is a number of days from 1 to %d", maxGrace)
	}
	c.Retention.GraceDays = cmp.Or(c.Retention.GraceDays, defaultGrace)
	if err := errors.Join(c.checkPeople(), c.PatientAccess.check(), c.checkOps()); err != nil {
		return err
	}
	if c.Relay == nil {
		return nil
	}
	u, err := url.Parse(c.Relay.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return errors.New("relay.url is https://HOST[:PORT]")
	}
	return nil
}

// Zone returns the site's time zone.
func (c *Config) Zone() *time.Location {
	at, err := zone(c.TimeZone)
	if err != nil {
		return time.UTC // Parse refuses such a configuration
	}
	return at
}

// zone finds a time zone by its name. "Local" is none: what it means is written
// down nowhere, and a production has to be readable elsewhere.
func zone(name string) (*time.Location, error) {
	at, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, errors.New("time_zone is the IANA name of a time zone, as America/Chicago")
	}
	return at, nil
}

func (c *Config) resolve(dir string) {
	paths := []*string{&c.Data, &c.Socket, &c.Credentials}
	if r := c.Relay; r != nil {
		paths = append(paths, &r.CA, &r.Cert, &r.Key, &r.HeadKey, &r.EnrolKey)
	}
	if c.Directory != nil {
		paths = append(paths, &c.Directory.CA)
	}
	if c.HTTPS != nil {
		paths = append(paths, &c.HTTPS.Cert, &c.HTTPS.Key)
	}
	for _, p := range append(paths, c.opsPaths()...) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}
