package doctor

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"sync"
)

// Words are the texts that a program holds in its own file: what it can say by
// itself, and nobody's name that it was told.
type Words struct {
	program []byte

	mu     sync.Mutex
	looked map[string]bool // a program is long, and a bundle asks for the same words again and again
}

// maxProgram bounds a program's constants, in bytes.
const maxProgram = 512 << 20

// minWord is the shortest text that is looked for: shorter ones stand in any file
// by chance.
const minWord = 4

// ReadWords reads a program's constants out of its file (ELF, section .rodata).
func ReadWords(path string) (_ *Words, err error) {
	fail := func(err error) (*Words, error) { return nil, fmt.Errorf("read this program's own file: %w", err) }
	f, err := elf.Open(path)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	constants := f.Section(".rodata")
	if constants == nil || constants.Size > maxProgram {
		return fail(errors.New("it has no constants, or more than a program's"))
	}
	b, err := constants.Data()
	if err != nil {
		return fail(err)
	}
	return &Words{program: b, looked: map[string]bool{}}, nil
}

// Has reports whether the program holds s word for word.
func (w *Words) Has(s string) bool {
	if len(s) < minWord {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	has, asked := w.looked[s]
	if !asked {
		has = bytes.Contains(w.program, []byte(s))
		w.looked[s] = has
	}
	return has
}
