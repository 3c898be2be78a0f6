package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

var (
	keyCompact = []byte("compact")
	keyVersion = []byte("version")
)

// putKeyset replaces the keyset. The same bytes again are a success, so that an archive without an answer may repeat itself.
func (q *queue) putKeyset(k *wire.Keyset, compact []byte, now time.Time) error {
	if err := q.checkKeyset(k, now); err != nil {
		return err
	}
	err := q.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketKeyset)
		if bytes.Equal(b.Get(keyCompact), compact) {
			return nil
		}
		if v := b.Get(keyVersion); len(v) == 8 && k.Version <= binary.BigEndian.Uint64(v) {
			return problem(409, wire.CodeKeysetVersion, "a keyset's version must rise")
		}
		if err := b.Put(keyVersion, binary.BigEndian.AppendUint64(nil, k.Version)); err != nil {
			return err
		}
		for _, key := range k.Keys {
			if err := tx.Bucket(bucketKids).Put([]byte(key.Kid), []byte(envelope.FormatTime(key.NotAfter))); err != nil {
				return err
			}
		}
		return b.Put(keyCompact, compact)
	})
	if err != nil {
		return fmt.Errorf("keyset: %w", err)
	}
	return nil
}

func (q *queue) checkKeyset(k *wire.Keyset, now time.Time) error {
	switch {
	case k.Arc != q.arc:
		return problem(403, wire.CodeWrongArchive, "the keyset is of another archive")
	case !k.Expires.After(now):
		return problem(400, wire.CodeBadRequest, "the keyset has expired")
	case k.Expires.After(now.Add(wire.MaxKeysetLife + wire.MaxSkew)):
		return problem(400, wire.CodeBadRequest, "the keyset expires more than 7 days from now")
	}
	for _, key := range k.Keys {
		if (envelope.PublicKey{KEM: envelope.KEM(key.KEM), Bytes: key.PK}).KID() != key.Kid {
			return problem(400, wire.CodeBadRequest, "a kid does not belong to its key")
		}
	}
	return nil
}

// keyset returns the newest keyset's JWS as it was put, or a 404 problem.
func (q *queue) keyset() ([]byte, error) {
	var compact []byte
	err := q.db.View(func(tx *bolt.Tx) error {
		compact = bytes.Clone(tx.Bucket(bucketKeyset).Get(keyCompact))
		if compact == nil {
			return problem(404, wire.CodeNotFound, "the archive has not published a keyset yet")
		}
		return nil
	})
	return compact, err
}

// checkEnvelopes refuses a batch with an envelope that was sealed to a key past its not_after, so that the sender seals again, or with one
// that is no envelope of this archive. A kid that was never published passes: the relay cannot tell it from one it has forgotten.
func (q *queue) checkEnvelopes(batch []Submission, now time.Time) error {
	ends := map[string]time.Time{}
	for _, s := range batch {
		if s.Kind != wire.KindEnv {
			continue
		}
		if len(s.Data) > wire.MaxEnvelope {
			return problem(413, wire.CodeTooLarge, "an envelope is larger than 1 MiB")
		}
		h, ok := headerOf(s.Data)
		if !ok || h.Arc != q.arc || h.Mid != s.ID {
			return problem(400, wire.CodeBadRequest, "an envelope's header cannot be read, is for another archive, or has another mid than its id")
		}
		end, seen := ends[h.Kid]
		if !seen {
			var err error
			if end, err = q.notAfter(h.Kid); err != nil {
				return err
			}
			ends[h.Kid] = end
		}
		if !end.IsZero() && !now.Before(end) {
			return problem(409, wire.CodeKeyExpired, "sealed to a key past its not_after: fetch the keyset and seal again")
		}
	}
	return nil
}

// notAfter returns the end of a published key's life, or the zero time.
func (q *queue) notAfter(kid string) (time.Time, error) {
	var end time.Time
	err := q.db.View(func(tx *bolt.Tx) (err error) {
		if v := tx.Bucket(bucketKids).Get([]byte(kid)); v != nil {
			end, err = envelope.ParseTime(string(v))
		}
		return err
	})
	return end, err
}

// headerOf reads as much of an envelope's header as a relay needs; it never looks at the sealed part.
func headerOf(data string) (envelope.Header, bool) {
	var h envelope.Header
	rest, ok := strings.CutPrefix(data, "AMX1.")
	if !ok {
		return h, false
	}
	// The limit comes before the decoding: base64url has four characters for three bytes.
	text, _, ok := strings.Cut(rest[:min(len(rest), 4*envelope.MaxHeader/3+3)], ".")
	if !ok {
		return h, false
	}
	b, err := jws.DecodeB64(text)
	if err != nil || len(b) > envelope.MaxHeader {
		return h, false
	}
	return h, ijson.Unmarshal(b, &h) == nil
}

func (r *Relay) servePutKeyset(w http.ResponseWriter, req *http.Request) error {
	compact, pub, err := r.signed(w, req, wire.MaxEnvelope)
	if err != nil {
		return err
	}
	k, err := wire.ParseKeyset(compact, pub)
	if err != nil {
		return refuseJWS(err)
	}
	if err := r.queue.putKeyset(k, compact, time.Now()); err != nil {
		return err
	}
	return writeJSON(w, struct {
		Version uint64 `json:"version"`
	}{k.Version})
}

func (r *Relay) serveGetKeyset(w http.ResponseWriter, _ *http.Request) error {
	compact, err := r.queue.keyset()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jose")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(compact)
	return hungUp(err)
}
