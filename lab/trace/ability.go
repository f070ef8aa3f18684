package trace

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
)

// An Ability is how well segments can be seen on this machine.
type Ability struct {
	Rung  diagram.Rung
	Why   string
	Climb string // how to see them better; "": there is no better way
}

// Best finds the best rung by trying.
func Best(ctx context.Context) Ability {
	direct := tryCapture()
	if direct == nil {
		return Ability{Rung: diagram.Captured, Why: "packets may be captured here (CAP_NET_RAW)"}
	}
	const climb = "to capture on the machine's own loopback, run lab as root or give it the right: sudo setcap cap_net_raw+ep LAB"
	inside := TryNamespace(ctx)
	if inside == nil {
		return Ability{diagram.Namespace, fmt.Sprintf("no right to capture (%v), but a network namespace of its own is allowed", direct), climb}
	}
	return Ability{
		diagram.Inferred,
		fmt.Sprintf("no right to capture (%v), and no network namespace of its own (%v)", direct, inside),
		climb + "; or allow user namespaces" + allowNamespaces(),
	}
}

// tryCapture opens a packet socket and closes it.
func tryCapture() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	return unix.Close(fd)
}

// TryNamespace makes a namespace, to find out whether that is allowed.
func TryNamespace(ctx context.Context) error {
	_, err := inNamespace(ctx, request{})
	return err
}

// allowNamespaces names the switch that stands in the way, where one is known.
func allowNamespaces() string {
	for _, knob := range []struct{ name, open, closed string }{
		{"kernel.unprivileged_userns_clone", "1", "0"},             // Debian
		{"kernel.apparmor_restrict_unprivileged_userns", "0", "1"}, // Ubuntu
		{"user.max_user_namespaces", "1000", "0"},                  // all: namespaces(7)
	} {
		path := "/proc/sys/" + strings.ReplaceAll(knob.name, ".", "/")
		if value, err := os.ReadFile(path); err == nil && string(bytes.TrimSpace(value)) == knob.closed {
			return fmt.Sprintf(": sudo sysctl %s=%s", knob.name, knob.open)
		}
	}
	return " (in a container: its seccomp profile)"
}

// clockOffset is how far the wall clock is ahead of the one that nobody sets:
// clock_gettime(2). It is the best of a few tries, in which the one was read
// between two readings of the other.
func clockOffset() time.Duration {
	now := func(clock int32) int64 {
		var t unix.Timespec
		unix.ClockGettime(clock, &t)
		return t.Nano()
	}
	var offset int64
	best := int64(1 << 62)
	for range 10 {
		before, wall, after := now(unix.CLOCK_MONOTONIC), now(unix.CLOCK_REALTIME), now(unix.CLOCK_MONOTONIC)
		if after-before < best {
			best, offset = after-before, wall-(before+after)/2
		}
	}
	return time.Duration(offset)
}
