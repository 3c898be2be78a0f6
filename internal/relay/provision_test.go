package relay

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// phone is a device of one person, known to the relay by its directory events.
func (g *rig) phone(usr, dev string) (kid string) {
	g.t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	user, err := envelope.UserUpsertEvent(envelope.User{Usr: usr})
	if err != nil {
		g.t.Fatal(err)
	}
	device, err := envelope.DeviceAdd{Arc: arc, Usr: usr, Dev: dev, Key: key}.Event()
	if err != nil {
		g.t.Fatal(err)
	}
	g.dirEvent(user)
	g.dirEvent(device)
	if kid, err = jws.Thumbprint(key.Public()); err != nil {
		g.t.Fatal(err)
	}
	return kid
}

func (g *rig) dirEvent(data []byte) {
	g.t.Helper()
	if _, err := g.relay.Submit(context.Background(), []Submission{{ID: newTestID(), Kind: wire.KindDir, Data: string(data)}}); err != nil {
		g.t.Fatal(err)
	}
}

func newTestID() string { return jws.EncodeB64([]byte(time.Now().Format("15:04:05.000000000"))) }

// takes reports whether the relay takes an envelope of a device.
func (g *rig) takes(usr, kid string) bool {
	g.t.Helper()
	id := newTestID()
	rec, err := g.relay.Submit(context.Background(), []Submission{{ID: id, Kind: wire.KindEnv, Data: "x", Usr: usr, Key: kid}})
	if err != nil || rec.Accepted+len(rec.Refused) != 1 || len(rec.Refused) == 1 && rec.Refused[0] != id {
		g.t.Fatalf("%+v, %v", rec, err)
	}
	return rec.Accepted == 1
}

