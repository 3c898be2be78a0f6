package notice

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast/internal/outward"
)

func newHook(t *testing.T, key []byte, h http.HandlerFunc) *Webhook {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quietLog
	s.StartTLS()
	t.Cleanup(s.Close)
	w, err := NewWebhook(s.URL+"/hook", key, outward.HTTP(s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWebhook(t *testing.T) {
	key := []byte("sixteen bytes at least")
	var body hookBody
	w := newHook(t, key, func(rw http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/hook" || r.Header.Get("Content-Type") != "application/json" {
			t.Error(err, r.URL, r.Header)
		}
		// As whoever receives it would check it.
		var at int64
		var given string
		if _, err := fmt.Sscanf(r.Header.Get("Holdfast-Signature"), "t=%d,v1=%s", &at, &given); err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%d.%s", at, b)
		if given != hex.EncodeToString(mac.Sum(nil)) || at != 1_800_000_100 {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		if err := json.Unmarshal(b, &body); err != nil {
			t.Error(err)
		}
		rw.WriteHeader(http.StatusNoContent)
	})
	if err := w.Send(t.Context(), parcel(gap)); err != nil {
		t.Fatal(err)
	}
	if len(body.Alarms) != 1 || body.Alarms[0].Seq != 4711 || body.Alarms[0].Fix != gap.Fix || body.ArchiveID != "st-elsewhere" || body.Version != 1 || body.Test {
		t.Errorf("%+v", body)
	}
	if err := w.Send(t.Context(), parcel(make([]Alarm, maxHook+5)...)); err != nil || body.Open != maxHook+5 || len(body.Alarms) != maxHook {
		t.Errorf("%v, %d of %d", err, len(body.Alarms), body.Open)
	}
	w.key = []byte("another key of that length")
	if err := w.Send(t.Context(), parcel(gap)); !errors.Is(err, ErrNotTaken) || Class(err) != FailedNotTaken {
		t.Errorf("under another key: %v", err)
	}
	if _, err := NewWebhook("https://x", []byte("short"), nil); !errors.Is(err, ErrSettings) {
		t.Errorf("a short key: %v", err)
	}
}

func TestWebhookHostile(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/hook" {
				t.Error("it followed")
				return
			}
			http.Redirect(w, r, "/elsewhere", http.StatusPermanentRedirect)
		},
		"an endless answer": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		},
		"an error":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"an endless header": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
	} {
		if err := newHook(t, nil, h).Send(t.Context(), parcel(nasty)); err == nil {
			t.Errorf("%s was taken for an answer", name)
		}
	}
	w := newHook(t, nil, func(http.ResponseWriter, *http.Request) { t.Error("it was told") })
	w.client = outward.HTTP(nil)
	if err := w.Send(t.Context(), parcel(gap)); Class(err) != FailedCertificate {
		t.Errorf("certified by nobody here: %v", err)
	}
	for name, f := range map[string]func(net.Conn){"endless": endlessly, "slow": slowly} {
		w.url = "https://" + listen(t, f) + "/hook"
		if err := w.Send(soon(t), parcel(gap)); err == nil {
			t.Errorf("%s was taken for an answer", name)
		}
	}
}
