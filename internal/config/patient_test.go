package config

import (
	"strings"
	"testing"
)

func TestPatientAccess(t *testing.T) {
	const base = "data = \"/d\"\nsocket = \"/s\"\n"
	for text, want := range map[string]ThirdParties{
		"": ThirdPartiesInitials,
		"[patient_access]\ncontact = \"Privacy Office\"":                           ThirdPartiesInitials,
		"[patient_access]\nthird_parties = \"show\"":                               ThirdPartiesShow,
		"[patient_access]\nthird_parties = \"hide\"":                               ThirdPartiesHide,
		"[patient_access]\nthird_parties = \"Show\"":                               "",
		"[patient_access]\nthird_party = \"show\"":                                 "",
		"[patient_access]\ncontact = \"a\\nb\"":                                    "",
		"[patient_access]\ncontact = \"" + strings.Repeat("é", maxContact+1) + `"`: "",
	} {
		c, err := Parse([]byte(base+text), "/")
		if (err == nil) != (want != "") || err == nil && c.PatientAccess.ThirdParties != want {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}
