package export

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/archive/render"
)

// Result is what a verification came to.
type Result string

// The results, from best to worst.
const (
	// Verified: everything holds, back to the log key that the caller brought.
	Verified Result = "verified"
	// SelfConsistent: everything fits together, but no key came from
	// elsewhere: whoever made all of it anew would get the same result.
	SelfConsistent Result = "self-consistent only"
	// SignedOnly: every file is as the archive signed it, and of none of its rows
	// is there a proof: the archive's word stands for all of them.
	SignedOnly Result = "as signed only, nothing proven"
	// Failed: something was changed, added, is missing, or does not hold.
	Failed Result = "failed"
	// NotProduction: there is no signed manifest.
	NotProduction Result = "not a production"
)

// Problem is what is wrong with a file or an entry.
type Problem string

// The problems.
const (
	Changed  Problem = "changed"
	Added    Problem = "added"
	Missing  Problem = "missing"
	Unproven Problem = "unproven"
)

// A Finding names one thing that is wrong. It holds no content: not even a
// name from the production that is not ours is repeated unescaped.
type Finding struct {
	File    string  `json:"file"`
	Line    uint64  `json:"line,omitempty"` // from 1
	Seq     *uint64 `json:"seq,omitempty"`
	Problem Problem `json:"problem"`
	Detail  string  `json:"detail"`
}

// MaxFindings bounds the findings that a verdict lists; the rest are counted.
const MaxFindings = 100_000

// A Verdict says what was verified and what was not.
type Verdict struct {
	Result     Result            `json:"result"`
	Origin     string            `json:"origin,omitempty"`
	LogSize    uint64            `json:"log_size,omitempty"` // entries that the checkpoint covers
	Root       string            `json:"root,omitempty"`     // hex
	Created    string            `json:"created,omitempty"`
	At         uint64            `json:"at,omitempty"`
	Records    uint64            `json:"records"`   // rows of records.jsonl
	Verified   uint64            `json:"verified"`  // rows that were proven in full
	Withheld   uint64            `json:"withheld"`  // rows without their data: nothing of them is proven
	Excluded   uint64            `json:"excluded"`  // matched and not listed, as the manifest counts
	Assurance  map[string]uint64 `json:"assurance"` // of proven messages, as the archive concluded when it took them in
	Approved   uint64            `json:"approved"`  // of those enrolled: messages of devices that a person approved
	Format     string            `json:"format,omitempty"`
	Unproven   uint64            `json:"unproven,omitempty"`   // rows of which there is no proof: covered text, or they name what is withheld
	Unrendered uint64            `json:"unrendered,omitempty"` // rows proven, in documents that could not be rendered again
	Natives    uint64            `json:"natives,omitempty"`    // attachments proven to be what their senders attached
	Anchored   []Anchor          `json:"anchored,omitempty"`   // by the witnesses whose keys were given
	Unanchored []string          `json:"unanchored,omitempty"` // witnesses whose keys were given, and who did not cosign the checkpoint
	Annex      string            `json:"annex"`                // "verified", "absent" or "failed"
	Proven     []string          `json:"proven"`
	NotProven  []string          `json:"not_proven"`
	Findings   []Finding         `json:"findings"`
	Unlisted   uint64            `json:"findings_unlisted,omitempty"` // beyond MaxFindings
	selfSigned bool
}

// Anchor is a witness's cosignature on the checkpoint.
type Anchor struct {
	Witness string    `json:"witness"`
	At      time.Time `json:"at"` // by the witness's clock
}

// String returns the anchor for a line of text.
func (a Anchor) String() string { return a.Witness + " at " + a.At.Format(time.RFC3339) }

// OK reports whether everything holds, back to a key from elsewhere.
func (v *Verdict) OK() bool { return v.Result == Verified }

func (v *Verdict) add(f Finding) {
	if len(v.Findings) >= MaxFindings {
		v.Unlisted++
		return
	}
	v.Findings = append(v.Findings, f)
}

func (v *Verdict) file(name string, p Problem, format string, args ...any) {
	v.add(Finding{File: visible(name), Problem: p, Detail: fmt.Sprintf(format, args...)})
}

func (v *Verdict) entry(name string, line, seq uint64, p Problem, detail string) {
	v.add(Finding{File: name, Line: line, Seq: &seq, Problem: p, Detail: detail})
}

// visible returns a file's name with everything that could steer a terminal
// escaped, and cut to a length that a line holds.
func visible(name string) string {
	var b []byte
	for _, r := range name {
		if render.Unsafe(r) {
			b = appendEscape(b, r)
		} else {
			b = append(b, string(r)...)
		}
		if len(b) > 200 {
			return string(b) + "…"
		}
	}
	return string(b)
}

