package people

import (
	"slices"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// fold returns the form in which names and addresses are compared: without
// case (Unicode's full case folding) and in normalisation form C, so that a
// name finds its person however it was typed.
func fold(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		return strings.ToLower(s)
	}
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(s)))
}

// index finds GUIDs, sorted, by a folded name.
type index map[string][]GUID

func (x index) add(name string, g GUID) {
	if name == "" {
		return
	}
	key := fold(name)
	if i, found := slices.BinarySearch(x[key], g); !found {
		x[key] = slices.Insert(x[key], i, g)
	}
}

func (x index) remove(name string, g GUID) {
	key := fold(name)
	if i, found := slices.BinarySearch(x[key], g); found {
		if x[key] = slices.Delete(x[key], i, i+1); len(x[key]) == 0 {
			delete(x, key)
		}
	}
}

func (x index) find(name string) []GUID {
	if name == "" {
		return nil
	}
	return x[fold(name)]
}
