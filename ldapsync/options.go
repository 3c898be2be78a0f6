package ldapsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"holdfast/archive"
	"holdfast/archive/people"
)

// Log is the log that entries go to. *archive.Archive has it.
type Log interface {
	// Append is durable once it returns nil. After archive.ErrFailed the batch
	// may or may not be in the log.
	Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error)
	// Size returns the number of entries.
	Size() uint64
	// Checkpoint returns a checkpoint of everything that is in the log. After an
	// Append that failed, Size may lack what that batch left there until this
	// returned without an error.
	Checkpoint(ctx context.Context) ([]byte, error)
}

// Options say which directory is read, how, and where what it says goes.
type Options struct {
	// URLs are the domain controllers, ldaps://HOST[:PORT], or ldap://HOST[:PORT]
	// which is StartTLS before anything else. Required.
	URLs []string
	// CA is a PEM file with the only authorities that may certify them. It is
	// read for every connection. Required.
	CA string
	// Bind is the DN or UPN of the account that reads the directory. Required.
	Bind string
	// Password reads that account's password from its credential. It is called
	// for every connection, and what it returns is kept nowhere. Required.
	Password func() (string, error)
	// Base are the DNs below which people are read. Required.
	Base []string
	// GroupBase are the DNs below which groups are read. Default: Base.
	GroupBase []string
	// Filter narrows the people, as RFC 4515 writes it. Default: none.
	Filter string
	// Timeout bounds the connection's making and each request. Default: 15 s.
	Timeout time.Duration
	// Interval is the time between two synchronisations. Default: 5 min.
	Interval time.Duration
	// Page is how many entries are asked for at a time. Default: 1000, which
	// is also Active Directory's own limit.
	Page int
	// MaxLossPercent and MaxLoss are the rails: a synchronisation by which more
	// people than both would depart waits for approval. Zero: 5 and 20.
	MaxLossPercent int
	MaxLoss        int
	// Mapped are the groups that give roles, each by its objectGUID, DN or
	// sAMAccountName.
	Mapped []string
	// UnreachableAfter is how long synchronisations may fail until an alarm is
	// raised. Default: 1 h.
	UnreachableAfter time.Duration

	// Log takes the entries. Required, like History and CatchUp unless only Read
	// and Authenticate are used.
	Log Log
	// History is what the log says of people, once CatchUp has brought it there.
	History *people.History
	// CatchUp applies the log's entries below size.
	CatchUp func(ctx context.Context, size uint64) error
	// Applied is called after changes are durable and applied, if not nil.
	Applied func(ctx context.Context, changes []people.Change)
	// Pending is called after every synchronisation that the rails refuse, with
	// what waits, if not nil. It asks for approval, unless that was asked for
	// before: the digest names the diff, after a restart too. It may set
	// Request, the seq of that request.
	Pending func(ctx context.Context, p *Pending) error
	// Suspended is called when Syncer.Suspended has become true of somebody more,
	// if not nil, so that their sessions end.
	Suspended func(ctx context.Context)
	// Logger takes lines without names. Default: none.
	Logger *slog.Logger
	// Metrics counts. Default: nothing is registered.
	Metrics *Metrics

	bounds bounds
}

// bounds are what a directory may send at most; beyond any of them nothing is
// kept.
type bounds struct {
	people  int   // people of a snapshot
	groups  int   // groups of a snapshot
	members int   // direct members of one group
	links   int   // direct members of all groups together
	value   int   // bytes of one attribute's value
	bytes   int64 // bytes that one connection may receive
	pages   int   // pages of one search, the empty ones included

	total time.Duration // one domain controller's time for a whole snapshot
}

// A group's entry has to fit into archive.MaxBody with each member's GUID twice.
var defaultBounds = bounds{
	people: 100_000, groups: 50_000, members: 100_000, links: 2_000_000,
	value: 4096, bytes: 1 << 30, pages: 10_000, total: 10 * time.Minute,
}

// Bounds that are no site's choice.
const (
	maxPage   = 1000 // MS-ADTS 3.1.1.3.4.6, MaxPageSize
	maxName   = 256  // bytes of a name at login
	maxSecret = 1024 // bytes of a password
)

var errOptions = errors.New("the directory's options")

func (o *Options) defaults() error {
	if err := o.check(); err != nil {
		return err
	}
	fill := func(d *time.Duration, by time.Duration) {
		if *d <= 0 {
			*d = by
		}
	}
	fill(&o.Timeout, 15*time.Second)
	fill(&o.Interval, 5*time.Minute)
	fill(&o.UnreachableAfter, time.Hour)
	if o.Page <= 0 || o.Page > maxPage {
		o.Page = maxPage
	}
	if o.MaxLossPercent == 0 {
		o.MaxLossPercent = 5
	}
	if o.MaxLoss == 0 {
		o.MaxLoss = 20
	}
	if len(o.GroupBase) == 0 {
		o.GroupBase = o.Base
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = newMetrics()
	}
	if o.bounds == (bounds{}) {
		o.bounds = defaultBounds
	}
	return nil
}

func (o *Options) check() error {
	switch {
	case len(o.URLs) == 0:
		return fmt.Errorf("%w: no domain controller is named; set [directory] urls", errOptions)
	case o.CA == "" || o.Bind == "" || o.Password == nil || len(o.Base) == 0:
		return fmt.Errorf("%w: CA, Bind, Password and Base are needed; set [directory] ca, bind and base", errOptions)
	case o.MaxLoss < 0 || o.MaxLossPercent < 0 || o.MaxLossPercent > 100:
		return fmt.Errorf("%w: max_loss_percent is 0 to 100 and max_loss a number of people", errOptions)
	}
	for _, u := range o.URLs {
		if _, err := parseTarget(u); err != nil {
			return err
		}
	}
	if _, err := readCA(o.CA); err != nil {
		return err
	}
	if o.Filter != "" {
		return checkFilter(o.Filter)
	}
	return nil
}

// target is one domain controller.
type target struct {
	host     string // as certificates name it
	address  string // host:port
	startTLS bool
}

func parseTarget(s string) (target, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return target{}, fmt.Errorf("%w: a domain controller is ldaps://HOST[:PORT], or ldap://HOST[:PORT] for StartTLS", errOptions)
	}
	t := target{host: u.Hostname()}
	port := u.Port()
	switch u.Scheme {
	case "ldaps":
		if port == "" {
			port = "636"
		}
	case "ldap":
		t.startTLS = true
		if port == "" {
			port = "389"
		}
	default:
		return target{}, fmt.Errorf("%w: a domain controller is ldaps://HOST[:PORT], or ldap://HOST[:PORT] for StartTLS", errOptions)
	}
	t.address = joinHostPort(t.host, port)
	return t, nil
}
