package bench

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

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
	text, _ := os.ReadFile("/proc/cpuinfo")
	if _, rest, found := strings.Cut(string(text), "model name"); found {
		line, _, _ := strings.Cut(rest, "\n")
		m.CPU = strings.TrimLeft(line, "\t :")
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

// usage is how some CPUs together have spent their time: /proc/stat, proc_stat(5).
// Interrupts are left out. On loopback they handle the segments of the server
// and of the generator. The kernel adds their time either to no process, or to
// the one that was running, and then it is in the account already.
type usage struct {
	busy   time.Duration // in programs and their system calls
	stolen time.Duration // taken by the host, if this machine is virtual
}

func usageOf(cpus []int) (u usage) {
	text, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		number, found := strings.CutPrefix(fields[0], "cpu")
		cpu, err := strconv.Atoi(number)
		if !found || err != nil || !slices.Contains(cpus, cpu) { // the first line has no number: it is the sum of all
			continue
		}
		for i, field := range fields {
			ticks, _ := strconv.Atoi(field)
			spent := time.Duration(ticks) * time.Second / 100
			switch i {
			case 1, 2, 3: // user, nice, system
				u.busy += spent
			case 8:
				u.stolen += spent
			}
		}
	}
	return u
}

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
