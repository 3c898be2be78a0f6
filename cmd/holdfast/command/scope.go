package command

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

// scopeHelp explains a hold's scope.
const scopeHelp = `The scope is what all the kinds given have in common, and of one kind any: --custodian berg
--custodian dahl --conversation c1 holds what either of them sent or received in that conversation.
Custodians and groups are one kind. A custodian is held by identity, under every name and address
that they ever had; usr: and a relay user names one who is nobody's. --group holds everyone who is,
was or becomes a member; leaving it releases nobody. --query holds what matches, now and in future.
--from and --to bound when a message was sent or received: from the first on, and before the second;
an end that is not given is open. --all holds everything in the range.

` + whenHelp

// scopeOptions are the flags of a scope. prefix stands before each name, so
// that a command can take a second scope beside its own options.
type scopeOptions struct {
	custodians, groups, conversations []string
	query, queryFile                  string
	from, to                          string
	all                               bool
	prefix                            string
}

func (o *scopeOptions) addFlags(cmd *cobra.Command, prefix, verb string) {
	o.prefix = prefix
	f := cmd.Flags()
	f.StringArrayVar(&o.custodians, prefix+"custodian", nil, verb+" what this person sent or received: `WHO`, by any name they ever had; may be repeated")
	f.StringArrayVar(&o.groups, prefix+"group", nil, verb+" what the members of this `GROUP` sent or received; may be repeated")
	f.StringArrayVar(&o.conversations, prefix+"conversation", nil, verb+" this conversation, by its `ID`; may be repeated")
	f.StringVar(&o.query, prefix+"query", "", verb+" what this `QUERY` finds")
	f.StringVar(&o.queryFile, prefix+"query-file", "", "read that query from `FILE`, or from stdin with -, so that it stands neither in a shell's history nor in ps")
	f.StringVar(&o.from, prefix+"from", "", verb+" only what was sent or received from this `DATE` on")
	f.StringVar(&o.to, prefix+"to", "", verb+" only what was sent or received before this `DATE`")
	f.BoolVar(&o.all, prefix+"all", false, verb+" everything in the range")
}

// given reports whether any flag of the scope was.
func (o *scopeOptions) given() bool {
	return len(o.custodians)+len(o.groups)+len(o.conversations) > 0 || o.query != "" || o.queryFile != "" || o.from != "" || o.to != "" || o.all
}

// read returns the scope as it was typed, with its query from a file where that
// was said. Nothing of it is repeated in an error.
func (o *scopeOptions) read(ctx context.Context, g *globals) (*api.ScopeRequest, error) {
	s := &api.ScopeRequest{All: o.all, Custodians: o.custodians, Groups: o.groups, Conversations: o.conversations, Query: o.query, From: o.from, To: o.to}
	p := "--" + o.prefix
	if err := errors.Join(checkWhen(p+"from", s.From), checkWhen(p+"to", s.To)); err != nil {
		return nil, err
	}
	values := slices.Concat(s.Custodians, s.Groups, s.Conversations)
	if slices.ContainsFunc(values, func(v string) bool { return strings.TrimSpace(v) == "" }) {
		return nil, usage("%[1]scustodian, %[1]sgroup and %[1]sconversation name somebody or something", p)
	}
	if o.queryFile != "" {
		if o.query != "" {
			return nil, usage("give %squery or %squery-file, and not both", p, p)
		}
		b, err := wait(ctx, func() ([]byte, error) { return readQuery(o.queryFile, g.In) })
		if err != nil {
			return nil, err
		}
		s.Query = strings.TrimRight(string(b), "\r\n")
		if s.Query == "" {
			return nil, usage("the query file is empty")
		}
	}
	if err := checkEncoding(s.Query); err != nil {
		return nil, err
	}
	g.query = s.Query
	narrow := len(values) > 0 || s.Query != ""
	switch {
	case s.All && narrow:
		return nil, usage("%sall is everything in the range: leave it away to hold only what the others name", p)
	case !s.All && !narrow:
		return nil, usage("say what is held: %[1]scustodian, %[1]sgroup, %[1]sconversation, %[1]squery, or %[1]sall for everything in the range", p)
	}
	return s, nil
}

// scopeFields describe a scope, a line a kind.
func scopeFields(s *api.Scope) []field {
	fields := []field{
		{"custodians", refNames(s.People, s.Custodians)},
		{"groups", strings.Join(s.Groups, ", ")},
		{"conversations", strings.Join(s.Conversations, ", ")},
		{"query", s.Query},
	}
	if s.All {
		fields = append(fields, field{"everything", "whoever wrote it, and wherever"})
	}
	return append(fields, field{"sent or received", between(s.From, s.To)})
}

// refNames lists identities, those who are people of the directory with their
// names.
func refNames(people []api.Ref, identities []string) string {
	list := make([]string, 0, len(identities))
	for _, id := range identities {
		i := slices.IndexFunc(people, func(p api.Ref) bool { return p.GUID == strings.TrimPrefix(id, "person:") })
		if i >= 0 && people[i].Name != "" {
			id = people[i].Name + " (" + people[i].GUID + ")"
		}
		list = append(list, id)
	}
	return strings.Join(list, ", ")
}
