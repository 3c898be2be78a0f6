package daemon

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestFollow: a match that failed is tried again at each tick until it succeeds,
// though neither the relay's directory nor the people change meanwhile.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		wake := make(chan struct{}, 1)
		var mu sync.Mutex // a sleep of this goroutine orders nothing for the race detector
		asked, matched, warned := 0, 0, 0
		isNew := false
		fails := 2
		changed := func(context.Context) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			was := isNew
			isNew = false
			return was, nil
		}
		match := func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			matched++
			if fails > 0 {
				fails--
				return errors.New("the log takes nothing now")
			}
			return nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			follow(ctx, wake, changed, match, func(error) {
				mu.Lock()
				defer mu.Unlock()
				warned++
			})
		}()
		wake <- struct{}{}
		synctest.Wait()
		mu.Lock()
		if matched != 1 || warned != 1 {
			t.Errorf("woken: matched %d times, warned %d times", matched, warned)
		}
		mu.Unlock()
		time.Sleep(10*matchEvery + time.Millisecond)
		synctest.Wait()
		mu.Lock()
		if matched != 3 || warned != 2 || asked != 8 {
			t.Errorf("after 10 ticks: matched %d times, warned %d times, asked %d times", matched, warned, asked)
		}
		isNew, fails = true, 1
		mu.Unlock()
		time.Sleep(5 * matchEvery)
		synctest.Wait()
		mu.Lock()
		if matched != 5 {
			t.Errorf("somebody new: matched %d times", matched)
		}
		mu.Unlock()
		stop()
		<-done
	})
}
