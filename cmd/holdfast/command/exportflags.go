package command

import (
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

// rendering is how a production is made and for whom.
type rendering struct {
	as, unit, split, bates, legend string
	recipient, purpose, about      string
	redactSeqs                     []string
	redactPatterns                 []string
	redactReason                   string
	include                        []string
	authority                      string
	mrn, thirdParties              string
	patientUsrs                    []string
}

func (r *rendering) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.as, "as", api.FormatJSONL, "the `FORMAT`: "+strings.Join(api.Formats(), ", "))
	f.StringVar(&r.unit, "unit", "", "one document is a message, a conversation's day or a whole conversation: `UNIT` message, day or conversation")
	f.StringVar(&r.split, "split", "", "cut it into volumes of a `SIZE` (500MB), or by custodian")
	f.StringVar(&r.bates, "bates", "", "number the messages with this `PREFIX`; numbers are never given twice within a matter")
	f.StringVar(&r.legend, "legend", "", "stamp the `TEXT` of a protective order on everything that people read")
	f.StringVar(&r.recipient, "recipient", "", "`WHO` gets it: name and address")
	f.StringVar(&r.purpose, "purpose", "", "`WHAT` for: "+strings.Join(api.Purposes(), ", ")+"; with --mrn it is patient-access unless you say")
	f.StringVar(&r.mrn, "mrn", "", "in place of a query: a patient's package, of the messages with this medical record `NUMBER`")
	f.StringVar(&r.thirdParties, "third-parties", "", "how the package shows people who are not the patient: `POLICY` "+strings.Join(api.ThirdParties(), ", ")+"; the site's if you do not say")
	f.StringSliceVar(&r.patientUsrs, "patient-usr", nil, "relay `USR` who is the patient: shown as they are; may be repeated")
	f.StringVar(&r.about, "about", "", "a brief `STATEMENT` of the purpose, for the accounting of disclosures")
	f.StringArrayVar(&r.redactSeqs, "redact-seq", nil, "cover the text of entry `SEQ`; may be repeated, or a list with commas")
	f.StringArrayVar(&r.redactPatterns, "redact", nil, "cover what matches `PATTERN` (RE2); may be repeated")
	f.StringVar(&r.redactReason, "redact-reason", "", "`WHY` it is covered: stands beside it, and in the log of redactions")
	f.StringSliceVar(&r.include, "include", nil, "produce messages with this `TAG` too (privileged, part2, psychotherapy)")
	f.StringVar(&r.authority, "authority", "", "by what `RIGHT`: a consent, an order")
	choices(cmd, "as", api.Formats()...)
	choices(cmd, "unit", "message", "day", "conversation")
	choices(cmd, "purpose", api.Purposes()...)
	choices(cmd, "third-parties", api.ThirdParties()...)
}

func (r *rendering) fill(req *api.ExportRequest) error {
	req.As, req.Unit, req.Bates, req.Legend = r.as, r.unit, r.bates, r.legend
	req.MRN, req.ThirdParties, req.PatientUsrs = r.mrn, r.thirdParties, r.patientUsrs
	req.Recipient, req.Purpose, req.About, req.Include, req.Authority = r.recipient, r.purpose, r.about, r.include, r.authority
	switch {
	case r.recipient == "":
		return usage("say with --recipient who gets the production: disclosures are accounted for")
	case r.mrn == "" && (r.thirdParties != "" || len(r.patientUsrs) > 0):
		return usage("--third-parties and --patient-usr are for a patient's package: name the patient with --mrn")
	case r.purpose == "" && r.mrn == "":
		return usage("say with --purpose what it is for: %s", strings.Join(api.Purposes(), ", "))
	case r.split == "custodian":
		req.Split.Custodian = true
	case r.split != "":
		bytes, err := parseSize(r.split)
		if err != nil {
			return err
		}
		req.Split.Bytes = bytes
	}
	seqs, err := parseSeqs(r.redactSeqs)
	if err != nil {
		return err
	}
	if len(seqs) > 0 {
		req.Redact = append(req.Redact, api.Redact{Seqs: seqs, Reason: r.redactReason})
	}
	for _, p := range r.redactPatterns {
		req.Redact = append(req.Redact, api.Redact{Pattern: p, Reason: r.redactReason})
	}
	if len(req.Redact) > 0 && strings.TrimSpace(r.redactReason) == "" {
		return usage("say with --redact-reason why it is covered")
	}
	return nil
}

// units of sizes, the longest names first.
var units = []struct {
	name  string
	bytes uint64
}{{"GIB", 1 << 30}, {"MIB", 1 << 20}, {"KIB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"", 1}}

// parseSize reads a number of bytes, such as 500MB.
func parseSize(s string) (uint64, error) {
	text := strings.ToUpper(strings.TrimSpace(s))
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
		if err != nil || n == 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, usage("a size is a number of bytes, as 500MB or 2GiB; or split by custodian")
}

// parseSeqs reads the numbers of entries, each of which may be several with
// commas between.
func parseSeqs(lists []string) ([]uint64, error) {
	var seqs []uint64
	for _, list := range lists {
		for text := range strings.SplitSeq(list, ",") {
			seq, err := parseSeq(strings.TrimSpace(text))
			if err != nil {
				return nil, err
			}
			seqs = append(seqs, seq)
		}
	}
	return seqs, nil
}
