package command

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"
)

// wait runs f, which may block on a pipe or a terminal, until it returns or
// ctx ends. In the latter case f is left behind: neither open nor read can be
// called off, and the process is about to end.
func wait[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// countFlag is a flag's number that is at least 1 when it is given: 0 would
// silently mean that it was not.
type countFlag uint64

func addCount(cmd *cobra.Command, n *uint64, name, help string) {
	cmd.Flags().Var((*countFlag)(n), name, help)
}

// Set reads the number; it is at most what JSON can carry exactly.
func (f *countFlag) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 53)
	if err != nil || n == 0 {
		return errors.New("it is a number from 1 on")
	}
	*f = countFlag(n)
	return nil
}

func (f *countFlag) String() string { return strconv.FormatUint(uint64(*f), 10) }

// Type is what help calls the value.
func (*countFlag) Type() string { return "number" }
