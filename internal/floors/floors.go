// Package floors keeps the house in order: it knows on which floor every
// package stands and reads the source tree to see that imports only go down,
// that each package says what it is for, and that what the project does not
// want in its tree is not there. Its test runs it on this tree. Nothing
// imports it. The floors are those of the design; the table below is the one
// place that says so in code.
package floors

import (
	"slices"
	"strings"
)

// module is the module path with its separator, in front of every import of a
// package of this tree.
const module = "holdfast/"

// place says where a package stands and what it may import.
type place struct {
	// floor is the package's height. A package imports packages of lower
	// floors only, never its own.
	floor int
	// only, if not nil, are all packages of this tree that it may import: less
	// than its floor would allow.
	only []string
	// tests says that only test files import the package.
	tests bool
}

// The ground that floor 0 stands on: packages that several of floor 0 import.
const (
	cellar = -2
	ground = -1
)

// places is the house, from the ground up. A package that is not in it fails
// the test: decide where it stands, then add it.
var places = map[string]place{
	"internal/build":   {floor: cellar},
	"internal/corpus":  {floor: cellar, tests: true},
	"internal/durable": {floor: cellar},
	"internal/ijson":   {floor: cellar},
	// Files that somebody else names, read without waiting at a pipe.
	"internal/regular": {floor: cellar},
	"internal/role":    {floor: cellar},
	"internal/jws":     {floor: ground},
	// Other people's machines that the archive tells something.
	"internal/outward": {floor: ground},

	"archive/proof":   {floor: 0},
	"archive/query":   {floor: 0},
	"archive/seal":    {floor: 0},
	"ingest/envelope": {floor: 0, only: []string{"internal/ijson", "internal/jws"}},
	"ingest/wire":     {floor: 0, only: []string{"internal/ijson", "internal/jws"}},
	"internal/config": {floor: 0},
	// Certificate requests and the fingerprints of pins.
	"internal/certreq": {floor: 0, only: []string{"internal/durable", "internal/regular"}},
	// Attachments' text, read in a child process; it knows no archive.
	"internal/extract": {floor: 0},
	// What the formats of productions render; it knows no archive either.
	"archive/render": {floor: 0, only: []string{}},
	// What a schedule says and whether it is well formed: it knows no archive.
	"retention/schedule": {floor: 0},

	"archive": {floor: 1},
	// What a message says, as a query sees it.
	"archive/reading": {floor: 1, only: []string{"archive/proof", "archive/query", "ingest/envelope"}},
	// The formats of productions: pure, so that verify can render anew.
	"archive/render/mail":  {floor: 1, only: []string{"archive/render"}},
	"archive/render/page":  {floor: 1, only: []string{"archive/render"}},
	"archive/render/rsmf":  {floor: 1, only: []string{"archive/render"}},
	"archive/render/sheet": {floor: 1, only: []string{"archive/render"}},
	// Whether a hold covers an entry, decided from facts alone.
	"retention/hold": {floor: 1, only: []string{"archive/proof", "archive/query", "internal/ijson"}},

	"archive/approval": {floor: 2},
	"archive/audit":    {floor: 2},
	// Copies of the archive that can be put back, and the drill that shows it.
	"archive/backup": {floor: 2},
	// Whether the archive has all that was sent, as a signed certificate.
	"archive/coverage": {floor: 2},
	// What was decided about entries for matters: tags, productions, clawbacks, saved searches.
	"archive/docket": {floor: 2},
	"archive/export": {floor: 2},
	"archive/people": {floor: 2},
	"archive/search": {floor: 2},
	"archive/state":  {floor: 2},
	"retention":      {floor: 2},

	"ingest":        {floor: 3},
	"internal/api":  {floor: 3},
	"internal/auth": {floor: 3},
	"ldapsync":      {floor: 3},
	// Checkpoints handed to who keeps them outside the machine.
	"internal/anchor": {floor: 3},
	// Alarms, and the audit's copy, on their way out.
	"internal/notice": {floor: 3},
	// What an administrator asks of a machine: is all well, and if not, what to do.
	"internal/doctor": {floor: 3},
	// What a first run asks and writes.
	"internal/setup": {floor: 3},

	// The reference relay and its sender are another house that only shares
	// the protocol: they never see how the archive keeps things.
	"internal/relay":      {floor: 3, only: []string{"ingest/envelope", "ingest/wire", "internal/durable", "internal/ijson", "internal/jws"}},
	"internal/relay/load": {floor: 4, only: []string{"ingest/envelope", "ingest/wire", "internal/durable", "internal/ijson", "internal/jws", "internal/relay"}},

	"internal/daemon": {floor: 4},

	// A client opens no data file: of the archive it knows the API, the query
	// language, what a schedule may say, and how a production and a certificate
	// of a disposition are verified.
	"cmd/holdfast/command":                {floor: 5, only: []string{"archive/audit", "archive/coverage", "archive/export", "archive/proof", "archive/query", "internal/api", "internal/build", "internal/certreq", "internal/config", "internal/durable", "internal/role", "retention", "retention/schedule"}},
	"cmd/holdfast-relay/internal/command": {floor: 5, only: []string{"ingest/envelope", "ingest/wire", "internal/build", "internal/durable", "internal/ijson", "internal/jws", "internal/relay", "internal/relay/load"}},
	"cmd/holdfastd/command":               {floor: 5},

	"cmd/holdfast":       {floor: 6, only: []string{"cmd/holdfast/command"}},
	"cmd/holdfast-relay": {floor: 6, only: []string{"cmd/holdfast-relay/internal/command"}},
	"cmd/holdfastd":      {floor: 6, only: []string{"cmd/holdfastd/command"}},

	// Directories to try the daemon against: no part of the product knows them.
	"internal/adtest": {floor: 5, only: []string{}},

	// The demo drives the built commands from outside, as a person would.
	"internal/demo":   {floor: 6, only: []string{"internal/adtest"}},
	"internal/floors": {floor: 6, only: []string{}},

	// Other search engines to measure against: a module of its own, of tests alone,
	// so that nobody who builds the product downloads them.
	"internal/peers": {floor: 6, only: []string{}},

	// The packages: a module of its own, whose libraries nobody needs who builds
	// the product alone. It prints the commands' manual pages.
	"packaging":      {floor: 6, only: []string{"cmd/holdfast/command", "cmd/holdfastd/command", "cmd/holdfast-relay/internal/command"}},
	"packaging/boot": {floor: 6, only: []string{}},
}

