package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Backup says where backups go.
type Backup struct {
	// To is the folder of the data backup, on another disk or machine. Without
	// it `holdfastd backup` takes --to, and the timer makes none.
	To string `toml:"to"`
	// KeysTo is the folder of the keyring's own backup, the copy that is sealed to
	// the recovery kit: on another medium than To, never inside it. Without it a
	// backup takes --keys-to.
	KeysTo string `toml:"keys_to"`
	// Spool is the folder on a local disk through which the files that are still
	// written to are copied, so that a slow destination holds up nobody.
	// Default: `spool` in the archive's directory.
	Spool string `toml:"spool"`
	// Keep is how many backups are kept. Default: 30.
	Keep int `toml:"keep"`
	// DrillSample is how many bodies a restore drill opens. Default: 1000.
	DrillSample int `toml:"drill_sample"`
}

// Anchor says where the log's checkpoints are anchored outside the machine.
type Anchor struct {
	// Every is the time between two anchors. Default: 1h.
	Every Duration `toml:"every"`
	// File is a file to which each checkpoint is appended: on another machine's
	// disk, where nobody of this one can take a line away.
	File string `toml:"file"`
	// Witnesses are witnesses on other administrators' machines, asked by C2SP
	// tlog-witness.
	Witnesses []Witness `toml:"witness"`
	// Timestamp is a time-stamping authority (RFC 3161).
	Timestamp *Timestamp `toml:"timestamp"`
}

// Witness is one of them.
type Witness struct {
	// URL is the witness's prefix, https://HOST[:PORT][/PATH]. Required.
	URL string `toml:"url"`
	// Key is a file with its vkey. Required.
	Key string `toml:"key"`
	// CA is a PEM file with the only authorities that may certify it. Default:
	// the machine's.
	CA string `toml:"ca"`
}

// Timestamp is a time-stamping authority.
type Timestamp struct {
	// URL is http://… or https://…: the answer is signed. Required.
	URL string `toml:"url"`
	// CA is a PEM file with the authorities that may certify its signer. Required.
	CA string `toml:"ca"`
}

// Notify says how alarms leave the machine, free of content.
type Notify struct {
	// Repeat is after how long an alarm that nobody has acknowledged is sent
	// again. Default: 4h.
	Repeat  Duration `toml:"repeat"`
	SMTP    *SMTP    `toml:"smtp"`
	Webhook *Webhook `toml:"webhook"`
	Syslog  *Syslog  `toml:"syslog"`
}

// SMTP sends alarms by mail.
type SMTP struct {
	// Address is HOST:PORT. Required.
	Address string `toml:"address"`
	// TLS is "starttls" or "tls". There is no mail without. Default: starttls.
	TLS string `toml:"tls"`
	// CA is a PEM file with the only authorities that may certify the server.
	// Default: the machine's.
	CA string `toml:"ca"`
	// From and To are mail addresses. Required.
	From string   `toml:"from"`
	To   []string `toml:"to"`
	// User logs in with the password in the credential file `holdfast.smtp`.
	// Default: no login.
	User string `toml:"user"`
}

// Webhook posts alarms as JSON, with an HMAC-SHA256 under the credential
// `holdfast.webhook` where there is one.
type Webhook struct {
	// URL is https://…. Required.
	URL string `toml:"url"`
	// CA is a PEM file with the only authorities that may certify it. Default:
	// the machine's.
	CA string `toml:"ca"`
}

// Syslog sends RFC 5424 messages.
type Syslog struct {
	// Address is HOST:PORT. Required.
	Address string `toml:"address"`
	// Network is "tls" (RFC 5425), "tcp" (RFC 6587, octet counting) or "udp" (RFC
	// 5426). Default: tls.
	Network string `toml:"network"`
	// CA is a PEM file with the only authorities that may certify the collector,
	// for tls. Default: the machine's.
	CA string `toml:"ca"`
}

// Mirror says where the audit is copied to, free of content.
type Mirror struct {
	// Syslog is the site's collector (SIEM). Default: none.
	Syslog *Syslog `toml:"syslog"`
}

// Metrics says where metrics are served besides the socket.
type Metrics struct {
	// Listen is a loopback ADDRESS:PORT for Prometheus on this machine, over plain
	// HTTP: /metrics, /healthz and /readyz alone. Default: none.
	Listen string `toml:"listen"`
}

