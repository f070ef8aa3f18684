package sys

import "golang.org/x/sys/unix"

// A Refusal is why this machine has no io_uring for us, and what would help.
type Refusal struct{ Why, Cure string }

func (r *Refusal) Error() string { return r.Why + "; " + r.Cure }

// RingAllowed tries whether NewRing works here. If it never will, the error is a
// *Refusal.
func RingAllowed() error {
	r, err := NewRing(1)
	if err == nil {
		r.Close()
	}
	return err
}

// refused explains the errors of io_uring_setup(2) and what follows it.
func refused(err error) error {
	const newer = "Linux 5.19 or later has it"
	switch err {
	case unix.EPERM, unix.EACCES:
		return &Refusal{"io_uring is forbidden here", "as root: sysctl kernel.io_uring_disabled=0; in a container: allow it in the seccomp profile"}
	case unix.ENOSYS:
		return &Refusal{"this kernel has no io_uring, or a seccomp profile hides it", newer}
	case unix.EINVAL:
		return &Refusal{"this kernel's io_uring is too old", newer}
	}
	return failed("io_uring_setup", -1, err)
}
