package adtest

import (
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// The choices of a filter (RFC 4511, section 4.5.1.7).
const (
	filterAnd        = 0
	filterOr         = 1
	filterNot        = 2
	filterEqual      = 3
	filterSubstrings = 4
	filterGreater    = 5
	filterLess       = 6
	filterPresent    = 7
	filterApprox     = 8
	filterExtensible = 9
)

// dnValued are the attributes whose values are DNs.
var dnValued = map[string]bool{"member": true, "memberof": true, "distinguishedname": true, "manager": true, "objectcategory": true}

// matches says whether an entry passes a filter. What a domain controller
// would call undefined (a rule that is not known, a bad number) is false here.
func matches(f *ber.Packet, values func(name string) []string) bool {
	switch f.Tag {
	case filterAnd:
		for _, c := range f.Children {
			if !matches(c, values) {
				return false
			}
		}
		return true
	case filterOr:
		for _, c := range f.Children {
			if matches(c, values) {
				return true
			}
		}
		return false
	case filterNot:
		return len(f.Children) == 1 && !matches(f.Children[0], values)
	case filterPresent:
		return len(values(text(f))) > 0
	case filterExtensible:
		return extensible(f, values)
	case filterSubstrings:
		return len(f.Children) == 2 && anyOf(values(text(f.Children[0])), func(v string) bool { return substrings(f.Children[1].Children, v) })
	case filterEqual, filterApprox, filterGreater, filterLess:
		if len(f.Children) != 2 {
			return false
		}
		name, want := text(f.Children[0]), text(f.Children[1])
		return anyOf(values(name), func(v string) bool { return compare(f.Tag, name, v, want) })
	}
	return false
}

func anyOf(values []string, ok func(string) bool) bool {
	for _, v := range values {
		if ok(v) {
			return true
		}
	}
	return false
}

func compare(how ber.Tag, name, value, want string) bool {
	if how == filterEqual || how == filterApprox {
		name = strings.ToLower(name)
		switch {
		case name == "objectguid" || name == "objectsid":
			return value == want
		case name == "objectcategory" && !strings.Contains(want, "="):
			return strings.HasPrefix(fold(value), "cn="+strings.ToLower(want)+"\x00")
		case dnValued[name]:
			return fold(value) == fold(want)
		}
		return strings.EqualFold(value, want)
	}
	a, err1 := strconv.ParseInt(value, 10, 64)
	b, err2 := strconv.ParseInt(want, 10, 64)
	if err1 != nil || err2 != nil {
		if how == filterGreater {
			return strings.ToLower(value) >= strings.ToLower(want)
		}
		return strings.ToLower(value) <= strings.ToLower(want)
	}
	if how == filterGreater {
		return a >= b
	}
	return a <= b
}

// substrings matches initial (0), any (1) and final (2) parts.
func substrings(parts []*ber.Packet, value string) bool {
	value = strings.ToLower(value)
	for _, p := range parts {
		want := strings.ToLower(text(p))
		switch p.Tag {
		case 0:
			if !strings.HasPrefix(value, want) {
				return false
			}
			value = value[len(want):]
		case 1:
			i := strings.Index(value, want)
			if i < 0 {
				return false
			}
			value = value[i+len(want):]
		default:
			if !strings.HasSuffix(value, want) {
				return false
			}
		}
	}
	return true
}

// extensible knows the bit rules of MS-ADTS 3.1.1.3.4.4; the rule that walks
// chains is left out, because Holdfast does not use it.
func extensible(f *ber.Packet, values func(string) []string) bool {
	var rule, name, want string
	for _, c := range f.Children {
		switch c.Tag {
		case 1:
			rule = text(c)
		case 2:
			name = text(c)
		case 3:
			want = text(c)
		}
	}
	mask, err := strconv.ParseInt(want, 10, 64)
	if err != nil {
		return false
	}
	return anyOf(values(name), func(v string) bool {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil:
			return false
		case rule == oidBitAnd:
			return n&mask == mask
		case rule == oidBitOr:
			return n&mask != 0
		}
		return false
	})
}
