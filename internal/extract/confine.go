package extract

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxStack bounds what a parser that calls itself may take, bytes.
const maxStack = 64 << 20

// confine gives up what the process does not need to read a file that it is
// handed: memory and time beyond the request's, new files, whatever is written
// to a file, core dumps, other privileges, and every system call but those of
// Go's runtime and of its two pipes. It cannot be undone, and what is started
// later is bound as well.
//
// Beyond it stay: the process runs as the daemon's user, and in its name spaces.
func confine(q request) error {
	// The runtime has reserved addresses already, most of which it never uses.
	vm, err := addresses()
	if err != nil {
		return err
	}
	debug.SetMaxStack(maxStack)
	debug.SetMemoryLimit(int64(q.memory / 4 * 3)) // #nosec G115 -- at most 2^40
	runtime.GOMAXPROCS(1)
	for _, l := range []struct {
		what  int
		limit uint64
	}{
		{unix.RLIMIT_AS, vm + q.memory},
		{unix.RLIMIT_CPU, uint64(q.seconds)},
		{unix.RLIMIT_FSIZE, 0},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, 0}, // those that are open stay open
	} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.limit, Max: l.limit}); err != nil {
			return fmt.Errorf("limit %d: %w", l.what, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	// Of this thread alone; allowed passes it on to all.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return allowed()
}

// addresses returns the bytes of address space that the process has.
func addresses() (uint64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, _, _ := strings.Cut(string(b), " ")
	n, err := strconv.ParseUint(pages, 10, 40)
	return n * uint64(os.Getpagesize()), err // #nosec G115 -- a page size
}

// calls are the system calls that are left: memory, threads and their signals,
// clocks, the open pipes, the end.
var calls = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLOSE,
	unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MPROTECT, unix.SYS_MREMAP, unix.SYS_BRK,
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_GETRANDOM,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_TGKILL,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP,
	unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE,
	unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL, unix.SYS_FCNTL,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// architectures are the values of seccomp_data's arch for which calls are the
// numbers (linux/audit.h): the same number is another call in another one.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// allowed leaves the process, in all its threads, no system call but calls, and
// clone for threads alone (seccomp(2)). Any other one fails with ENOSYS: the C
// library then starts threads by clone, whose flags can be looked at.
func allowed() error {
	arch, known := architectures[runtime.GOARCH]
	if !known {
		return fmt.Errorf("system calls of %s are not known to it", runtime.GOARCH)
	}
	const number, at, first = 0, 4, 16 // offsets in seccomp_data: of the number, the arch, the first argument's low half
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	end := func(verdict uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: verdict}
	}
	const equal, set = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	refused := end(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
	n := uint8(len(calls)) // #nosec G115 -- some thirty
	filter := []unix.SockFilter{
		load(at), {Code: equal, K: arch, Jt: 1}, end(unix.SECCOMP_RET_KILL_PROCESS),
		load(number), {Code: equal, K: unix.SYS_CLONE, Jt: n + 1}, // to where its flags are looked at
	}
	for i, call := range calls {
		filter = append(filter, unix.SockFilter{Code: equal, K: call, Jt: n + 3 - uint8(i)}) // #nosec G115 -- likewise; to the last
	}
	filter = append(filter, refused, load(first), unix.SockFilter{Code: set, K: unix.CLONE_THREAD, Jt: 1}, refused, end(unix.SECCOMP_RET_ALLOW))
	if len(filter) > math.MaxUint8 {
		return fmt.Errorf("a filter of %d instructions", len(filter))
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]} // #nosec G115 -- checked
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program))) // #nosec G103 -- the call takes no other form
	runtime.KeepAlive(filter)
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}
