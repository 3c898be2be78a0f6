package load

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"holdfast/internal/durable"
)

// The buckets of load.db.
var (
	bucketPeople  = []byte("people")  // usr -> person as JSON
	bucketDevices = []byte("devices") // dev -> deviceRow as JSON
	bucketLines   = []byte("lines")   // a line's id -> sent as JSON
	bucketMeta    = []byte("meta")    // "outbox" -> []outgoing as JSON, "keyset" -> highest version seen, u64
	keyOutbox     = []byte("outbox")
	keyKeyset     = []byte("keyset")
)

// person is who a client shows as sender or recipient.
type person struct {
	Usr  string `json:"usr"`
	UPN  string `json:"upn"`
	Mail string `json:"mail"`
	Name string `json:"name"`
}

// deviceRow is a device with its secret and its place in its own stream.
type deviceRow struct {
	Dev  string    `json:"dev"`
	Usr  string    `json:"usr"`
	Key  []byte    `json:"key"` // PKCS #8
	N    uint64    `json:"n"`
	Prev string    `json:"prev"`
	Last time.Time `json:"last"` // sent of its last message
}

// device is a deviceRow in use.
type device struct {
	row    deviceRow
	signer crypto.Signer
	dirty  bool // changed since the last batch
	sent   bool // sent something in this run
}

// sent is what a later line needs to refer to an earlier one.
type sent struct {
	Dev    string `json:"dev"`
	Mid    string `json:"mid"`
	Digest string `json:"digest"`
}

// outgoing is an event on its way: a dir event's data, or a message's JWS, which is sealed only when it is handed in.
type outgoing struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Data string `json:"data"`
	Usr  string `json:"usr,omitempty"` // of a message: its sender
	Key  string `json:"key,omitempty"` // of a message: thumbprint of its device's key
}

// blob is a sealed attachment on its way.
type blob struct {
	bid    string
	sealed []byte
}

// batch is what becomes durable and is handed in together.
type batch struct {
	out    []outgoing
	blobs  []blob
	people map[string]person
	device map[string]deviceRow
	lines  map[string]sent
	bytes  int
}

// state is the durable memory of all simulated clients. One process may have it open.
type state struct{ db *bolt.DB }

func openState(dir string) (*state, error) {
	path := filepath.Join(dir, "load.db")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := createState(path); err != nil {
			return nil, fmt.Errorf("make the clients' state: %w", err)
		}
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("open %s; is another load running? %w", path, err)
	}
	return &state{db: db}, nil
}

// createState finishes the file under another name: a torn first write would make bbolt panic. A crash before Publish leaves no state.
func createState(path string) error {
	temp := path + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(temp, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketPeople, bucketDevices, bucketLines, bucketMeta} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return durable.Publish(temp, path)
}

func (s *state) close() error { return s.db.Close() }

// commit makes a batch and the clients' state after it durable, in one transaction, in place of the batch before.
func (s *state) commit(b *batch) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		for usr, p := range b.people {
			if err := putJSON(tx, bucketPeople, []byte(usr), p); err != nil {
				return err
			}
		}
		for dev, d := range b.device {
			if err := putJSON(tx, bucketDevices, []byte(dev), d); err != nil {
				return err
			}
		}
		for id, l := range b.lines {
			if err := putJSON(tx, bucketLines, []byte(id), l); err != nil {
				return err
			}
		}
		return putJSON(tx, bucketMeta, keyOutbox, b.out)
	})
	if err != nil {
		return fmt.Errorf("keep the clients' state: %w", err)
	}
	return nil
}

func putJSON(tx *bolt.Tx, bucket, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put(key, b)
}

// get decodes a value into v and reports whether there is one.
func (s *state) get(bucket, key []byte, v any) (bool, error) {
	found := false
	err := s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket).Get(key)
		found = b != nil
		if !found {
			return nil
		}
		return json.Unmarshal(b, v)
	})
	if err != nil {
		return false, fmt.Errorf("the clients' state cannot be read: %w", err)
	}
	return found, nil
}

func (s *state) outbox() (out []outgoing, err error) {
	_, err = s.get(bucketMeta, keyOutbox, &out)
	return out, err
}

func (s *state) clearOutbox() error {
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyOutbox) })
}

// seenKeyset refuses a keyset older than one seen before.
func (s *state) seenKeyset(version uint64) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketMeta)
		if old := b.Get(keyKeyset); len(old) == 8 && binary.BigEndian.Uint64(old) > version {
			return fmt.Errorf("%w: its version is lower than one seen before", ErrKeyset)
		}
		return b.Put(keyKeyset, binary.BigEndian.AppendUint64(nil, version))
	})
}

// devices returns the number of devices.
func (s *state) devices() (n int, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		n = tx.Bucket(bucketDevices).Stats().KeyN
		return nil
	})
	return n, err
}

// device returns a device, or nil.
func (s *state) device(dev string) (*device, error) {
	var row deviceRow
	found, err := s.get(bucketDevices, []byte(dev), &row)
	if err != nil || !found {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(row.Key)
	if err != nil {
		return nil, fmt.Errorf("the clients' state cannot be read: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the clients' state holds a key that cannot sign")
	}
	return &device{row: row, signer: signer}, nil
}

// newDevice makes a device's key: Ed25519, or ES256 for every other device.
func newDevice(usr, dev string, es256 bool) (*device, error) {
	var signer crypto.Signer
	var err error
	if es256 {
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, err
	}
	return &device{row: deviceRow{Dev: dev, Usr: usr, Key: der}, signer: signer}, nil
}
