package adtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What the seed has put into the directory; seed.py says who is who.
const (
	SeedPeople    = 3000 // below StaffDN: p0001..p3000
	SeedGroups    = 114  // below GroupsDN
	SeedDisabled  = 60
	SeedExpired   = 30
	SeedLargest   = 2400 // members of LargestGroup
	LargestGroup  = "all-staff"
	PrimaryGroup  = "primary-nurses" // of p0101..p0150, and of nobody else
	SeedPasswords = 40               // p0001..p0040 have Password
	OldPassword   = "p0040"          // whose password is too old: 532
)

// DC is a running Samba domain controller with its own copy of the seeded
// directory. Its methods change that copy over LDAP, as an administrator would.
type DC struct {
	dir       string
	release   func() // the folder's lock
	ip        string
	authority *Authority
	process   *exec.Cmd
	stdin     io.Closer // Samba ends when its standard input does, even if we were killed
	ended     chan struct{}
	once      sync.Once // of Stop
	admin     *client
}

// test is what a test can do, so that this package need not import testing.
type test interface {
	Helper()
	Fatal(...any)
	Cleanup(func())
	Context() context.Context
}

// Samba starts a DC for a test and stops it when the test ends. A DC takes a
// second or two: start one and share it among subtests.
func Samba(t test) *DC {
	t.Helper()
	dc, err := StartSamba(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dc.Stop)
	return dc
}

// StartSamba starts a DC, which listens on a loopback address of its own: the
// ports of a domain controller (389, 636) are fixed in Samba, so it takes
// root, or a machine that lets anyone have them. Stop ends it.
func StartSamba(ctx context.Context) (*DC, error) {
	ip, err := freeAddress()
	if err != nil {
		return nil, startError(err)
	}
	from, err := template(ctx)
	if err != nil {
		return nil, startError(err)
	}
	dir, release, err := runFolder()
	if err != nil {
		return nil, startError(err)
	}
	dc := &DC{dir: dir, ip: ip, release: release, ended: make(chan struct{})}
	if err := dc.start(ctx, from); err != nil {
		dc.Stop()
		return nil, startError(err)
	}
	return dc, nil
}

func (dc *DC) start(ctx context.Context, from string) error {
	for _, d := range []string{"private", "state"} {
		if err := os.CopyFS(filepath.Join(dc.dir, d), os.DirFS(filepath.Join(from, d))); err != nil {
			return err
		}
	}
	for _, d := range []string{"cache", "lock", "pid", "ncalrpc", "log", "bind-dns", "ntp", "winbindd"} {
		if err := os.Mkdir(filepath.Join(dc.dir, d), 0o700); err != nil {
			return err
		}
	}
	err := os.Chmod(filepath.Join(dc.dir, "private"), 0o700) // #nosec G302 -- a folder
	if err != nil {
		return err
	}
	if dc.authority, err = NewAuthority(dc.dir, "ca.pem"); err != nil {
		return err
	}
	cert, key, err := dc.authority.issue(certificate{names: []string{hostName, "localhost"}, ips: []net.IP{net.ParseIP(dc.ip)}})
	if err != nil {
		return err
	}
	err = firstOf(put(filepath.Join(dc.dir, "cert.pem"), cert, 0o644), put(filepath.Join(dc.dir, "key.pem"), key, 0o600),
		put(filepath.Join(dc.dir, "smb.conf"), dc.config(), 0o600))
	if err != nil {
		return err
	}
	if err := dc.run(); err != nil {
		return err
	}
	return dc.ready(ctx)
}

// config is Samba's configuration: LDAP alone, and every folder private.
func (dc *DC) config() []byte {
	var b bytes.Buffer
	b.WriteString("[global]\n")
	for _, line := range []string{
		"netbios name = DC1", "realm = HOSPITAL.TEST", "workgroup = HOSPITAL", "server role = active directory domain controller",
		"server services = ldap", "dcerpc endpoint servers =", "interfaces = " + dc.ip + "/8", "bind interfaces only = yes",
		"disable netbios = yes", "logging = file", "log level = 1", "tls enabled = yes",
	} {
		b.WriteString("\t" + line + "\n")
	}
	for name, file := range map[string]string{
		"private dir": "private", "state directory": "state", "cache directory": "cache", "lock directory": "lock", "pid directory": "pid",
		"ncalrpc dir": "ncalrpc", "binddns dir": "bind-dns", "ntp signd socket directory": "ntp", "winbindd socket directory": "winbindd",
		"log file": "log/samba", "tls cafile": "ca.pem", "tls certfile": "cert.pem", "tls keyfile": "key.pem",
	} {
		fmt.Fprintf(&b, "\t%s = %s\n", name, filepath.Join(dc.dir, file))
	}
	return b.Bytes()
}

