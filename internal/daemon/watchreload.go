package daemon

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"holdfast/internal/api"
	"holdfast/internal/certreq"
	"holdfast/internal/config"
)

// reload reads the configuration again. What can change while the daemon runs
// is changed: the log's level. Certificates are read by each handshake anyway,
// and are looked at here so that a wrong one is found now. A configuration that
// would refuse a start changes nothing.
func (w *watch) reload(context.Context) (*api.ReloadResponse, error) {
	log := w.parts.logger
	if err := Notify(sd.SdNotifyReloading); err != nil {
		log.Debug("systemd was not told of the reload", "err", err)
	}
	out, err := w.readAgain()
	if err != nil {
		log.Error("the configuration was not read again; the daemon goes on with the one before", "err", err)
	} else {
		log.Info("the configuration was read again", "log_level", out.LogLevel, "needs_restart", strings.Join(out.Restart, ","))
	}
	if err := Notify(sd.SdNotifyReady); err != nil {
		log.Error("systemd was not told that the reload ended", "err", err)
	}
	return out, err
}

func (w *watch) readAgain() (*api.ReloadResponse, error) {
	c, err := w.reread()
	var own []api.ReloadCertificate
	if err == nil {
		own, err = ownCertificates(c)
	}
	if err == nil && w.level != nil {
		err = w.level.UnmarshalText([]byte(cmp.Or(c.LogLevel, "info")))
	}
	if err != nil {
		// What is wrong names files and keys of the configuration, and nobody.
		return nil, &api.Problem{Title: "the configuration cannot be used, and the one before stays in force", Detail: err.Error(), Status: 422, Code: api.CodeState,
			Exit: api.ExitConfig, Hint: "mend what is named above, and say `holdfastd reload` again"}
	}
	return &api.ReloadResponse{LogLevel: cmp.Or(c.LogLevel, "info"), Certificates: own, Restart: needRestart(w.config, c)}, nil
}

// ownCertificates reads the certificates by which the daemon is known.
func ownCertificates(c *config.Config) ([]api.ReloadCertificate, error) {
	files := []struct{ name, cert, key string }{}
	if c.Relay != nil {
		files = append(files, struct{ name, cert, key string }{"relay-client", c.Relay.Cert, c.Relay.Key})
	}
	if c.HTTPS != nil {
		files = append(files, struct{ name, cert, key string }{"https", c.HTTPS.Cert, c.HTTPS.Key})
	}
	out := []api.ReloadCertificate{}
	for _, f := range files {
		pair, err := certreq.Pair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("the %s certificate: %w", f.name, err)
		}
		if time.Now().After(pair.Leaf.NotAfter) {
			return nil, fmt.Errorf("the %s certificate in %s ended at %s", f.name, f.cert, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		out = append(out, api.ReloadCertificate{Certificate: f.name, NotAfter: pair.Leaf.NotAfter.UTC()})
	}
	return out, nil
}

// needRestart returns the keys of the configuration, at its top level, that
// differ and that a running daemon does not take over.
func needRestart(before, now *config.Config) []string {
	out := []string{}
	a, b := reflect.ValueOf(before).Elem(), reflect.ValueOf(now).Elem()
	for i := range a.NumField() {
		key := a.Type().Field(i).Tag.Get("toml")
		if key != "log_level" && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			out = append(out, key)
		}
	}
	return out
}
