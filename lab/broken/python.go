package broken

import (
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// becomePython has this process become a program in Python, which is given the
// listening socket's number, and the arguments.
func becomePython(lfd int, program string, arguments ...string) {
	python, err := pythonItself()
	if err != nil {
		fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(lfd), unix.F_SETFD, 0); err != nil { // stays open: execve(2)
		fatal(err)
	}
	arguments = append([]string{"python3", "-c", program, strconv.Itoa(lfd)}, arguments...)
	fatal(unix.Exec(python, arguments, os.Environ()))
}

// pythonItself is the interpreter: in front of it there may be a script of a
// shell's, which would stay between us and it.
func pythonItself() (string, error) {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	return strings.TrimSpace(string(out)), err
}

// bind leaves it to that program to listen, when it is ready to.
func bind(port uint16) (lfd int, err error) {
	lfd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptInt(lfd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(lfd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}})
	}
	return lfd, err
}
