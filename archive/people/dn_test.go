package people

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSameDN(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"CN=Ann,OU=ICU,DC=x", "cn=ann,ou=icu,dc=X", true},
		{"CN=Ann, OU = ICU ,DC=x", "CN=Ann,OU=ICU,DC=x", true},
		{`CN=Doe\, Jane,DC=x`, `CN=Doe\2C Jane,DC=x`, true},
		{`CN=M\C3\BCller,DC=x`, "CN=MÜLLER,DC=x", true},
		{"CN=Mu\u0308ller,DC=x", "CN=Müller,DC=x", true},
		{`CN=a\ ,DC=x`, "CN=a,DC=x", false},
		{`CN=a\+OU=b,DC=x`, "CN=a+OU=b,DC=x", false},
		{`CN=Doe\,OU=ICU,DC=x`, "CN=Doe,OU=ICU,DC=x", false},
		{"CN=a b,DC=x", "CN=a  b,DC=x", false},
		{"CN=Ann,DC=x", "CN=Ann,DC=x,DC=y", false},
		{"", "", true},
		{"", "CN=a", false},
	}
	for _, tt := range tests {
		if got := SameDN(tt.a, tt.b); got != tt.want {
			t.Errorf("SameDN(%q, %q) = %v", tt.a, tt.b, got)
		}
		if got := SameDN(tt.b, tt.a); got != tt.want {
			t.Errorf("SameDN(%q, %q) = %v", tt.b, tt.a, got)
		}
	}
}

func TestBelow(t *testing.T) {
	tests := []struct {
		dn, ou string
		want   bool
	}{
		{"CN=Ann,OU=ICU,DC=x", "ou=icu,dc=X", true},
		{"CN=Ann,OU=Night,OU=ICU,DC=x", "OU=ICU, DC=x", true},
		{"CN=Ann,OU=ICU,DC=x", "OU=CU,DC=x", false},
		{`CN=Ann\,OU=ICU,DC=x`, "OU=ICU,DC=x", false}, // a name that ends like the unit's DN
		{"CN=Ann,OU=ICU,DC=x", "OU=ICU", false},
		{"OU=ICU,DC=x", "CN=Ann,OU=ICU,DC=x", false},
		{"CN=Ann,DC=x", "", false},
	}
	for _, tt := range tests {
		if got := below(splitDN(tt.dn), splitDN(tt.ou)); got != tt.want {
			t.Errorf("%q below %q: %v", tt.dn, tt.ou, got)
		}
	}
}

func FuzzSplitDN(f *testing.F) {
	for _, s := range []string{"", "CN=Ann,OU=ICU,DC=x", `CN=a\,b\2C\\,OU=c+D=e`, `\`, `a\`, ",", "=,+", "CN= a , DC = x ", "\x00=\\00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		rdns := splitDN(s)
		if n := strings.Count(s, ",") + 1; len(rdns) > n {
			t.Fatalf("%d RDNs of %q", len(rdns), s)
		}
		if !SameDN(s, s) || len(rdns) > 0 && !below(splitDN("CN=a,"+s), rdns) {
			t.Fatalf("%q is not itself", s)
		}
		if below(splitDN(`CN=a\,`+s), append([]string{"cn\x00=a"}, rdns...)) && len(rdns) > 0 {
			t.Fatalf("an escaped comma before %q ends an RDN", s)
		}
	})
}