func signed(t *testing.T, p wire.Provision, key crypto.Signer) []byte {
	t.Helper()
	compact, err := p.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func (g *rig) provision(p wire.Provision) []byte {
	g.t.Helper()
	p.Arc, p.Time = arc, time.Now()
	return g.do("POST", "provision", signed(g.t, p, identity), 200)
}

// drain returns what the relay has queued since the last call.
func (g *rig) drain() []wire.Event {
	g.t.Helper()
	page, err := g.pull(1000, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	return page.Events
}

func TestProvision(t *testing.T) {
	g := newRig(t, "")
	phone, tablet, other := g.phone("ann", "phone"), g.phone("ann", "tablet"), g.phone("bob", "phone")
	for _, kid := range []string{phone, tablet} {
		if !g.takes("ann", kid) {
			t.Fatal("a device is barred from the start")
		}
	}
	g.drain()

	revoke := wire.Provision{ID: "r", Op: wire.OpDeviceRevoke, Usr: "ann", Dev: "phone", Kid: phone}
	if answer := g.provision(revoke); string(answer) != `{"accepted":"r"}` {
		t.Errorf("answer %s", answer)
	}
	events := g.drain()
	if len(events) != 1 || events[0].Kind != wire.KindDir {
		t.Fatalf("after a revocation: %+v", events)
	}
	var said struct{ Op, Usr, Dev, Kid, At string }
	if err := json.Unmarshal([]byte(events[0].Data), &said); err != nil || said.Op != "device.revoke" || said.Usr != "ann" || said.Dev != "phone" || said.Kid != phone {
		t.Errorf("%+v, %v", said, err)
	}
	if g.takes("ann", phone) || !g.takes("ann", tablet) || !g.takes("bob", other) {
		t.Error("who is barred after a revocation")
	}

	g.provision(wire.Provision{ID: "w", Op: wire.OpDeviceWipe, Usr: "ann", Dev: "tablet", Kid: tablet})
	events = slices.DeleteFunc(g.drain(), func(e wire.Event) bool { return e.Kind == wire.KindEnv })
	if len(events) != 1 || events[0].Kind != wire.KindWipe ||
		events[0].Data != `{"usr":"ann","dev":"tablet","kid":"`+tablet+`","provision":"w"}` {
		t.Errorf("after a wipe: %+v", events)
	}
	if !g.takes("ann", tablet) {
		t.Error("a wipe shuts the device out")
	}

	g.provision(wire.Provision{ID: "d", Op: wire.OpUserDisable, Usr: "ann"})
	for name, taken := range map[string]bool{
		"named": g.takes("ann", tablet), "without a key": g.takes("ann", ""), "without a name": g.takes("", tablet), "another's name": g.takes("bob", tablet),
	} {
		if taken {
			t.Errorf("a disabled user's envelope, %s, was taken", name)
		}
	}
	if !g.takes("bob", other) || !g.takes("", "") {
		t.Error("somebody else is barred")
	}
	// The vendor's directory says the person's name again: that gives them nothing back.
	g.phone("ann", "new")
	if g.takes("ann", "") {
		t.Error("an upsert enabled a disabled user")
	}

	// Asked again, also after a restart: the same answer, and nothing happens twice.
	g.drain()
	g.stop()
	g.open("")
	for _, p := range []wire.Provision{revoke, {ID: "w", Op: wire.OpDeviceWipe, Usr: "ann", Dev: "tablet", Kid: tablet}, {ID: "d", Op: wire.OpUserDisable, Usr: "ann"},
		{ID: "r2", Op: wire.OpDeviceRevoke, Usr: "ann", Dev: "phone", Kid: phone}} {
		g.provision(p)
	}
	if events := g.drain(); len(events) != 0 {
		t.Errorf("asked again: %+v", events)
	}
	if g.takes("ann", tablet) {
		t.Error("a restart enabled a disabled user")
	}
}

func TestProvisionRefused(t *testing.T) {
	g := newRig(t, "")
	kid := g.phone("ann", "phone")
	otherKid := g.phone("bob", "phone")
	good := wire.Provision{Arc: arc, ID: "r", Op: wire.OpDeviceRevoke, Usr: "ann", Dev: "phone", Kid: kid, Time: time.Now()}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(p *wire.Provision)) []byte {
		p := good
		change(&p)
		return signed(t, p, identity)
	}
	g.drain()
	for name, tt := range map[string]struct {
		body   []byte
		status int
		code   string
	}{
		"another key's":        {signed(t, good, stranger), 403, wire.CodeBadSignature},
		"another archive's":    {with(func(p *wire.Provision) { p.Arc = "other.example" }), 403, wire.CodeWrongArchive},
		"an unknown user":      {with(func(p *wire.Provision) { p.Usr = "nobody" }), 404, wire.CodeUnknownUser},
		"an unknown key":       {with(func(p *wire.Provision) { p.Kid = jws.EncodeB64(make([]byte, 32)) }), 404, wire.CodeUnknownDevice},
		"another's key":        {with(func(p *wire.Provision) { p.Kid = otherKid }), 404, wire.CodeUnknownDevice},
		"another device's key": {with(func(p *wire.Provision) { p.Dev = "tablet" }), 404, wire.CodeUnknownDevice},
		"no JWS":               {[]byte("x"), 400, wire.CodeBadRequest},
		"too large":            {bytes.Repeat([]byte("x"), wire.MaxProvision+1), 413, wire.CodeTooLarge},
	} {
		if p := g.problem("POST", "provision", tt.body); p.Status != tt.status || p.Code != tt.code {
			t.Errorf("%s: %v", name, p)
		}
	}
	if len(g.drain()) != 0 || !g.takes("ann", kid) {
		t.Error("a refused request did something")
	}
	// What was refused may be asked for again under its id; what was accepted stands for itself alone.
	g.provision(good)
	if p := g.problem("POST", "provision", with(func(p *wire.Provision) { p.Op = wire.OpDeviceWipe })); p.Status != 409 || p.Code != wire.CodeIDReused {
		t.Errorf("another request under the id: %v", p)
	}
}

// A queue from before provisioning learns who is who from the events that it still has.
func TestAnOlderQueueIsUpgraded(t *testing.T) {
	g := newRig(t, "")
	kid := g.phone("ann", "phone")
	g.stop()
	db, err := bolt.Open(queuePath(g.dir), 0o600, boltOptions())
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return errors.Join(tx.DeleteBucket(bucketUsers), tx.DeleteBucket(bucketKeys), tx.DeleteBucket(bucketAsked))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	g.open("")
	g.provision(wire.Provision{ID: "r", Op: wire.OpDeviceRevoke, Usr: "ann", Dev: "phone", Kid: kid})
	if g.takes("ann", kid) {
		t.Error("a device of before the upgrade is not revoked")
	}
}

func TestHostileDirectoryEventsTeachNothing(t *testing.T) {
	g := newRig(t, "")
	kid := g.phone("ann", "phone")
	for _, data := range []string{"", "{", `{"op":"user.upsert"}`, `{"op":"device.add","usr":"u","dev":"d"}`, `{"op":"device.add","usr":"u","dev":"d","jwk":{}}`,
		`{"op":"device.revoke","usr":"bob","dev":"phone","kid":"` + kid + `"}`, `{"op":"device.revoke","usr":"ann","dev":"x","kid":"` + kid + `"}`} {
		g.dirEvent([]byte(data))
	}
	if !g.takes("ann", kid) {
		t.Error("a revocation by another user or of another device counted")
	}
	if revoke, err := envelope.DeviceRevokeEvent("ann", "phone", kid, time.Now()); err != nil {
		t.Fatal(err)
	} else if g.dirEvent(revoke); g.takes("ann", kid) {
		t.Error("the vendor's own revocation does not count")
	}
}
