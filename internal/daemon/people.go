package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive/approval"
	"holdfast/archive/audit"
	"holdfast/archive/docket"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/ingest"
	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/role"
	"holdfast/ldapsync"
	"holdfast/retention"
)

// DirectoryFile is the name of the credential with the password of the account
// that reads the directory: its first line.
const DirectoryFile = "holdfast.directory"

// registers is what the log's control entries say of people, and of what people
// decided. Each follows the log as an applier of archive/state.
type registers struct {
	history    *people.History
	requests   *approval.Book
	factors    *auth.Factors
	provisions *ingest.ProvisionBook
	book       *retention.Book
	docket     *docket.Book
}

func newRegisters(persons bool, catchUp func(context.Context, uint64) error) registers {
	return registers{
		history:    people.NewHistory(),
		requests:   approval.NewBook(approval.Options{CatchUp: catchUp, Persons: persons}),
		factors:    auth.NewFactors(),
		provisions: ingest.NewProvisionBook(),
	}
}

func (p *parts) appliers() map[proof.Kind]state.Applier {
	r := &p.registers
	out := map[proof.Kind]state.Applier{
		proof.KindPerson: r.history, proof.KindGroup: r.history, proof.KindSync: r.history, proof.KindMatch: r.history,
		proof.KindRequest: r.requests, proof.KindDecision: r.requests, proof.KindExecution: r.requests,
		proof.KindCredential: r.factors, proof.KindProvision: r.provisions,
	}
	for kind, book := range r.book.Appliers() {
		out[kind] = book
	}
	for kind, book := range r.docket.Appliers() {
		out[kind] = book
	}
	for _, d := range p.duties {
		maps.Copy(out, d.appliers)
	}
	return out
}

// folk is what has to do with people: who they are, what they may do, and what
// follows when they come and go.
type folk struct {
	registers
	auth        *auth.Auth
	configured  bool             // somebody has said who may do what
	syncer      *ldapsync.Syncer // nil without a directory
	tails       *ingest.Tails
	provisioner *ingest.Provisioner // nil unless something is to be asked of the relay
	provision   config.Provision
	changing    sync.Mutex // held while somebody works out and appends a match or a block
	matchNow    chan struct{}

	housekeepSoon chan struct{} // capacity 1: something may be due now
}

// newFolk makes what serves people, over the parts that are there already.
func (p *parts) newFolk(ctx context.Context, o Options, registry *prometheus.Registry) error {
	c := o.Config
	p.folk.matchNow, p.folk.housekeepSoon = make(chan struct{}, 1), make(chan struct{}, 1)
	p.folk.provision, p.configured = c.Provision, c.Configured()
	var directory auth.Directory
	if c.Directory != nil {
		if err := p.newSyncer(c, registry); err != nil {
			return err
		}
		directory = binder{p.syncer}
	}
	own := uint32(os.Getuid()) // #nosec G115 -- a user id
	options := auth.Options{
		Directory: directory, People: p.knownPeople(), Accounts: accountsOf(c), Mapping: mappingOf(c), Configured: c.Configured(),
		Own: own, Log: p.archive, CatchUp: p.state.CatchUp, Logger: o.Logger,
	}
	if c.HTTPS != nil {
		options.Idle, options.Absolute = c.HTTPS.Idle.Duration, c.HTTPS.Absolute.Duration
	}
	var err error
	if p.folk.auth, err = auth.New(ctx, options, p.factors); err != nil {
		return err
	}
	if !c.Configured() {
		o.Logger.Warn("nobody has said who may do what: root and the daemon's own account hold every role; add [[account]] or [directory] to the configuration")
	}
	return p.newProvisioner(o)
}

// knownPeople are the people as auth knows them.
func (p *parts) knownPeople() auth.People {
	known := auth.Known(p.history)
	if p.syncer == nil {
		return known
	}
	return suspending{known, p.syncer.Suspended}
}

// suspending are the people that the log knows, of whom those count as departed
// whose departure the rails hold back although the directory says it outright.
type suspending struct {
	auth.People
	suspended func(people.GUID) bool
}

// Person returns what is known of a person now.
func (s suspending) Person(guid string) (auth.Person, bool) {
	p, ok := s.People.Person(guid)
	p.Departed = p.Departed || s.suspended(people.GUID(guid))
	return p, ok
}

