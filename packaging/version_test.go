package main

import (
	"os/exec"
	"testing"
)

func TestPackageVersion(t *testing.T) {
	for v, want := range map[string]string{
		"1.2.0":                     "1.2.0",
		"v1.2.0":                    "1.2.0",
		"v1.2.0-rc1":                "1.2.0~rc1",
		"v1.2.0-rc1-4-g0123abc":     "1.2.0~rc1+4.g0123abc",
		"v1.2.0-4-g0123abc":         "1.2.0+4.g0123abc",
		"v1.2.0-4-g0123abc-dirty":   "1.2.0+4.g0123abc.dirty",
		"v1.2.0-dirty":              "1.2.0+dirty",
		"0be9e51":                   "0.0.0+g0be9e51",
		"0be9e51-dirty":             "0.0.0+g0be9e51.dirty",
		"1234567":                   "0.0.0+g1234567",
		"unknown":                   "0.0.0+unknown",
		"":                          "",
		"holdfast":                  "",
		"1.2.0 -X main.x=y":         "",
		"1.2.0-1":                   "",
		"v1.2.0-4-g0123abc-garbage": "",
	} {
		got, err := packageVersion(v)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", v, got, err)
		}
	}
}

// dpkg's order is the one in which versions come about.
func TestVersionsInOrder(t *testing.T) {
	last := "0"
	for _, v := range []string{"unknown", "v0.1.0-rc1", "v0.1.0-rc1-3-g0123abc", "v0.1.0-rc2", "v0.1.0", "v0.1.0-2-g0123abc", "v0.1.0-10-g0123abc", "v0.1.1", "v0.2.0", "v0.10.0"} {
		next, err := packageVersion(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := exec.Command("dpkg", "--compare-versions", last+"-1", "lt", next+"-1").Run(); err != nil {
			t.Errorf("%s does not come before %s: %v", last, next, err)
		}
		last = next
	}
}
