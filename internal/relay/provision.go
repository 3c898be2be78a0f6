package relay

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	bolt "go.etcd.io/bbolt"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// userRow is a person whom the directory events named.
type userRow struct {
	Disabled bool `json:"disabled"`
}

// keyRow is a device's key that they named.
type keyRow struct {
	Usr     string `json:"usr"`
	Dev     string `json:"dev"`
	Revoked bool   `json:"revoked"`
}

// upgrade gives a queue of an older version the buckets that it lacks, with what its events still tell. A crash leaves them out, and the next
// start makes them.
func (q *queue) upgrade() error {
	missing := false
	err := q.db.View(func(tx *bolt.Tx) error {
		missing = tx.Bucket(bucketAsked) == nil
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return q.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketUsers, bucketKeys, bucketAsked} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketEvents).ForEach(func(_, line []byte) error {
			var e wire.Event
			if err := json.Unmarshal(line, &e); err != nil || e.Kind != wire.KindDir {
				return err
			}
			return learn(tx, e.Data)
		})
	})
}

// learn takes note of whom a directory event names. One that the relay cannot read tells it nothing: judging it is the archive's.
func learn(tx *bolt.Tx, data string) error {
	var e struct {
		Op  string          `json:"op"`
		Usr string          `json:"usr"`
		Dev string          `json:"dev"`
		JWK json.RawMessage `json:"jwk"`
		Kid string          `json:"kid"`
	}
	if len(data) > envelope.MaxDirEvent || ijson.Unmarshal([]byte(data), &e) != nil || e.Usr == "" {
		return nil
	}
	switch e.Op {
	case envelope.OpUserUpsert:
		return learnUser(tx, e.Usr)
	case envelope.OpDeviceAdd:
		pub, err := jws.ParseJWK(e.JWK)
		if err != nil {
			return nil
		}
		kid, err := jws.Thumbprint(pub)
		if err != nil {
			return nil
		}
		if err := learnUser(tx, e.Usr); err != nil || tx.Bucket(bucketKeys).Get([]byte(kid)) != nil {
			return err
		}
		return putRow(tx, bucketKeys, kid, keyRow{Usr: e.Usr, Dev: e.Dev})
	case envelope.OpDeviceRevoke:
		var row keyRow
		if found, err := getRow(tx, bucketKeys, e.Kid, &row); err != nil || !found || row.Usr != e.Usr || row.Dev != e.Dev {
			return err
		}
		row.Revoked = true
		return putRow(tx, bucketKeys, e.Kid, row)
	}
	return nil
}

// learnUser adds a usr that is new. A user who is disabled stays so, whatever the vendor's directory says: only the vendor undoes it.
func learnUser(tx *bolt.Tx, usr string) error {
	if tx.Bucket(bucketUsers).Get([]byte(usr)) != nil {
		return nil
	}
	return putRow(tx, bucketUsers, usr, userRow{})
}

// isBarred reports whether s comes from somebody whom the archive had shut out.
func isBarred(tx *bolt.Tx, s Submission) (bool, error) {
	if s.Kind != wire.KindEnv || s.Usr == "" && s.Key == "" {
		return false, nil
	}
	var user userRow
	var key keyRow
	if _, err := getRow(tx, bucketUsers, s.Usr, &user); err != nil || user.Disabled {
		return true, err
	}
	if found, err := getRow(tx, bucketKeys, s.Key, &key); err != nil || !found || key.Revoked {
		return key.Revoked, err
	}
	// Whoever leaves the name out does not get past it.
	_, err := getRow(tx, bucketUsers, key.Usr, &user)
	return user.Disabled, err
}

func putRow(tx *bolt.Tx, bucket []byte, key string, row any) error {
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put([]byte(key), b)
}

func getRow(tx *bolt.Tx, bucket []byte, key string, row any) (bool, error) {
	b := tx.Bucket(bucket).Get([]byte(key))
	if b == nil {
		return false, nil
	}
	if err := json.Unmarshal(b, row); err != nil {
		return false, fmt.Errorf("the queue's directory cannot be read; its file is damaged: %w", err)
	}
	return true, nil
}

