package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Words are the texts that a program holds in its own file: what it can say by
// itself, and nobody's name that it was told.
type Words struct{ program []byte }

// maxProgram bounds a program's file, in bytes.
const maxProgram = 512 << 20

// minWord is the shortest text that is looked for: shorter ones stand in any file
// by chance.
const minWord = 4

// ReadWords reads a program's file.
func ReadWords(path string) (*Words, error) {
	f, err := os.Open(path) // #nosec G304 -- this program's own file
	if err != nil {
		return nil, fmt.Errorf("read this program's own file: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxProgram+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read this program's own file: %w", err)
	}
	if len(b) > maxProgram {
		return nil, fmt.Errorf("this program's own file is larger than %d bytes", maxProgram)
	}
	return &Words{program: b}, nil
}

// Has reports whether the program holds s word for word.
func (w *Words) Has(s string) bool {
	return len(s) >= minWord && bytes.Contains(w.program, []byte(s))
}
