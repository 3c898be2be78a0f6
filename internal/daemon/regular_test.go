package daemon

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/archive/proof"
	"holdfast/ingest"
	"holdfast/internal/api"
	"holdfast/internal/certreq"
	"holdfast/internal/config"
	"holdfast/internal/outward"
	"holdfast/internal/setup"
	"holdfast/ldapsync"
)

// nameOnly is an archive of which no more than its name is asked.
type nameOnly struct {
	ingest.Log
	ingest.Blobs
	ingest.Keys
	ingest.State
}

func (nameOnly) Identity() *proof.Identity { return &proof.Identity{ArchiveID: "ward"} }

// A pipe or a folder in place of a file that the configuration names keeps nobody
// waiting, and is called what it is.
func TestFilesOfTheConfigurationAreRegular(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	server.Close()
	good := filepath.Join(t.TempDir(), "good.pem")
	if err := os.WriteFile(good, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	relay := func(o ingest.Options) error {
		o.URL, o.HeadKey = "https://relay.example", make(ed25519.PublicKey, ed25519.PublicKeySize)
		o.Log, o.Blobs, o.Keys, o.State = nameOnly{}, nameOnly{}, nameOnly{}, nameOnly{}
		_, err := ingest.New(o)
		return err
	}
	https := func(cert, key string) error {
		_, err := ownCertificates(&config.Config{HTTPS: &config.HTTPS{Cert: cert, Key: key}})
		return err
	}
	serve := func(cert, key string) error {
		_, err := api.LoadCertificate(cert, key, slog.New(slog.DiscardHandler), nil)
		return err
	}
	for name, read := range map[string]func(path string) error{
		"the configuration":         func(path string) error { _, err := config.Load(path); return err },
		"a file of certificates":    func(path string) error { _, err := certreq.Read(path); return err },
		"somebody else's authority": func(path string) error { _, err := outward.Authorities(path); return err },
		"a first line":              func(path string) error { _, err := setup.FirstLine(path); return err },
		"the file of anchors":       func(path string) error { _, err := lastOfEach(path, nil); return err },
		"a public key":              func(path string) error { _, err := readPublicKey(path); return err },
		"a credential": func(path string) error {
			_, err := ReadCredential(filepath.Dir(path), filepath.Base(path), 256)
			return err
		},
		"the relay's authority":      func(path string) error { return relay(ingest.Options{CA: path, Cert: good, Key: good}) },
		"the relay's certificate":    func(path string) error { return relay(ingest.Options{CA: good, Cert: path, Key: good}) },
		"the relay's key":            func(path string) error { return relay(ingest.Options{CA: good, Cert: good, Key: path}) },
		"a certificate to serve":     func(path string) error { return serve(path, good) },
		"its key":                    func(path string) error { return serve(good, path) },
		"a certificate, at a reload": func(path string) error { return https(path, good) },
		"a key, at a reload":         func(path string) error { return https(good, path) },
		"the directory's authority": func(path string) error {
			_, _, err := ldapsync.Read(t.Context(), ldapsync.Options{URLs: []string{"ldaps://dc.example"}, CA: path, Bind: "b", Base: []string{"dc=example"},
				Password: func() (string, error) { return "p", nil }})
			return err
		},
	} {
		for kind, put := range map[string]func(path string) error{
			"pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
			"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		} {
			path := filepath.Join(t.TempDir(), kind)
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- read(path) }()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), path+" is no regular file; put ") {
					t.Errorf("%s, a %s: %v", name, kind, err)
				}
			case <-time.After(5 * time.Second):
				t.Errorf("%s waits at a %s", name, kind)
				end, err := os.OpenFile(path, os.O_RDWR, 0) // lets go whoever waits
				if err = errors.Join(err, end.Close()); err != nil {
					t.Fatal(err)
				}
				<-done
			}
		}
	}
}
