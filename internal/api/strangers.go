package api

import (
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// strangers bounds how many requests without a session one address may make:
// logins, health checks and tokens that open nothing. Requests with a session
// are not counted, so that a stranger behind the same address keeps nobody out.
type strangers struct {
	mu     sync.Mutex
	places map[netip.Prefix]*bucket
	rest   bucket    // of all addresses beyond maxPlaces
	swept  time.Time // when those that are full again were last forgotten
}

// bucket lets burst requests pass at once, and one more each refill.
type bucket struct {
	spent float64 // of burst
	at    time.Time
}

const (
	burst     = 60
	refill    = time.Second
	maxPlaces = 4096 // addresses remembered
)

// admit counts one request from address, or is the problem to answer with.
func (f *strangers) admit(address string, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bucket(address, now).take(now) {
		return nil
	}
	return &Problem{Title: "too many requests without a session come from this address", Status: http.StatusTooManyRequests, Code: CodeTooMany, Exit: ExitTemporary,
		Hint: "wait a minute, then log in again"}
}

func (f *strangers) bucket(address string, now time.Time) *bucket {
	key := placeOf(address)
	if b, ok := f.places[key]; ok {
		return b
	}
	if len(f.places) >= maxPlaces && now.Sub(f.swept) >= refill {
		f.swept = now
		for k, b := range f.places {
			if b.left(now) == burst {
				delete(f.places, k)
			}
		}
	}
	if len(f.places) >= maxPlaces {
		return &f.rest
	}
	b := &bucket{}
	f.places[key] = b
	return b
}

// placeOf returns the block that one machine has to itself: an IPv4 address, or
// the /64 of an IPv6 one.
func placeOf(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(ip, bits).Masked()
}

func (b *bucket) left(now time.Time) float64 {
	return min(burst, burst-b.spent+max(0, float64(now.Sub(b.at))/float64(refill)))
}

func (b *bucket) take(now time.Time) bool {
	left := b.left(now)
	if left < 1 {
		return false
	}
	b.spent, b.at = burst-left+1, now
	return true
}