func (c *Config) checkOps() error {
	b := &c.Backup
	if b.Keep < 0 || b.DrillSample < 0 {
		return errors.New("backup.keep and backup.drill_sample are positive numbers")
	}
	b.Keep, b.DrillSample = cmp.Or(b.Keep, 30), cmp.Or(b.DrillSample, 1000)
	c.Anchor.Every.orDefault(time.Hour)
	c.Notify.Repeat.orDefault(4 * time.Hour)
	if c.Metrics.Listen != "" {
		host, port, err := net.SplitHostPort(c.Metrics.Listen)
		if ip := net.ParseIP(host); err != nil || port == "" || ip == nil || !ip.IsLoopback() {
			return errors.New("metrics.listen is a loopback address and a port, as 127.0.0.1:9185: metrics are served without TLS there")
		}
	}
	return errors.Join(c.Anchor.check(), c.Notify.check(), c.Mirror.Syslog.check("mirror.syslog"))
}

func (a *Anchor) check() error {
	for _, w := range a.Witnesses {
		if err := webAddress("anchor.witness.url", w.URL, "https"); err != nil {
			return err
		}
		if w.Key == "" {
			return errors.New("anchor.witness.key is missing: the file with the witness's vkey")
		}
	}
	if t := a.Timestamp; t != nil {
		if err := webAddress("anchor.timestamp.url", t.URL, "http", "https"); err != nil {
			return err
		}
		if t.CA == "" {
			return errors.New("anchor.timestamp.ca is missing: whoever certifies the authority's signer")
		}
	}
	return nil
}

func (n *Notify) check() error {
	if m := n.SMTP; m != nil {
		m.TLS = cmp.Or(m.TLS, "starttls")
		switch {
		case hostPort(m.Address) != nil:
			return errors.New("notify.smtp.address is HOST:PORT, as mail.example.org:587")
		case m.TLS != "starttls" && m.TLS != "tls":
			return errors.New("notify.smtp.tls is starttls or tls")
		case !strings.Contains(m.From, "@") || len(m.To) == 0:
			return errors.New("notify.smtp.from and notify.smtp.to are required: mail addresses")
		}
	}
	if w := n.Webhook; w != nil {
		if err := webAddress("notify.webhook.url", w.URL, "https"); err != nil {
			return err
		}
	}
	return n.Syslog.check("notify.syslog")
}

func (s *Syslog) check(key string) error {
	if s == nil {
		return nil
	}
	s.Network = cmp.Or(s.Network, "tls")
	switch {
	case hostPort(s.Address) != nil:
		return fmt.Errorf("%s.address is HOST:PORT, as siem.example.org:6514", key)
	case s.Network != "tls" && s.Network != "tcp" && s.Network != "udp":
		return fmt.Errorf("%s.network is tls, tcp or udp", key)
	}
	return nil
}

func hostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && (host == "" || port == "") {
		err = errors.New("host or port is missing")
	}
	return err
}

func webAddress(key, text string, schemes ...string) error {
	u, err := url.Parse(text)
	if err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" {
		for _, scheme := range schemes {
			if u.Scheme == scheme {
				return nil
			}
		}
	}
	return fmt.Errorf("%s is %s://HOST[:PORT][/PATH], without a query or a password", key, strings.Join(schemes, ":// or "))
}

// opsPaths returns the paths of what has to do with operations, to be resolved.
func (c *Config) opsPaths() []*string {
	paths := []*string{&c.Backup.To, &c.Backup.KeysTo, &c.Backup.Spool, &c.Anchor.File}
	for i := range c.Anchor.Witnesses {
		paths = append(paths, &c.Anchor.Witnesses[i].Key, &c.Anchor.Witnesses[i].CA)
	}
	if t := c.Anchor.Timestamp; t != nil {
		paths = append(paths, &t.CA)
	}
	if m := c.Notify.SMTP; m != nil {
		paths = append(paths, &m.CA)
	}
	if w := c.Notify.Webhook; w != nil {
		paths = append(paths, &w.CA)
	}
	for _, s := range []*Syslog{c.Notify.Syslog, c.Mirror.Syslog} {
		if s != nil {
			paths = append(paths, &s.CA)
		}
	}
	return paths
}