// owners names, for a library that must not spread, the only packages that
// may import it outside of tests.
var owners = map[string][]string{
	"go.etcd.io/bbolt":                      {"archive", "internal/relay", "internal/relay/load"}, // the sole owner of log, bodies and keyring; the relay's queue and the sender's devices
	"github.com/blevesearch/bleve/v2":       {"archive/search"},
	"github.com/blevesearch/vellum":         {"archive/search"},
	"github.com/blevesearch/snowballstem":   {"archive/query"},
	"github.com/ledongthuc/pdf":             {"internal/extract"},
	"codeberg.org/go-pdf/fpdf":              {"archive/render/page"},
	"golang.org/x/image":                    {"archive/render/page"},
	"github.com/digitorus/timestamp":        {"internal/anchor"},
	"github.com/wneessen/go-mail":           {"internal/notice"},
	"github.com/leodido/go-syslog/v4":       {"internal/notice"},
	"filippo.io/age":                        {"cmd/holdfast/command"},
	"crypto/hpke":                           {"archive", "archive/seal", "ingest/envelope"},
	"github.com/go-jose/go-jose/v4":         {}, // an oracle for tests
	"github.com/cloudflare/circl":           {"archive/seal"},
	"github.com/go-ldap/ldap/v3":            {"ldapsync"},
	"github.com/go-asn1-ber/asn1-ber":       {"internal/adtest"},
	"github.com/pquerna/otp":                {"internal/auth", "internal/demo"},
	"github.com/zalando/go-keyring":         {"cmd/holdfast/command"},
	"github.com/spf13/cobra":                append([]string{"packaging"}, commands...),
	"github.com/pelletier/go-toml/v2":       {"internal/config", "internal/relay", "internal/setup", "retention/schedule"},
	"github.com/jedib0t/go-pretty/v6/table": commands,
}

// commands are the packages that talk to a person.
var commands = []string{"cmd/holdfast/command", "cmd/holdfast-relay/internal/command", "cmd/holdfastd/command"}

// topLevel is what stands at the top of the tree, beside names that begin with
// a dot and what .gitignore names.
var topLevel = []string{
	"cmd", "archive", "ingest", "retention", "ldapsync", "packaging", "systemd", "internal",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE",
}

// importFaults says what is wrong with the imports of one file of package pkg,
// a path below the module.
func importFaults(pkg string, imports []string, test bool) []string {
	var faults []string
	at, known := places[pkg]
	if !known {
		return []string{"no floor is known for package " + pkg + ": decide where it stands and add it to internal/floors"}
	}
	for _, path := range imports {
		if test {
			continue
		}
		if fault := ownerFault(pkg, path); fault != "" {
			faults = append(faults, fault)
		}
		name, ours := strings.CutPrefix(path, module)
		if !ours {
			continue
		}
		to, known := places[name]
		switch {
		case !known:
			faults = append(faults, pkg+" imports "+name+", whose floor is not known: add it to internal/floors")
		case to.tests:
			faults = append(faults, pkg+" imports "+name+", which is for tests only")
		case to.floor >= at.floor:
			faults = append(faults, pkg+" imports "+name+", which stands on the same floor or higher: declare an interface and let internal/daemon wire it")
		case at.only != nil && !slices.Contains(at.only, name):
			faults = append(faults, pkg+" imports "+name+", which is not among the few packages that it may know")
		}
	}
	return faults
}

// ownerFault says what is wrong with package pkg's import of a library.
func ownerFault(pkg, path string) string {
	for library, may := range owners {
		if path != library && !strings.HasPrefix(path, library+"/") {
			continue
		}
		if !slices.Contains(may, pkg) {
			return pkg + " imports " + path + ", which only " + strings.Join(may, ", ") + " may (in tests anyone may)"
		}
	}
	return ""
}

// topFault says what is wrong with a name at the top of the tree.
func topFault(name string) string {
	switch {
	case strings.HasPrefix(name, "."), slices.Contains(topLevel, name):
	case name == "bin", name == "dist", strings.HasSuffix(name, ".test"), strings.HasSuffix(name, ".out"): // as .gitignore
	default:
		return name + " is not among the names agreed for the top level"
	}
	return ""
}
