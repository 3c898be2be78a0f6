package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

// plainWord is a word that no shell reads as anything else.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9._:@/+-]+$`)

// shellWord returns s as one word of a command line that a person may copy:
// quoted where a shell would read more into it.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(visible(s), "'", `'\''`) + "'"
}

// approve is the command with which another person approves a request.
func approve(request uint64) string {
	return "holdfast requests approve " + number(request) + " --reason TEXT"
}

// next says, a line each, what is to be done next. The lines hold nothing that
// somebody outside wrote, but through shellWord.
func (t *Terminal) next(lines ...string) error {
	if len(lines) == 0 {
		return nil
	}
	return t.say("%s", strings.Join(lines, "\n"))
}

// parseNumber reads the number of what; the number itself is not repeated.
func parseNumber(s, what string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 53)
	if err != nil {
		return 0, usage("%s is named by its number in the log, such as 4711", what)
	}
	return n, nil
}

// some takes one number or more.
func some(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("name the entries by their numbers in the log, as `holdfast search` prints them")
	}
	return nil
}

func parseNumbers(args []string) ([]uint64, error) {
	seqs := make([]uint64, 0, len(args))
	for _, a := range args {
		seq, err := parseNumber(a, "an entry")
		if err != nil {
			return nil, err
		}
		seqs = append(seqs, seq)
	}
	return seqs, nil
}

// readInput reads the file named, or stdin for "-", of at most limit bytes. It
// stops waiting for it when ctx ends.
func (g *globals) readInput(ctx context.Context, file, what string, limit int) (string, error) {
	b, err := wait(ctx, func() ([]byte, error) {
		in := g.In
		if file != "-" {
			f, err := os.Open(file) // #nosec G304 -- whoever runs the command names it
			if err != nil {
				return nil, err
			}
			defer f.Close()
			in = f
		}
		return io.ReadAll(io.LimitReader(in, int64(limit)+1))
	})
	switch {
	case errors.Is(err, context.Canceled):
		return "", err
	case err != nil:
		return "", &api.Problem{Title: what + " cannot be read", Detail: err.Error(), Exit: api.ExitIO, Hint: "check the file's name, and that you may read it"}
	case len(b) > limit:
		return "", usage("%s has at most %d bytes", what, limit)
	case !utf8.Valid(b):
		return "", usage("%s is not text in UTF-8", what)
	}
	return string(b), nil
}

// optional is a number that 0 stands for there being none of.
func optional(n uint64) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

// below is how far something has come that has seen the entries below n.
func below(n uint64) string {
	if n == 0 {
		return "no entry yet"
	}
	return "entry " + number(n-1)
}

// maxNumbers is how many numbers a line for people names.
const maxNumbers = 20

// numbers lists numbers, at most maxNumbers of them.
func numbers(list []uint64) string {
	parts := make([]string, 0, maxNumbers+1)
	for _, n := range list[:min(len(list), maxNumbers)] {
		parts = append(parts, number(n))
	}
	if more := len(list) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("… and %d more", more))
	}
	return strings.Join(parts, ", ")
}
