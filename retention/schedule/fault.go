package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrSchedule is what every error of Parse is.
var ErrSchedule = errors.New("this is not a schedule that can be used")

// maxFaults bounds how many faults are told of one file.
const maxFaults = 100

// A Fault is one thing that is wrong with a schedule file, and what to do about it.
type Fault struct {
	Line int // from 1
	Text string
}

func (f Fault) String() string { return fmt.Sprintf("line %d: %s", f.Line, f.Text) }

// Faults are all that is wrong with a file, by line. It is an ErrSchedule.
type Faults []Fault

// Error gives one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, 0, len(f)+1)
	for _, fault := range f[:min(len(f), maxFaults)] {
		lines = append(lines, fault.String())
	}
	if more := len(f) - maxFaults; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Is says that faults are an ErrSchedule.
func (f Faults) Is(target error) bool { return target == ErrSchedule }

// add notes a fault.
func (f *Faults) add(line int, format string, args ...any) {
	*f = append(*f, Fault{Line: line, Text: fmt.Sprintf(format, args...)})
}

// sorted gives the faults by line, or nil as an error when there are none.
func (f Faults) sorted() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b Fault) int { return a.Line - b.Line })
	return f
}
