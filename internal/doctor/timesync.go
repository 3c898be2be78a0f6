package doctor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// TimeSync is how the kernel's clock stands (adjtimex(2)).
type TimeSync struct {
	Synced bool          // a time service keeps it in step
	Bound  time.Duration // by which it may be off at most
}

// stepAside is the most that the clock may be off.
const stepAside = time.Second

// kernelSync asks the kernel.
func kernelSync() (TimeSync, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return TimeSync{}, fmt.Errorf("adjtimex: %w", err)
	}
	const timeError, unsync = 5, 0x40 // TIME_ERROR and STA_UNSYNC of sys/timex.h
	return TimeSync{Synced: state != timeError && t.Status&unsync == 0, Bound: time.Duration(t.Maxerror) * time.Microsecond}, nil
}

// timeSync judges it.
func timeSync(ask func() (TimeSync, error)) Finding {
	const fix = "Enable a time service: `timedatectl set-ntp true`, or chrony with the hospital's own servers; `timedatectl timesync-status` or `chronyc tracking` shows it. A virtual machine must not be stepped by its host as well."
	if ask == nil {
		ask = kernelSync
	}
	t, err := ask()
	switch {
	case err != nil:
		return warn("time-sync", "whether a time service keeps the clock cannot be found out: "+err.Error(), fix)
	case !t.Synced:
		return warn("time-sync", "no time service keeps the clock in step: entries are dated by it", fix)
	case t.Bound > stepAside:
		return warn("time-sync", fmt.Sprintf("the clock may be off by %.1f seconds", t.Bound.Seconds()), fix).with("bound_seconds", t.Bound.Seconds())
	}
	return fine("time-sync", "a time service keeps the clock in step").with("bound_seconds", t.Bound.Seconds())
}
