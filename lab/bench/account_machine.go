package bench

import (
	"cmp"
	"runtime"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"socketlab/lab/text"
)

// A Machine is where it was measured. Numbers from two of them are not to be
// compared.
type Machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// ThisMachine is the one that this runs on.
func ThisMachine() Machine {
	m := Machine{CPU: runtime.GOARCH, CPUs: len(allowed()), Go: runtime.Version()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	}
	proc, _ := procfs.NewDefaultFS()
	if all, err := proc.CPUInfo(); err == nil && len(all) > 0 {
		m.CPU = cmp.Or(all[0].ModelName, m.CPU)
	}
	return m
}

func (m Machine) String() string {
	return m.CPU + ", " + text.Count(m.CPUs, "CPU") + ", " + m.Kernel + ", " + m.Go
}

// allowed are the CPUs that this process may use.
func allowed() (cpus []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(unix.Getpid(), &set) != nil {
		return nil
	}
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// divide gives the generator CPUs of its own, one for each thread, and the others
// to the server. So neither waits for the other; if one waits, other programs
// are the cause. A single CPU is shared.
func divide(cpus []int, threads int) (generator, server []int) {
	if len(cpus) <= threads {
		return nil, nil
	}
	return cpus[len(cpus)-threads:], cpus[:len(cpus)-threads]
}

// usage is how the CPUs that we may use have spent their time: /proc/stat,
// proc_stat(5). Interrupts are left out. On loopback they handle the segments of
// the server and of the generator. The kernel adds their time either to no
// process, or to the one that was running, and then it is in the account already.
type usage struct {
	cpus   int
	busy   time.Duration // in programs and their system calls
	stolen time.Duration // taken by the host, if this machine is virtual
	own    time.Duration // by this process
}

func lookAtMachine() (u usage) {
	proc, _ := procfs.NewDefaultFS()
	all, _ := proc.Stat()
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	for _, cpu := range allowed() {
		spent := all.CPU[int64(cpu)]
		u.cpus++
		u.busy += seconds(spent.User + spent.Nice + spent.System)
		u.stolen += seconds(spent.Steal)
	}
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) == nil {
		u.own = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return u
}

func (u usage) since(before usage) usage {
	return usage{u.cpus, u.busy - before.busy, u.stolen - before.stolen, u.own - before.own}
}
