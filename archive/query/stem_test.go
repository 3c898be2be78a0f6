package query

import "testing"

// An accent that was left out of -ión costs no form, whatever other letters there are.
func TestStemsOfIon(t *testing.T) {
	_, want := Stems("señalización")
	for _, token := range []string{"señalizacion", "señalizar", "señalizado"} {
		if _, es := Stems(token); es != want {
			t.Errorf("%s: %q, and not %q", token, es, want)
		}
	}
}
