package ingest

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// The pipeline against its floor. Metric x-open is the rate of open → verify → seal → leaf → commit with acks, from pages in memory to a
// durable log, divided by the rate of bare HPKE open + signature check of the same envelopes on the same cores in the same run.
func BenchmarkPipelineXWing(b *testing.B) { benchPipeline(b, envelope.XWing, jws.EdDSA) }
func BenchmarkPipelineP256(b *testing.B)  { benchPipeline(b, envelope.P256, jws.ES256) }

const (
	benchMessages = 12_000
	benchPage     = 1000
)

// fixedKeys gives each iteration's archive the keys that the prepared envelopes were sealed to.
type fixedKeys struct {
	*archive.Archive
	recipients []archive.RecipientKey
}

func (k fixedKeys) RecipientKeys() []archive.RecipientKey { return k.recipients }

// memoryRelay gives verified pages without a wire, so that what is measured begins at open.
type memoryRelay struct{ *fakeRelay }

func (r *memoryRelay) events(ctx context.Context, want wire.Expect, wait time.Duration) (*wire.Page, error) {
	if want.After == uint64(len(r.now.events)) {
		return nil, sleep(ctx, wait)
	}
	return r.page(want), nil
}

func benchPipeline(b *testing.B, kem envelope.KEM, alg string) {
	s := newSite(b)
	st := newStream(s, "e1")
	st.kem = kem
	var senders []*sender
	for range 20 {
		senders = append(senders, st.join(newID16(), alg))
	}
	first := len(st.events)
	texts := make([]string, benchMessages)
	inParallel(len(senders), runtime.GOMAXPROCS(0), func(i int) {
		for j := i; j < benchMessages; j += len(senders) {
			texts[j] = st.message(senders[i], strings.Repeat("wards ", 33)+"ok") // 200 bytes
		}
	})
	for _, text := range texts {
		st.add(wire.KindEnv, text)
	}
	bare := newBare(b, s, st.events[first:], senders, kem)
	recipients := s.archive.RecipientKeys()

	var busy, floor spent
	for b.Loop() {
		b.StopTimer()
		bare.run(&floor)
		one := newSite(b)
		one.enrol = s.enrol
		one.reopen()
		r := &rig{site: one, st: st, relay: newFakeRelay(b, one, st)}
		o := Options{
			HeadKey: r.relay.key.Public().(ed25519.PublicKey), Log: one.archive, Blobs: one.archive,
			Keys: fixedKeys{one.archive, recipients}, State: one, PageLimit: benchPage,
		}
		check(b, o.defaults())
		r.client = newClient(o, testArc, &memoryRelay{r.relay})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		want := uint64(len(st.events))
		finished := make(chan struct{})
		r.relay.onAck = func(a *wire.Ack) error {
			if a.Seq == want {
				close(finished)
			}
			return nil
		}
		b.StartTimer()
		began := now()
		go func() { done <- r.client.Run(ctx) }()
		<-finished
		busy.since(began)
		b.StopTimer()
		cancel()
		check(b, <-done)
		bare.run(&floor)
		one.close()
		b.StartTimer()
	}
	n := float64(b.N * benchMessages)
	b.ReportMetric(floor.wall.Seconds()/2/busy.wall.Seconds(), "x-open")
	b.ReportMetric(floor.cpu.Seconds()/2/busy.cpu.Seconds(), "x-open-cpu")
	b.ReportMetric(n/busy.wall.Seconds(), "acked/s")
}

// spent is time by the wall's clock and by the processor's, of all threads: where others use the machine too, their ratio tells what the
// wall's does not.
type spent struct{ wall, cpu time.Duration }

func now() spent {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return spent{}
	}
	return spent{time.Since(epochOfBench), time.Duration(u.Utime.Nano() + u.Stime.Nano())}
}

var epochOfBench = time.Now()

func (s *spent) since(began spent) {
	end := now()
	s.wall += end.wall - began.wall
	s.cpu += end.cpu - began.cpu
}

// bare is the floor: each envelope's HPKE open and its signature's check, with nothing else.
type bare struct {
	key    hpke.PrivateKey
	sealed [][]byte
	infos  [][]byte
	check  []func() bool
	b      *testing.B
}

func newBare(b *testing.B, s *site, events []wire.Event, senders []*sender, kem envelope.KEM) *bare {
	x := &bare{b: b}
	for _, r := range s.archive.RecipientKeys() {
		if envelope.KEM(r.KEM) != kem {
			continue
		}
		k := hpke.DHKEM(ecdh.P256())
		if kem == envelope.XWing {
			k = hpke.MLKEM768X25519()
		}
		var err error
		x.key, err = k.NewPrivateKey(r.Private)
		check(b, err)
	}
	for i, e := range events {
		parts := strings.Split(e.Data, ".")
		header, err := base64.RawURLEncoding.DecodeString(parts[1])
		check(b, err)
		sealed, err := base64.RawURLEncoding.DecodeString(parts[2])
		check(b, err)
		x.sealed = append(x.sealed, sealed)
		x.infos = append(x.infos, append([]byte("AMX1\x00"), header...))
		plain, err := hpke.Open(x.key, hpke.HKDFSHA256(), hpke.AES256GCM(), x.infos[i], sealed)
		check(b, err)
		c, err := jws.Parse([]byte(strings.TrimRight(string(plain), " ")), envelope.TypMessage)
		check(b, err)
		x.check = append(x.check, signatureCheck(senders[i%len(senders)].key.Public(), c))
	}
	return x
}

func signatureCheck(pub crypto.PublicKey, c *jws.Compact) func() bool {
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		return func() bool { return ed25519.Verify(pub, c.SigningInput, c.Signature) }
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(c.Signature[:32]), new(big.Int).SetBytes(c.Signature[32:])
		return func() bool {
			sum := sha256.Sum256(c.SigningInput)
			return ecdsa.Verify(pub, sum[:], r, s)
		}
	}
	return func() bool { return false }
}

func (x *bare) run(floor *spent) {
	began := now()
	inParallel(len(x.sealed), runtime.GOMAXPROCS(0), func(i int) {
		if _, err := hpke.Open(x.key, hpke.HKDFSHA256(), hpke.AES256GCM(), x.infos[i], x.sealed[i]); err != nil {
			x.b.Error(err)
		}
		if !x.check[i]() {
			x.b.Error("signature")
		}
	})
	floor.since(began)
}