// conclude sets the result and what is and is not proven.
func (v *Verdict) conclude() {
	slices.SortStableFunc(v.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	v.NotProven = append(v.NotProven,
		"who held a device's key when it signed",
		"that a sender's own time (sent) is right",
		"that nothing that matched was left out, and that no later entry of the directory contradicts one shown here",
	)
	if v.Approved > 0 {
		v.NotProven = append(v.NotProven, "who approved a sender's device: only that the archive logged an approval before the message")
	}
	if v.Withheld > 0 {
		v.NotProven = append(v.NotProven, fmt.Sprintf("the %d rows whose data is withheld: the archive states them, and only its signature stands for them", v.Withheld))
	}
	if v.Unproven > 0 {
		v.NotProven = append(v.NotProven, fmt.Sprintf("the %d rows of which text is covered, or that name third parties or what is covered or withheld: the archive states them, and only its signature stands for them", v.Unproven))
	}
	if v.Unrendered > 0 {
		v.NotProven = append(v.NotProven, fmt.Sprintf("the rendering of %d rows: their documents embed attachments, or another version of the program made them; they are as they were signed", v.Unrendered))
	}
	if v.Format != "" && v.Format != JSONL {
		v.NotProven = append(v.NotProven, "what the archive adds to its entries: custodians, holds, what hangs at what, what was read of attachments")
	}
	for _, name := range v.Unanchored {
		v.NotProven = append(v.NotProven, "that the witness "+name+" saw the checkpoint: it has no cosignature of the key that was given")
	}
	switch {
	case v.Result == NotProduction:
		v.NotProven = []string{"anything: without a signed manifest this is not a production"}
		return
	case len(v.Findings) > 0:
		v.Result = Failed
		return
	case v.selfSigned:
		v.Result = SelfConsistent
		v.NotProven = append([]string{"whose log this is: no log key from elsewhere was given; repeat with --log-key"}, v.NotProven...)
	case v.Records > 0 && v.Verified == 0:
		v.Result = SignedOnly
		v.NotProven = append([]string{fmt.Sprintf("any of its %d rows: there is a proof of none", v.Records)}, v.NotProven...)
	default:
		v.Result = Verified
	}
	v.Proven = append(v.provenRows(), "the archive's identity key, which the log's first entry names, signed the manifest, and every file is as it lists it")
	if v.Natives > 0 {
		v.Proven = append(v.Proven, fmt.Sprintf("%d attachments are what their senders attached: sealed again they have the hashes that the messages state", v.Natives))
	}
	for _, a := range v.Anchored {
		v.Proven = append(v.Proven, fmt.Sprintf("anchored by %s: the witness cosigned this very checkpoint", a))
	}
}

// provenRows says what is proven of the rows that are.
func (v *Verdict) provenRows() []string {
	if v.Verified == 0 {
		return nil
	}
	out := []string{fmt.Sprintf("%d of %d rows: these bytes stood at these places of the log %s before its checkpoint of %d entries", v.Verified, v.Records, v.Origin, v.LogSize)}
	if signed := sumOf(v.Assurance); signed > 0 {
		out = append(out, fmt.Sprintf("of these rows %d are messages: the holder of the device key that the log names signed each", signed),
			"names and addresses in these rows are those of the directory entries shown, which stood in the log before the message")
	}
	if v.Unrendered > 0 {
		return append(out, "each of these rows says what its entry says, but for those whose rendering is not proven: it was rendered anew and compared byte for byte")
	}
	return append(out, "each of these rows says what its entry says: it was rendered anew and compared byte for byte")
}

// WriteText writes v for people, the same for the same verdict.
func (v *Verdict) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", strings.ToUpper(string(v.Result)))
	if v.Origin != "" {
		fmt.Fprintf(&b, "log         %s\ncheckpoint  %d entries, root %s\n", v.Origin, v.LogSize, v.Root)
	}
	if v.Result != NotProduction {
		fmt.Fprintf(&b, "made        %s, as of %d entries\n", v.Created, v.At)
		if v.Format != "" && v.Format != JSONL {
			fmt.Fprintf(&b, "format      %s\n", v.Format)
		}
		fmt.Fprintf(&b, "rows        %d: %d proven, %d with data withheld; %d matched and not listed\n", v.Records, v.Verified, v.Withheld, v.Excluded)
		for _, a := range v.Anchored {
			fmt.Fprintf(&b, "anchored by %s\n", a)
		}
		for _, name := range v.Unanchored {
			fmt.Fprintf(&b, "no anchor   of %s\n", name)
		}
		if v.Unproven > 0 {
			fmt.Fprintf(&b, "unproven    %d: text is covered, or they name third parties or what is covered or withheld\n", v.Unproven)
		}
		if v.Unrendered > 0 {
			fmt.Fprintf(&b, "rendering   not proven for %d rows\n", v.Unrendered)
		}
		for _, name := range slices.Sorted(maps.Keys(v.Assurance)) {
			fmt.Fprintf(&b, "assurance   %s: %d\n", visible(name), v.Assurance[name])
		}
		if v.Approved > 0 {
			fmt.Fprintf(&b, "approved    %d of those enrolled: a person approved the sender's device\n", v.Approved)
		}
		fmt.Fprintf(&b, "annex       %s\n", v.Annex)
	}
	for _, s := range v.Proven {
		fmt.Fprintf(&b, "proven      %s\n", s)
	}
	for _, s := range v.NotProven {
		fmt.Fprintf(&b, "not proven  %s\n", s)
	}
	for _, f := range v.Findings {
		fmt.Fprintf(&b, "finding     %s\n", f)
	}
	if v.Unlisted > 0 {
		fmt.Fprintf(&b, "finding     and %d more\n", v.Unlisted)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String returns f on one line.
func (f Finding) String() string {
	where := f.File
	if f.Line > 0 {
		where += fmt.Sprintf(" line %d", f.Line)
	}
	if f.Seq != nil {
		where += fmt.Sprintf(" seq %d", *f.Seq)
	}
	return fmt.Sprintf("%s: %s: %s", where, f.Problem, f.Detail)
}
