package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Thread is one kernel thread: proc_pid_task(5).
type Thread struct {
	Tid    int
	folder string
}

// ThreadOf is a thread of a process.
func ThreadOf(pid, tid int) Thread {
	return Thread{tid, "/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid)}
}

// This is the thread that asks.
func This() Thread { return ThreadOf(os.Getpid(), unix.Gettid()) }

// Threads are all threads of a process. The error says that it has ended.
func Threads(pid int) (all []Thread, err error) {
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		all = append(all, ThreadOf(pid, tid))
	}
	return all, err
}

// State is 'R' if it runs or is about to, 'S' if it sleeps, …; 0 if it has
// ended.
func (t Thread) State() byte {
	p, _ := readStat(t.folder)
	return p.State
}

// A Syscall is the system call that a thread is in: proc_pid_syscall(5). The
// number is -1 in none, and while it runs.
type Syscall struct {
	Number int
	Args   [6]uint64
	SP, PC uint64
}

// Syscall is the call that it sleeps in. The answer waits until a thread that
// is on its way into a sleep really sleeps: task_current_syscall() in the
// kernel.
func (t Thread) Syscall() (Syscall, error) {
	text, err := os.ReadFile(t.folder + "/syscall")
	return parseSyscall(text), err
}

// parseSyscall reads "7 0x1 …", "-1 0x…" or "running".
func parseSyscall(text []byte) Syscall {
	call := Syscall{Number: -1}
	a := &call.Args
	fmt.Sscan(string(text), &call.Number, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &call.SP, &call.PC)
	return call
}

// Children are the processes that it has started. The kernel may leave some out
// while others end: proc_tid_children(5).
func (t Thread) Children() (pids []int) {
	text, _ := os.ReadFile(t.folder + "/children")
	for child := range bytes.FieldsSeq(text) {
		if pid, err := strconv.Atoi(string(child)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Switches is how often it has given up its CPU because it had to wait, and how
// often the kernel has taken the CPU away: proc_pid_status(5).
func (t Thread) Switches() (voluntary, involuntary int64) {
	n := number(t.folder+"/status", "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:")
	return n[0], n[1]
}

// Traced reports whether a debugger such as strace(1) follows it.
func (t Thread) Traced() bool {
	return number(t.folder+"/status", "TracerPid:")[0] != 0
}

// A Schedule is what the kernel has counted of a thread: how long it ran, and
// how long it was ready to run and waited for a CPU. It is zero where the
// kernel does not count that.
type Schedule struct{ Ran, Waited time.Duration }

// Schedule reads schedstat: Documentation/scheduler/sched-stats.rst.
func (t Thread) Schedule() (s Schedule) {
	text, _ := os.ReadFile(t.folder + "/schedstat")
	fmt.Sscan(string(text), &s.Ran, &s.Waited)
	return s
}

// Since is what was counted after an earlier Schedule.
func (s Schedule) Since(before Schedule) Schedule {
	return Schedule{s.Ran - before.Ran, s.Waited - before.Waited}
}
