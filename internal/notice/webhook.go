package notice

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"holdfast/internal/outward"
)

// SignatureHeader bears, where there is a key, "t=SECONDS,v1=HEX": the time of
// sending since 1970, and HMAC-SHA256 under the key over SECONDS, ".", and the
// request's body. Who receives it compares the time with his clock as well, so
// that nobody sends an old request again.
const SignatureHeader = "Holdfast-Signature"

// maxHook bounds the alarms of one request.
const maxHook = 500

// minKey is the shortest key of the signature, in bytes.
const minKey = 16

// maxReply bounds a webhook's answer, of which nothing but its status counts.
const maxReply = 64 << 10

// Webhook posts parcels as JSON.
type Webhook struct {
	url    string
	key    []byte
	client *http.Client
}

// hookBody is a request's body.
type hookBody struct {
	Version   int       `json:"v"` // 1
	ArchiveID string    `json:"archive_id"`
	Sent      time.Time `json:"sent"`
	Test      bool      `json:"test"`
	Open      int       `json:"open"` // alarms that are due: more than there are in Alarms, when there are very many
	Alarms    []Alarm   `json:"alarms"`
}

// NewWebhook returns a webhook; without a key nothing is signed.
func NewWebhook(url string, key []byte, client *http.Client) (*Webhook, error) {
	if len(key) > 0 && len(key) < minKey {
		return nil, fmt.Errorf("%w: the webhook's key is shorter than %d bytes", ErrSettings, minKey)
	}
	return &Webhook{url: url, key: key, client: client}, nil
}

// Name implements Way.
func (w *Webhook) Name() string { return WayWebhook }

// Send implements Way. Any status of 200 to 299 says that it was taken.
func (w *Webhook) Send(ctx context.Context, p Parcel) error {
	p = p.clean()
	body, err := json.Marshal(hookBody{Version: 1, ArchiveID: p.ArchiveID, Sent: p.Sent, Test: p.Test, Open: len(p.Alarms), Alarms: p.Alarms[:min(len(p.Alarms), maxHook)]})
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if len(w.key) > 0 {
		header.Set(SignatureHeader, sign(w.key, p.Sent.Unix(), body))
	}
	answer, err := outward.Post(ctx, w.client, w.url, header, bytes.NewReader(body), maxReply)
	if err != nil {
		return err
	}
	if answer.Status < 200 || answer.Status > 299 {
		return fmt.Errorf("%w: status %d", ErrNotTaken, answer.Status)
	}
	return nil
}

func sign(key []byte, at int64, body []byte) string {
	seconds := strconv.FormatInt(at, 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
