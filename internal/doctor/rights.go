package doctor

import (
	"context"
	"fmt"
	"strings"
)

// Rights are what the account that reads the directory turned out to be able to do.
type Rights struct {
	Person, Group bool     // it reads at least one of each
	Writes        []string // names of attributes and classes that it may write or make
}

// rights tries the account that is to read the directory.
func (p *Preflight) rights(ctx context.Context) Finding {
	if p.Directory == nil {
		return warn("directory-rights", "not tried: no directory is named", "Give --config FILE with a [directory], once there is one.")
	}
	r, err := p.Directory(ctx)
	if err != nil {
		said, fix, found := strings.Cut(err.Error(), "; ") // as ldapsync.Failure has it
		if !found {
			fix = "check [directory] and the network"
		}
		return fatal("directory-rights", "the directory does not answer the account: "+said, strings.ToUpper(fix[:1])+fix[1:]+".")
	}
	switch {
	case !r.Person:
		return fatal("directory-rights", "the account finds no person below [directory] base", "Check [directory] base and filter, and give the account the right to read people there.")
	case !r.Group:
		return fatal("directory-rights", "the account finds no group below [directory] group_base", "Check [directory] group_base, and give the account the right to read groups there.")
	case len(r.Writes) > 0:
		return warn("directory-rights", fmt.Sprintf("the account may change the directory, %d kinds of things: %s", len(r.Writes), strings.Join(r.Writes[:min(len(r.Writes), 4)], ", ")),
			"Use an account that is in no group but Domain Users and has no delegated rights: Holdfast only reads, and whoever gets hold of the password should not be able to do more.").with("writes", float64(len(r.Writes)))
	}
	return fine("directory-rights", "the account binds, reads people and groups, and may change nothing").with("writes", 0)
}
