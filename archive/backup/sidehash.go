package backup

import (
	"crypto/sha256"
	"hash"
)

// sideHash hashes what is written to it on another core, while the disk is read
// or written. Who makes one calls sum, once, whatever else went wrong: that ends
// its goroutine.
type sideHash struct {
	h    hash.Hash
	full chan []byte
	free chan []byte
	done chan struct{}
}

// A part is handed over at a time, and so many are under way.
const (
	sideBytes = 256 << 10
	sideParts = 4
)

func newSideHash() *sideHash {
	s := &sideHash{h: sha256.New(), full: make(chan []byte, sideParts), free: make(chan []byte, sideParts), done: make(chan struct{})}
	for range sideParts {
		s.free <- nil
	}
	go func() {
		defer close(s.done)
		for part := range s.full {
			s.h.Write(part)
			s.free <- part
		}
	}()
	return s
}

// Write copies p, all of which is hashed once sum returns.
func (s *sideHash) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), sideBytes)
		s.full <- append((<-s.free)[:0], rest[:n]...)
		rest = rest[n:]
	}
	return len(p), nil
}

// sum ends the hash and returns it.
func (s *sideHash) sum() []byte {
	close(s.full)
	<-s.done
	return s.h.Sum(nil)
}
