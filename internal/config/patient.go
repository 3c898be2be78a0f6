package config

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ThirdParties says how people who are not the patient are shown to the patient.
type ThirdParties string

// The policies.
const (
	ThirdPartiesShow     ThirdParties = "show"     // by name, with proofs
	ThirdPartiesInitials ThirdParties = "initials" // by initials and a number
	ThirdPartiesHide     ThirdParties = "hide"     // by a number
)

// PatientAccess says what patients get who ask for their messages (45 CFR
// 164.524).
type PatientAccess struct {
	// ThirdParties is show, initials or hide, unless the export says otherwise.
	// Default: initials. The archive cannot tell who among the relay's people is
	// staff and who a relative or another patient, and a name that was given out
	// does not come back; a site whose counsel wants the staff named sets show.
	ThirdParties ThirdParties `toml:"third_parties"`
	// Contact is whom the package tells the patient to ask: an office, an
	// address, a telephone number; at most 500 characters on one line. Default:
	// the office that handed it out.
	Contact string `toml:"contact"`
}

const maxContact = 500

func (p *PatientAccess) check() error {
	switch p.ThirdParties {
	case "":
		p.ThirdParties = ThirdPartiesInitials
	case ThirdPartiesShow, ThirdPartiesInitials, ThirdPartiesHide:
	default:
		return errors.New("patient_access.third_parties is show, initials or hide")
	}
	if strings.ContainsFunc(p.Contact, unicode.IsControl) || utf8.RuneCountInString(p.Contact) > maxContact {
		return errors.New("patient_access.contact is one line of at most 500 characters")
	}
	return nil
}
