package people

import (
	"errors"
	"fmt"
	"testing"
)

// TestEntryFitsIntoTheLog: a change that no entry can hold is refused here,
// before anything of its synchronisation is appended.
func TestEntryFitsIntoTheLog(t *testing.T) {
	list := func(prefix byte) []GUID {
		out := make([]GUID, MaxMembers)
		for i := range out {
			out[i] = GUID(fmt.Sprintf("%c0000000-0000-4000-8000-%012d", prefix, i))
		}
		return out
	}
	c := Change{Op: OpChange, Group: &Group{GUID: id('g', 1)}, Added: list('1')}
	if _, err := c.Entry(); err != nil {
		t.Errorf("%d members join: %v", MaxMembers, err)
	}
	if c.Removed = list('2'); c.check() != nil {
		t.Fatal("this is about the entry's size alone")
	}
	if _, err := c.Entry(); !errors.Is(err, ErrInvalid) {
		t.Errorf("twice as many change: %v", err)
	}
}
