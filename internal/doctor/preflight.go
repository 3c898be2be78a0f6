package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Preflight is what is tried before an archive is made. What is empty is not
// tried, and its finding says so.
type Preflight struct {
	Relay   string // https://HOST[:PORT]
	RelayCA string // PEM file with the pinned authorities
	Data    string // folder in which the archive is going to lie; it may not be there yet
	// Directory tries the account that is to read the directory; nil: there is none.
	Directory func(ctx context.Context) (*Rights, error)
	// Daily is how many messages a day are expected, Years how long they are kept.
	Daily, Years float64

	Environment func(string) string                                                  // nil: os.Getenv
	Proxy       func(*http.Request) (*url.URL, error)                                // nil: http.ProxyFromEnvironment
	Sync        func() (TimeSync, error)                                             // nil: adjtimex(2)
	Roots       *x509.CertPool                                                       // that this machine trusts; nil: the system's
	Dial        func(ctx context.Context, network, address string) (net.Conn, error) // nil: the system's
	Timeout     time.Duration                                                        // of the connection to the relay; 0: 10 s
	Now         func() time.Time                                                     // nil: time.Now
	Filesystem  func(path string) (magic int64, err error)                           // nil: statfs(2)
	Space       func(path string) (free, all int64, er error)                        // nil: statfs(2)
}

// Findings tries all of it. Every check has a finding, in a fixed order.
func (p *Preflight) Findings(ctx context.Context) []Finding {
	q := *p
	if q.Environment == nil {
		q.Environment = os.Getenv
	}
	if q.Proxy == nil {
		q.Proxy = http.ProxyFromEnvironment
	}
	if q.Timeout == 0 {
		q.Timeout = 10 * time.Second
	}
	if q.Now == nil {
		q.Now = time.Now
	}
	if q.Filesystem == nil {
		q.Filesystem = magicOf
	}
	if q.Space == nil {
		q.Space = Space
	}
	return []Finding{q.proxy(), q.relayTLS(ctx), timeSync(q.Sync), q.rights(ctx), q.filesystem(), q.sizing()}
}

// proxyVariables are what Go's HTTP client heeds.
var proxyVariables = []string{"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}

// proxy says which proxy the relay would be asked through. The daemon has its
// own environment: what a shell has set is not there.
func (p *Preflight) proxy() Finding {
	var set []string
	for _, name := range proxyVariables {
		if p.Environment(name) != "" {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return fine("proxy", "no proxy is set here: the relay is asked directly, and so it will be by the daemon")
	}
	const fix = "If the relay is only to be reached through the proxy, run `systemctl edit holdfastd` and add [Service] Environment=HTTPS_PROXY=http://PROXY:PORT. If not, unset the variables and try again. The proxy must let the relay's TLS through unopened."
	through := "directly"
	if u, err := url.Parse(p.Relay); err == nil && p.Relay != "" {
		proxy, err := p.Proxy(&http.Request{URL: u})
		switch {
		case err != nil:
			return fatal("proxy", "the proxy that the environment names is not one: "+strings.Join(set, ", "), "Set HTTPS_PROXY to http://HOST:PORT, or unset it.")
		case proxy != nil:
			through = "through " + proxy.Redacted()
		}
	}
	return warn("proxy", fmt.Sprintf("%s set here, so that this trial asks the relay %s; the daemon has its own environment", strings.Join(set, ", ")+plural(len(set)), through), fix)
}

func plural(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

// The file systems on which locks or memory maps are not to be relied on, by
// their numbers in statfs(2).
var remote = map[int64]string{
	0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x517b: "SMB", 0x65735546: "FUSE", 0x794c7630: "overlayfs", 0x01021994: "tmpfs", 0x01021997: "9P",
}

func magicOf(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Type), nil // #nosec G115 -- of 32 or 64 bits, by the machine
}

// ground returns the folder itself, or the nearest above it that is there.
func ground(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return path, err
		}
		path = filepath.Dir(path)
	}
}

// filesystem says whether the archive's folder lies on a file system for it.
func (p *Preflight) filesystem() Finding {
	if p.Data == "" {
		return warn("filesystem", "not tried: no folder for the archive is named", "Give --data DIR.")
	}
	at, err := ground(p.Data)
	var magic int64
	if err == nil {
		magic, err = p.Filesystem(at)
	}
	if err != nil {
		return warn("filesystem", "the archive's folder cannot be looked at: "+err.Error(), "Run this as root, and check that the archive's volume is mounted.")
	}
	if name, bad := remote[magic]; bad {
		return fatal("filesystem", fmt.Sprintf("%s lies on %s: locks, memory maps and fsync are not to be relied on there", at, name),
			"Put the archive on a local disk or a block device (iSCSI, SAN, a virtual disk) with ext4 or XFS. Backups may go to such a file system.")
	}
	return fine("filesystem", at+" lies on a local file system")
}

// BytesPerMessage is what a message of ordinary length, or a receipt, takes on the
// disk, in bytes: sealed body, leaf with its hashes, and index, as the operations
// guide plans with (2.1 KB measured over 30,220 messages). Attachments come on top.
const BytesPerMessage = 2_500

// sizing compares what is going to come with the disk.
func (p *Preflight) sizing() Finding {
	if p.Data == "" || p.Daily <= 0 || p.Years <= 0 {
		return warn("sizing", "not tried: how many messages a day are expected is not given", "Give --daily MESSAGES, receipts included; also --years YEARS and --data DIR.")
	}
	at, err := ground(p.Data)
	var free int64
	if err == nil {
		free, _, err = p.Space(at)
	}
	if err != nil {
		return warn("sizing", "the archive's disk cannot be measured: "+err.Error(), "Run this as root, and check that the archive's volume is mounted.")
	}
	need := p.Daily * 365 * p.Years * BytesPerMessage
	text := fmt.Sprintf("%.0f messages and receipts a day for %g years take %s without attachments; %s has %s free", p.Daily, p.Years, bytesText(int64(need)), at, bytesText(free))
	const fix = "Give the archive a larger volume of its own, one that can grow (LVM, a virtual disk); attachments take their own size on top. Half again as much leaves room for the index to be rebuilt beside the old one."
	f := fine("sizing", text)
	switch {
	case need > float64(free):
		f = fatal("sizing", text, fix)
	case 1.5*need > float64(free):
		f = warn("sizing", text, fix)
	}
	return f.with("need_bytes", need).with("free_bytes", float64(free))
}
