package relay

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The faults by name.
const (
	faultDrop        = "drop-event"
	faultGap         = "gap"
	faultRepeat      = "repeat"
	faultSwap        = "swap"
	faultMalformed   = "malformed"
	faultTruncate    = "truncate"
	faultWrongHead   = "wrong-head"
	faultWrongSig    = "wrong-sig"
	faultEquivocate  = "equivocate"
	fault429         = "429"
	fault503         = "503"
	faultClockSkew   = "clock-skew"
	faultSlow        = "slow"
	faultLost        = "lost"
	faultCorrupt     = "corrupt"
	faultOversize    = "oversize"
	faultEpochChange = "epoch-change"
	faultBlobMissing = "blob-missing"
	faultBlobCorrupt = "blob-corrupt"
	faultBlobStall   = "blob-stall"
)

// faultKind says how a fault is written and what it does.
type faultKind struct {
	name    string
	at      bool // takes @N
	value   int  // see below
	forever bool // without xCOUNT it never ends; others happen once
	help    string
}

// Whether a fault takes =VALUE, and of which form.
const (
	noValue = iota
	optionalDuration
	needsDuration
	optionalText
)

var faultKinds = []faultKind{
	{faultDrop, true, noValue, false, "leave event N out of its page and renumber those after it"},
	{faultGap, true, noValue, false, "leave event N out of its page"},
	{faultRepeat, true, noValue, false, "send event N twice"},
	{faultSwap, true, noValue, false, "send event N after the one that follows it"},
	{faultMalformed, true, noValue, false, "send a line that is not JSON for event N"},
	{faultTruncate, true, noValue, false, "end the page after event N, without its end line"},
	{faultWrongHead, true, noValue, false, "sign a head that the events do not have"},
	{faultWrongSig, true, noValue, false, "sign the page with a signature that does not verify"},
	{faultEquivocate, true, noValue, false, "show another event N under a chain and a signature that fit it"},
	{fault429, true, optionalDuration, false, "answer 429, with =DURATION as Retry-After (1s)"},
	{fault503, true, optionalDuration, false, "answer 503, with =DURATION as Retry-After (1s)"},
	{faultClockSkew, false, needsDuration, true, "sign a time that is =DURATION off (may be negative)"},
	{faultSlow, false, needsDuration, true, "wait =DURATION before every answer"},
	{faultLost, true, noValue, false, "when event N is submitted, lose it and queue relay.lost in its place"},
	{faultCorrupt, true, noValue, false, "when event N is submitted, damage its data: it stays in the chain and cannot be opened"},
	{faultOversize, true, noValue, false, "when event N is submitted, make its data larger than an envelope may be"},
	{faultEpochChange, true, noValue, false, "begin a new epoch once event N has been submitted"},
	{faultBlobMissing, false, optionalText, true, "answer 404 for a blob, or for the one =BID"},
	{faultBlobCorrupt, false, optionalText, false, "change one byte of a blob, or of the one =BID, while it is sent"},
	{faultBlobStall, false, optionalText, false, "stop half-way through a blob, or the one =BID, until the reader gives up"},
}

// FaultHelp explains the faults' notation, for --help.
func FaultHelp() string {
	var b strings.Builder
	b.WriteString("NAME[@N][=VALUE][xCOUNT], several with commas between. N is a seq; @0 is the first event of whichever page comes next.\n" +
		"A fault happens once, or COUNT times; clock-skew, slow and blob-missing have no end without xCOUNT.\n\n")
	for _, k := range faultKinds {
		form := k.name
		if k.at {
			form += "@N"
		}
		switch k.value {
		case optionalDuration:
			form += "[=DURATION]"
		case needsDuration:
			form += "=DURATION"
		case optionalText:
			form += "[=BID]"
		}
		fmt.Fprintf(&b, "  %-24s %s\n", form, k.help)
	}
	return b.String()
}

// fault is one entry of a specification.
type fault struct {
	kind     faultKind
	n        uint64
	text     string
	duration time.Duration
	left     int // times still to happen, -1 for no end
}

// Faults is what a relay is told to do wrong. The zero value does nothing. It is safe for concurrent use.
type Faults struct {
	mu   sync.Mutex
	list []*fault
}

var faultForm = regexp.MustCompile(`^([a-z0-9-]+?)(?:@([0-9]{1,16}))?(?:=([A-Za-z0-9_.-]+?))?(?:x([0-9]{1,6}))?$`)

// ParseFaults reads a specification in the notation of FaultHelp. An empty one does nothing.
func ParseFaults(spec string) (*Faults, error) {
	f := &Faults{}
	for part := range strings.SplitSeq(spec, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		one, err := parseFault(part)
		if err != nil {
			return nil, fmt.Errorf("fault %q: %w; --help lists the faults", part, err)
		}
		f.list = append(f.list, one)
	}
	return f, nil
}

func parseFault(part string) (*fault, error) {
	m := faultForm.FindStringSubmatch(part)
	if m == nil {
		return nil, fmt.Errorf("not of the form NAME[@N][=VALUE][xCOUNT]")
	}
	i := slices.IndexFunc(faultKinds, func(k faultKind) bool { return k.name == m[1] })
	if i < 0 {
		return nil, fmt.Errorf("no such fault")
	}
	f := &fault{kind: faultKinds[i], text: m[3], left: 1}
	if f.kind.at != (m[2] != "") {
		return nil, fmt.Errorf("this fault takes @N: %t", f.kind.at)
	}
	if f.kind.at {
		// At most 16 digits: no overflow.
		f.n, _ = strconv.ParseUint(m[2], 10, 64)
	}
	if f.kind.forever {
		f.left = -1
	}
	if m[4] != "" {
		f.left, _ = strconv.Atoi(m[4])
	}
	return f, f.parseValue()
}

func (f *fault) parseValue() error {
	switch {
	case f.kind.value == noValue && f.text != "":
		return fmt.Errorf("this fault takes no value")
	case f.kind.value == needsDuration && f.text == "":
		return fmt.Errorf("this fault needs =DURATION, such as =20m")
	case f.text == "" || f.kind.value == optionalText:
		return nil
	}
	d, err := time.ParseDuration(f.text)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 50ms or 20m", f.text)
	}
	f.duration = d
	return nil
}

// take finds the first fault of that name for which match holds and that has not happened often enough, counts it, and returns it; else nil.
func (f *Faults) take(name string, match func(*fault) bool) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.list {
		if one.kind.name != name || one.left == 0 || !match(one) {
			continue
		}
		if one.left > 0 {
			one.left--
		}
		return one
	}
	return nil
}

// Add puts further faults into effect, in the notation of FaultHelp.
func (f *Faults) Add(spec string) error {
	more, err := ParseFaults(spec)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, more.list...)
	return nil
}

// Pending returns the names of the faults that still have to happen; those without an end are not among them.
func (f *Faults) Pending() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, one := range f.list {
		if one.left > 0 {
			names = append(names, one.kind.name)
		}
	}
	return names
}
