package envelope

import (
	"cmp"
	"crypto"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"holdfast/internal/jws"
)

// Position is a place in the relay's stream: the ordinal of the epoch, from 0, and the relay's seq in it.
type Position struct {
	Epoch uint32 `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool { return p.compare(q) < 0 }

func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.Seq, q.Seq))
}

// Assurance says how far a device's belonging to its person can be relied on (AMX/1 §4).
type Assurance string

// The two assurances.
const (
	Enrolled      Assurance = "enrolled"       // the hospital, or a device that it enrolled, vouched for the key
	RelayAsserted Assurance = "relay-asserted" // the relay says so
)

// User is a person as of a place.
type User struct {
	Usr  string `json:"usr"`
	UPN  string `json:"upn"`
	Mail string `json:"mail"`
	Name string `json:"name"`
}

// Device is a device's key as of a place.
type Device struct {
	Usr       string
	Dev       string
	Kid       string // RFC 7638 thumbprint of Key
	Key       crypto.PublicKey
	Assurance Assurance
	Revoked   bool
}

// Pins are the keys that the hospital configured and the relay cannot change.
type Pins struct {
	Enrol crypto.PublicKey // the enrolment key; nil if the hospital has none, then no first device is enrolled
}

// Check refuses an enrolment key that could never verify anything.
func (p Pins) Check() error {
	if p.Enrol == nil {
		return nil
	}
	if _, err := jws.Thumbprint(p.Enrol); err != nil {
		return fmt.Errorf("enrolment key: %w; use an Ed25519 or P-256 public key", err)
	}
	return nil
}

// A Directory is every person and device key that the relay has told of, with the whole history, so that a message is judged by what
// held at its place in the stream, whenever that is done. It is in memory and rebuilt from the log by Apply with the recorded verdicts.
//
// Any number of goroutines may read while one applies. Records are never changed once they are in a table: Apply puts a new one in place
// of the old, so a reader's record stays whole, and Clone shares all of them.
type Directory struct {
	arc      string
	pins     Pins
	enrolKid string // thumbprint of pins.Enrol, "" if there is none or it cannot be used

	mu   sync.RWMutex
	last Position // of the newest event applied
	some bool     // whether any was
	base *tables  // shared with clones; never written
	over tables   // what this directory changed since base; its own
}

type tables struct {
	people  map[string]*person
	devices map[string]*device
}

func newTables() tables { return tables{people: map[string]*person{}, devices: map[string]*device{}} }

// person is one usr. known is empty while the relay has named devices of the usr, but not yet the person.
type person struct {
	known   []userAt  // ascending by place
	kids    []string  // keys of the person's devices, in the order they were added
	tainted bool      // upn or mail changed, and no person has approved a device since: nobody vouches for this one's devices
	changed Position  // of the newest change of upn or mail; zero if there was none
	settled time.Time // when a person last approved a device after a change: a by that was signed before it does not count
}

type userAt struct {
	at   Position
	user User
}

// device is one key.
type device struct {
	usr, dev, kid string
	key           crypto.PublicKey
	assured       []assuranceAt // ascending by place; the first is where the key was added
	demoted       bool          // the person changed after the key was added: no event makes it enrolled again, only an approval
	revoked       bool
	revokedAt     Position
}

type assuranceAt struct {
	at        Position
	assurance Assurance
}

// NewDirectory returns an empty directory of the archive arc. Pins that fail Check enrol nobody.
func NewDirectory(arc string, pins Pins) *Directory {
	d := &Directory{arc: arc, pins: pins, base: &tables{}, over: newTables()}
	if kid, err := jws.Thumbprint(pins.Enrol); err == nil {
		d.enrolKid = kid
	}
	return d
}

// Clone returns a directory that starts equal and then goes its own way. It costs a copy of the table of what changed lately (at most
// about an eighth of all records, by pointer), now and then one of the whole table: cheap enough for one per page that has dir events.
func (d *Directory) Clone() *Directory {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed, all := len(d.over.people)+len(d.over.devices), len(d.base.people)+len(d.base.devices)
	if changed > 256+all/8 {
		merged := &tables{people: maps.Clone(d.base.people), devices: maps.Clone(d.base.devices)}
		if merged.people == nil {
			*merged = newTables()
		}
		maps.Copy(merged.people, d.over.people)
		maps.Copy(merged.devices, d.over.devices)
		d.base, d.over = merged, newTables()
	}
	return &Directory{arc: d.arc, pins: d.pins, enrolKid: d.enrolKid, last: d.last, some: d.some, base: d.base,
		over: tables{people: maps.Clone(d.over.people), devices: maps.Clone(d.over.devices)}}
}

// Last returns the place of the newest event applied; ok is false while there is none.
func (d *Directory) Last() (at Position, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.last, d.some
}

func (d *Directory) person(usr string) *person {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.heldPerson(usr)
}

func (d *Directory) device(kid string) *device {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.heldDevice(kid)
}

// heldPerson and heldDevice run with mu held.
func (d *Directory) heldPerson(usr string) *person {
	if p, ok := d.over.people[usr]; ok {
		return p
	}
	return d.base.people[usr]
}

func (d *Directory) heldDevice(kid string) *device {
	if dev, ok := d.over.devices[kid]; ok {
		return dev
	}
	return d.base.devices[kid]
}

// User returns the person as of a place, events at that place included.
func (d *Directory) User(usr string, at Position) (User, bool) {
	if p := d.person(usr); p != nil {
		return p.asOf(at)
	}
	return User{}, false
}

func (p *person) asOf(at Position) (User, bool) {
	i := sort.Search(len(p.known), func(i int) bool { return at.Before(p.known[i].at) })
	if i == 0 {
		return User{}, false
	}
	return p.known[i-1].user, true
}

// Device returns the key kid as of a place, events at that place included. A key that was added later is not there yet.
func (d *Directory) Device(kid string, at Position) (Device, bool) {
	if dev := d.device(kid); dev != nil {
		return dev.asOf(at)
	}
	return Device{}, false
}

func (v *device) asOf(at Position) (Device, bool) {
	i := sort.Search(len(v.assured), func(i int) bool { return at.Before(v.assured[i].at) })
	if i == 0 {
		return Device{}, false
	}
	return Device{Usr: v.usr, Dev: v.dev, Kid: v.kid, Key: v.key, Assurance: v.assured[i-1].assurance,
		Revoked: v.revoked && !at.Before(v.revokedAt)}, true
}

// NewestUser and NewestDevice return a person and a key as of now: of every event and approval applied.
func (d *Directory) NewestUser(usr string) (User, bool) { return d.User(usr, latest) }

// NewestDevice is to keys what NewestUser is to people.
func (d *Directory) NewestDevice(kid string) (Device, bool) { return d.Device(kid, latest) }

// ownDevice reports whether usr had a device dev at or before the place, revoked or not.
func (d *Directory) ownDevice(usr, dev string, at Position) bool {
	p := d.person(usr)
	if p == nil {
		return false
	}
	return slices.ContainsFunc(p.kids, func(kid string) bool {
		v, ok := d.Device(kid, at)
		return ok && v.Dev == dev
	})
}

// latest is after every place, and so after every approval, which counts from the place behind the newest event on.
var latest = Position{Epoch: math.MaxUint32, Seq: math.MaxUint64}

// Users yields every person as of now, ascending by usr.
func (d *Directory) Users() iter.Seq[User] {
	return func(yield func(User) bool) {
		for _, usr := range d.keys(func(t *tables) iter.Seq[string] { return maps.Keys(t.people) }) {
			if u, ok := d.User(usr, latest); ok && !yield(u) {
				return
			}
		}
	}
}

// Devices yields every device key as of now, ascending by kid.
func (d *Directory) Devices() iter.Seq[Device] {
	return func(yield func(Device) bool) {
		for _, kid := range d.keys(func(t *tables) iter.Seq[string] { return maps.Keys(t.devices) }) {
			if v, ok := d.Device(kid, latest); ok && !yield(v) {
				return
			}
		}
	}
}

func (d *Directory) keys(of func(*tables) iter.Seq[string]) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, t := range []*tables{d.base, &d.over} {
			for k := range of(t) {
				if !yield(k) {
					return
				}
			}
		}
	}))
}
