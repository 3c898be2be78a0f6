package daemon

import (
	"crypto/x509"
	"errors"
	"fmt"

	"holdfast/archive/proof"
	"holdfast/internal/certreq"
	"holdfast/internal/config"
	"holdfast/internal/regular"
)

// CheckFiles reads every file of certificates and public keys that the
// configuration names, and says which of them the daemon would not start with.
// It opens no connection and reads no credential.
func CheckFiles(c *config.Config) error {
	var faults []error
	note := func(key string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
		}
	}
	if r := c.Relay; r != nil {
		note("relay.ca", checkAuthorities(r.CA))
		note("relay.cert and relay.key", checkPair(r.Cert, r.Key))
		note("relay.head_key", checkPublicKey(r.HeadKey))
		if r.EnrolKey != "" {
			note("relay.enrol_key", checkPublicKey(r.EnrolKey))
		}
	}
	if c.Directory != nil {
		note("directory.ca", checkAuthorities(c.Directory.CA))
	}
	if c.HTTPS != nil {
		note("https.cert and https.key", checkPair(c.HTTPS.Cert, c.HTTPS.Key))
	}
	for _, w := range c.Anchor.Witnesses {
		note("anchor.witness.key", checkWitness(w.Key))
		note("anchor.witness.ca", checkOptional(w.CA))
	}
	if t := c.Anchor.Timestamp; t != nil {
		note("anchor.timestamp.ca", checkAuthorities(t.CA))
	}
	if m := c.Notify.SMTP; m != nil {
		note("notify.smtp.ca", checkOptional(m.CA))
	}
	if w := c.Notify.Webhook; w != nil {
		note("notify.webhook.ca", checkOptional(w.CA))
	}
	if s := c.Notify.Syslog; s != nil {
		note("notify.syslog.ca", checkOptional(s.CA))
	}
	if s := c.Mirror.Syslog; s != nil {
		note("mirror.syslog.ca", checkOptional(s.CA))
	}
	return errors.Join(faults...)
}

func checkOptional(path string) error {
	if path == "" {
		return nil
	}
	return checkAuthorities(path)
}

func checkAuthorities(path string) error {
	text, err := certreq.Read(path)
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no PEM certificate", path)
	}
	return nil
}

func checkPair(cert, key string) error {
	_, err := certreq.Pair(cert, key)
	return err
}

func checkPublicKey(path string) error {
	_, err := readPublicKey(path)
	return err
}

func checkWitness(path string) error {
	text, err := regular.Read(path, proof.MaxWitnessKey)
	if err != nil {
		return err
	}
	if _, err := proof.ParseWitnessKey(text); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