// provision does what the archive asks for, once: the request, what it changes and the events that tell of it are one transaction. A crash
// before the commit leaves none of it, after the commit all of it; the archive, who has no answer, asks again under the same id.
func (q *queue) provision(p *wire.Provision, now time.Time) error {
	if p.Arc != q.arc {
		return problem(403, wire.CodeWrongArchive, "the request is of another archive")
	}
	content := askedFor(p)
	news := false
	err := q.db.Update(func(tx *bolt.Tx) error {
		asked := tx.Bucket(bucketAsked)
		if old := asked.Get([]byte(p.ID)); old != nil {
			if !bytes.Equal(old, content) {
				return problem(409, wire.CodeIDReused, "this id stands for another request")
			}
			return nil
		}
		events, err := act(tx, p, now)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			if _, err := q.add(tx, events, now); err != nil {
				return err
			}
			news = true
		}
		return asked.Put([]byte(p.ID), content)
	})
	if err != nil {
		return fmt.Errorf("provision: %w", err)
	}
	if news {
		q.announce()
	}
	return nil
}

// askedFor is the hash of everything in a request but the time of its signature.
func askedFor(p *wire.Provision) []byte {
	h := sha256.New()
	for _, s := range []string{p.Op, p.Usr, p.Dev, p.Kid} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) // #nosec G115 -- at most 256 bytes
		h.Write([]byte(s))
	}
	return h.Sum(nil)
}

// act changes what the relay knows of a person or a device, and returns the events that tell of it.
func act(tx *bolt.Tx, p *wire.Provision, now time.Time) ([]Submission, error) {
	var user userRow
	found, err := getRow(tx, bucketUsers, p.Usr, &user)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem(404, wire.CodeUnknownUser, "there is no such user here")
	}
	if p.Op == wire.OpUserDisable {
		return nil, putRow(tx, bucketUsers, p.Usr, userRow{Disabled: true})
	}
	var key keyRow
	found, err = getRow(tx, bucketKeys, p.Kid, &key)
	if err != nil {
		return nil, err
	}
	if !found || key.Usr != p.Usr || key.Dev != p.Dev {
		return nil, problem(404, wire.CodeUnknownDevice, "this user has no such device, or not under this key")
	}
	var id [16]byte
	// crypto/rand's Read never fails.
	_, _ = rand.Read(id[:])
	event := Submission{ID: jws.EncodeB64(id[:])}
	switch p.Op {
	case wire.OpDeviceRevoke:
		if key.Revoked {
			return nil, nil // the first revocation holds, and was told
		}
		key.Revoked = true
		data, err := envelope.DeviceRevokeEvent(p.Usr, p.Dev, p.Kid, now)
		if err != nil {
			return nil, err
		}
		event.Kind, event.Data = wire.KindDir, string(data)
		return []Submission{event}, putRow(tx, bucketKeys, p.Kid, key)
	case wire.OpDeviceWipe:
		data, err := json.Marshal(wipe{p.Usr, p.Dev, p.Kid, p.ID})
		if err != nil {
			return nil, err
		}
		event.Kind, event.Data = wire.KindWipe, string(data)
		return []Submission{event}, nil
	}
	return nil, problem(501, wire.CodeNotSupported, "this relay does not do that")
}

// wipe is the data of a relay.wipe event that a provision request led to.
type wipe struct {
	Usr       string `json:"usr"`
	Dev       string `json:"dev"`
	Kid       string `json:"kid"`
	Provision string `json:"provision"`
}

func (r *Relay) serveProvision(w http.ResponseWriter, req *http.Request) error {
	compact, pub, err := r.signed(w, req, wire.MaxProvision)
	if err != nil {
		return err
	}
	p, err := wire.ParseProvision(compact, pub)
	if err != nil {
		return refuseJWS(err)
	}
	if err := r.queue.provision(p, time.Now()); err != nil {
		return err
	}
	body, err := wire.AppendAccepted(nil, p.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(body)
	return hungUp(err)
}
