package retention

import (
	"strings"
	"testing"
	"testing/synctest"
)

// What a run switches can be certified: the longest ranges that it takes fit,
// signed, into an entry.
func TestTheLongestRangesFitIntoACertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newStage(t)
		if _, err := s.book.signed(&Statement{Class: "general", Month: "2000-01", Ranges: strings.Repeat("A", maxRanges)}); err != nil {
			t.Error(err)
		}
		if _, err := s.book.signed(&Statement{Class: "general", Month: "2000-01", Ranges: strings.Repeat("A", 2*maxRanges)}); err == nil {
			t.Error("there is no need for the limit")
		}
	})
}