// run starts the process, in a group of its own.
func (dc *DC) run() error {
	c := exec.Command(sambaPath, "-i", "-M", "single", "--no-process-group", "-s", filepath.Join(dc.dir, "smb.conf")) // #nosec G204 -- our own paths
	out, err := os.OpenFile(filepath.Join(dc.dir, "out"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	c.Stdout, c.Stderr = out, out
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if dc.stdin, err = c.StdinPipe(); err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	dc.process = c
	go func() {
		_ = c.Wait() // how it ended is in its output
		close(dc.ended)
	}()
	return nil
}

// ready waits until the administrator can log in.
func (dc *DC) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := dial(dc.Address(), dc.authority.client())
		if err == nil {
			if err = c.bind("administrator@"+domain, adminPassword); err == nil {
				dc.admin = c
				return nil
			}
			err = errors.Join(err, c.close())
		}
		select {
		case <-dc.ended:
			return fmt.Errorf("samba ended:\n%s", dc.output())
		case <-ctx.Done():
			return fmt.Errorf("samba does not answer: %w\n%s", err, dc.output())
		case <-tick.C:
		}
	}
}

func (dc *DC) output() []byte {
	out, err := os.ReadFile(filepath.Join(dc.dir, "out"))
	if err != nil {
		return []byte(err.Error())
	}
	return tail(out)
}

// freeAddress finds a loopback address whose ports of a domain controller are
// free. Two test binaries are unlikely to draw the same of 16 million.
func freeAddress() (string, error) {
	var last error
	for range 20 {
		var b [3]byte
		_, _ = rand.Read(b[:]) // cannot fail since Go 1.24
		ip := net.IPv4(127, b[0]|1, b[1], b[2]|1).String()
		if last = bindable(ip); last == nil {
			return ip, nil
		}
	}
	return "", fmt.Errorf("no loopback address has its ports 389 and 636 free; without root, sysctl net.ipv4.ip_unprivileged_port_start=389 allows them: %w", last)
}

func bindable(ip string) error {
	for _, port := range []string{"389", "636", "3268", "3269"} {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends Samba and removes its directory. It may be called twice.
func (dc *DC) Stop() { dc.once.Do(dc.stop) }

func (dc *DC) stop() {
	if dc.admin != nil {
		_ = dc.admin.close()
	}
	if dc.process != nil {
		_ = dc.stdin.Close()
		select {
		case <-dc.ended:
		case <-time.After(5 * time.Second):
		}
		_ = syscall.Kill(-dc.process.Process.Pid, syscall.SIGKILL) // what is left of its group
		<-dc.ended
	}
	_ = os.RemoveAll(dc.dir)
	dc.release()
}

// URL is the server's ldaps:// address, StartTLSURL the ldap:// address.
func (dc *DC) URL() string { return "ldaps://" + dc.Address() }

// StartTLSURL is described at URL.
func (dc *DC) StartTLSURL() string { return "ldap://" + net.JoinHostPort(dc.ip, "389") }

// Address is the server's LDAPS address, host and port.
func (dc *DC) Address() string { return net.JoinHostPort(dc.ip, "636") }

// CAFile is the PEM file with the only CA that certifies the server.
func (dc *DC) CAFile() string { return dc.authority.File }

// Authority is that CA.
func (dc *DC) Authority() *Authority { return dc.authority }

// Resident is the memory that Samba holds now, in bytes.
func (dc *DC) Resident() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", dc.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	var total, resident int64
	if _, err := fmt.Sscan(strings.TrimSpace(string(b)), &total, &resident); err != nil {
		return 0, err
	}
	return resident * int64(os.Getpagesize()), nil
}
