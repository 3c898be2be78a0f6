package command

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// Who may not is told who may; nobody else is.
func TestAsRoot(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/etc/holdfast", Err: fs.ErrPermission}
	if err := asRoot(denied, 1000, "holdfastd unlock"); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "sudo holdfastd unlock") {
		t.Error(err)
	}
	other := errors.New("other")
	for _, err := range []error{asRoot(denied, 0, "x"), asRoot(other, 1000, "x"), asRoot(nil, 1000, "x")} {
		if err != nil && strings.Contains(err.Error(), "sudo") {
			t.Error(err)
		}
	}
}
