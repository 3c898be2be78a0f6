package envelope

import (
	"errors"
	"time"

	"holdfast/internal/jws"
)

// ValidArc reports whether s is an archive id: [a-z0-9.-]{1,64}.
func ValidArc(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// ValidID16 reports whether s is 16 bytes in base64url, as mid, bid and an archive key's kid are.
func ValidID16(s string) bool { return jws.ValidB64(s, 16) }

const timeLayout = "2006-01-02T15:04:05.000Z"

// FormatTime writes t as YYYY-MM-DDTHH:MM:SS.mmmZ, cut (not rounded) to the millisecond.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// ParseTime reads exactly what FormatTime writes for the years 0000 to 9999.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeLayout, s)
	// Parsing forgives more than one way of writing; formatting knows one.
	if err != nil || t.Format(timeLayout) != s {
		return time.Time{}, errors.New("not a time of the form YYYY-MM-DDTHH:MM:SS.mmmZ")
	}
	return t, nil
}
