package api

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"holdfast/archive/docket"
	"holdfast/archive/query"
)

// How a patient access package shows people who are not the patient.
const (
	ThirdPartiesShow     = "show"     // by name, with proofs
	ThirdPartiesInitials = "initials" // by initials and a number, without proofs
	ThirdPartiesHide     = "hide"     // by a number, without proofs
)

// ThirdParties are the policies for people who are not the patient.
func ThirdParties() []string {
	return []string{ThirdPartiesShow, ThirdPartiesInitials, ThirdPartiesHide}
}

// Patient makes an export the package of a patient's messages (45 CFR 164.524).
// Zero: it is another export.
type Patient struct {
	MRN          string   `json:"mrn,omitempty"`           // the medical record number: in place of a query
	ThirdParties string   `json:"third_parties,omitempty"` // one of ThirdParties; the site's policy if empty
	PatientUsrs  []string `json:"patient_usrs,omitempty"`  // relay users who are the patient: shown as they are
}

// maxPatientUsrs bounds how many relay users one patient is.
const maxPatientUsrs = 100

// patient completes the request for a patient's package: what it finds, what it
// is for, and by which policy. All of it stands in the digest that is approved.
func (s *Server) patient(req *ExportRequest) error {
	if req.MRN == "" {
		if req.ThirdParties != "" || len(req.PatientUsrs) > 0 {
			return badRequest("a policy for third parties without a patient", "name the patient's medical record number (--mrn)")
		}
		return nil
	}
	if req.Query != "" {
		return badRequest("both a query and a medical record number", "give one of the two: a package holds what carries the number")
	}
	req.MRN = strings.TrimSpace(req.MRN)
	q, err := MRNQuery(req.MRN)
	if err != nil {
		return err
	}
	req.Query = q
	req.Purpose = cmp.Or(req.Purpose, string(docket.PatientAccess))
	req.ThirdParties = cmp.Or(req.ThirdParties, s.ThirdParties, ThirdPartiesInitials)
	return nil
}

// errNoMRN says that a query cannot ask for a medical record number.
var errNoMRN = badRequest("a medical record number that no query can ask for", "give one number, as the messages carry it: one line without quotes")

// MRNQuery returns the query for what carries a medical record number and no
// more: whatever stands in the number, it is read as nothing else.
func MRNQuery(mrn string) (string, error) {
	if len(mrn) > maxMRN || strings.ContainsFunc(mrn, unicode.IsControl) {
		return "", errNoMRN
	}
	text := `mrn:"` + mrn + `"`
	q, err := query.Parse(text)
	if err != nil {
		return "", errNoMRN
	}
	if n, ok := q.Root().(*query.MRN); !ok || n.Value != mrn {
		return "", errNoMRN
	}
	return text, nil
}

// patientFault refuses what no patient's package can be.
func (r *ExportRequest) patientFault() error {
	if r.MRN == "" {
		return nil
	}
	switch {
	case !slices.Contains(ThirdParties(), r.ThirdParties):
		return badRequest("a policy for third parties that there is not", "policies are: "+strings.Join(ThirdParties(), ", "))
	case slices.Contains(r.Include, string(docket.Psychotherapy)):
		return badRequest("psychotherapy notes are not part of a patient's package (45 CFR 164.524(a)(1)(i))",
			"leave --include psychotherapy away; with the patient's authorization, export them by a query of their own")
	case r.Split.Custodian && r.ThirdParties != ThirdPartiesShow:
		return badRequest("volumes named by custodians would name third parties", "split it by size, or not at all")
	case len(r.PatientUsrs) > maxPatientUsrs:
		return badRequest("more relay users than one patient is", "name the patient's own")
	}
	return nil
}