func (p *parts) newSyncer(c *config.Config, registry *prometheus.Registry) error {
	metrics, err := ldapsync.NewMetrics(registry)
	if err != nil {
		return err
	}
	d, credentials := c.Directory, CredentialsDir(c.Credentials, c.Data)
	p.syncer, err = ldapsync.New(ldapsync.Options{
		URLs: d.URLs, CA: d.CA, Bind: d.Bind, Base: d.Base, GroupBase: d.GroupBase, Filter: d.Filter,
		Password: func() (string, error) { return readPassword(credentials) },
		Timeout:  d.Timeout.Duration, Interval: d.Interval.Duration,
		MaxLossPercent: d.MaxLossPercent, MaxLoss: d.MaxLoss, Mapped: mappedOf(d),
		Log: p.archive, History: p.history, CatchUp: p.state.CatchUp,
		Applied: p.peopleChanged, Suspended: p.peopleSuspended, Pending: p.askForDiff, Logger: p.logger, Metrics: metrics,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", config.ErrConfig, err)
	}
	return nil
}

// readPassword reads the first line of the directory's credential.
func readPassword(dir string) (string, error) {
	path := filepath.Join(dir, DirectoryFile)
	text, err := ReadCredential(dir, DirectoryFile, 4<<10)
	if err != nil {
		return "", fmt.Errorf("%w: the password for the directory: %w; put it on the first line of %s, readable for the daemon alone", ErrCredential, err, path)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("%w: the first line of %s is empty: it has to be the password for the directory", ErrCredential, path)
	}
	return line, nil
}

func mappedOf(d *config.Directory) []string {
	var groups []string
	for _, g := range d.Roles {
		groups = append(groups, g.Group)
	}
	return groups
}

func mappingOf(c *config.Config) []auth.GroupGrant {
	if c.Directory == nil {
		return nil
	}
	var out []auth.GroupGrant
	for _, g := range c.Directory.Roles {
		grant := role.Grant{Role: g.Role, Department: g.Department, OU: g.OU}
		if g.Until != nil {
			grant.Until = &g.Until.Time
		}
		out = append(out, auth.GroupGrant{Group: g.Group, Grant: grant})
	}
	return out
}

func accountsOf(c *config.Config) []auth.Account {
	var out []auth.Account
	for _, a := range c.Accounts {
		out = append(out, auth.Account{UID: a.UID, Roles: a.Roles, Person: a.Person, BreakGlass: a.BreakGlass})
	}
	return out
}

// watchOf says what is usual at the site. Config has checked every word of it,
// or it is zero and nothing is flagged.
func watchOf(w config.Watch) (*audit.Watch, error) {
	if w.Zone == "" {
		return nil, nil
	}
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return nil, fmt.Errorf("%w: watch.zone: %w", config.ErrConfig, err)
	}
	out := &audit.Watch{Location: zone, Volume: uint64(w.Volume)} // #nosec G115 -- checked
	for _, t := range []struct {
		text string
		to   *int
	}{{w.From, &out.From}, {w.To, &out.To}} {
		at, err := time.Parse("15:04", t.text)
		if err != nil {
			return nil, fmt.Errorf("%w: watch: %w", config.ErrConfig, err)
		}
		*t.to = at.Hour()*60 + at.Minute()
	}
	for _, name := range w.Days {
		day, _ := config.Weekday(name)
		out.Days = append(out.Days, day)
	}
	return out, nil
}

// caughtUp brings everything that follows the control entries to the log's
// present size.
func (p *parts) caughtUp(ctx context.Context) error { return p.state.CatchUp(ctx, p.archive.Size()) }

func nameOf(p people.Person) string { return cmp.Or(p.Name, p.UPN, p.Account, string(p.GUID)) }

// binder is the directory as auth asks it for passwords.
type binder struct{ *ldapsync.Syncer }

// Authenticate binds as the person, once.
func (b binder) Authenticate(ctx context.Context, name, password string) (string, []string, error) {
	id, err := b.Syncer.Authenticate(ctx, name, password)
	if err != nil {
		var refused *ldapsync.LoginError
		if errors.As(err, &refused) && errors.Is(err, ldapsync.ErrUnavailable) {
			return "", nil, errNoAnswer // no sub-code: no domain controller answered
		}
		return "", nil, err
	}
	groups := make([]string, 0, len(id.Groups))
	for _, g := range id.Groups {
		groups = append(groups, string(g))
	}
	return string(id.GUID), groups, nil
}

var errNoAnswer = errors.New("no domain controller answered")
