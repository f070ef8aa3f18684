package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Packet is a frame as it went over loopback.
//
// TCP hands down large amounts in one piece and leaves the cutting to the
// device (segmentation offload); on loopback nobody ever cuts them. The scenes'
// messages are far smaller than a segment may be, so what is seen here is what
// would be seen on a wire, and nothing is switched off for it.
type Packet struct {
	At     time.Time // by CLOCK_REALTIME, when the kernel had it
	Frame  []byte    // from the Ethernet header on
	Length int       // of the frame, if more than was kept
}

// A capture collects the packets of one port.
type capture struct {
	file *os.File
	done chan error // why reading ended

	spare []byte // catchUp's

	mu      sync.Mutex // guards what follows
	packets []Packet   // those that were not taken
	all     int        // that there were
	lost    int        // for which the kernel, or we, had no room
}

// openCapture begins to capture. The socket is deaf, by protocol 0, until its
// filter is attached: else packets of others could slip in before.
func openCapture(port uint16) (*capture, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	c := &capture{file: os.NewFile(uintptr(fd), "packets"), done: make(chan error, 1), spare: make([]byte, 1<<17+128)}
	if err := tap(fd, port); err != nil {
		c.file.Close()
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	go func() { c.done <- c.read() }()
	return c, nil
}

// tap has fd hear the packets of a port on loopback.
func tap(fd int, port uint16) error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	const room = 8 << 20
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room) // as much as others get
	}
	program := portFilter(port)
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	everything := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL})
	return errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: lo.Index}),
	)
}

// portFilter accepts the TCP segments from and to a port, over IPv4 and IPv6,
// once: on loopback a packet is seen when it leaves and when it arrives, and
// the filter drops the one that leaves. It is the machine code of bpf(4); no
// extension headers are skipped, loopback adds none.
func portFilter(port uint16) []unix.SockFilter {
	const (
		packetType   = 1<<32 - 0x1000 + 4 // SKF_AD_OFF + SKF_AD_PKTTYPE
		word         = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		half         = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
		halfX        = unix.BPF_LD | unix.BPF_H | unix.BPF_IND // behind X
		octet        = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		headerX      = unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH // X = length of the IPv4 header
		equal        = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		anyBit       = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret          = unix.BPF_RET | unix.BPF_K
		v6, last     = 13, 19
		accept, drop = 20, 21
	)
	lines := []struct {
		code      uint16
		k         uint32
		then, els uint8 // lines to go to
	}{
		{word, packetType, 0, 0},
		{equal, unix.PACKET_OUTGOING, drop, 2},
		{half, 12, 0, 0},
		{equal, unix.ETH_P_IP, 4, v6},
		{octet, 14 + 9, 0, 0},
		{equal, unix.IPPROTO_TCP, 6, drop},
		{half, 14 + 6, 0, 0},
		{anyBit, 0x1fff, drop, 8}, // a later fragment has no ports
		{headerX, 14, 0, 0},
		{halfX, 14, 0, 0},
		{equal, uint32(port), accept, 11},
		{halfX, 14 + 2, 0, 0},
		{equal, uint32(port), accept, drop},
		v6: {equal, unix.ETH_P_IPV6, 14, drop},
		{octet, 14 + 6, 0, 0},
		{equal, unix.IPPROTO_TCP, 16, drop},
		{half, 14 + 40, 0, 0},
		{equal, uint32(port), accept, 18},
		{half, 14 + 40 + 2, 0, 0},
		last:   {equal, uint32(port), accept, drop},
		accept: {ret, 1 << 18, 0, 0}, // all of it
		drop:   {ret, 0, 0, 0},
	}
	program := make([]unix.SockFilter, len(lines))
	for i, l := range lines {
		program[i] = unix.SockFilter{Code: l.code, K: l.k}
		if l.code == equal || l.code == anyBit {
			program[i].Jt, program[i].Jf = l.then-uint8(i)-1, l.els-uint8(i)-1
		}
	}
	return program
}

// read collects packets until close, and then those that had arrived by then.
func (c *capture) read() error {
	socket, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	buf, control := make([]byte, 1<<17), make([]byte, 128)
	for {
		err := socket.Read(func(fd uintptr) bool {
			err = c.receive(int(fd), buf, control)
			return err != unix.EAGAIN
		})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// receive takes all packets that are there, and ends with EAGAIN.
func (c *capture) receive(fd int, buf, control []byte) error {
	for {
		n, controls, _, _, err := unix.Recvmsg(fd, buf, control, unix.MSG_TRUNC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		p := Packet{At: stamp(control[:controls]), Length: n}
		p.Frame = append(p.Frame, buf[:min(n, len(buf))]...)
		c.mu.Lock()
		if c.all++; len(c.packets) < room {
			c.packets = append(c.packets, p)
		} else {
			c.lost++
		}
		c.mu.Unlock()
	}
}

// stamp is the kernel's time in a message: socket(7), SO_TIMESTAMPNS.
func stamp(control []byte) time.Time {
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			t := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			return time.Unix(t.Unix())
		}
	}
	return time.Now().Round(0)
}

// count is how many packets there were so far.
func (c *capture) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// lostSoFar is how many the kernel, or we, had no room for.
func (c *capture) lostSoFar() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// catchUp takes what came since read was last told to look.
func (c *capture) catchUp() (err error) {
	control, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	control.Control(func(fd uintptr) {
		err = c.receive(int(fd), c.spare[:1<<17], c.spare[1<<17:])
		if err == unix.EAGAIN {
			err = nil
		}
		statistics, failed := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS) // since the last time
		if err = errors.Join(err, failed); failed == nil {
			c.mu.Lock()
			c.lost += int(statistics.Drops)
			c.mu.Unlock()
		}
	})
	return err
}

// take hands over the packets up to a time, in the order of time.
func (c *capture) take(until time.Time) []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortStableFunc(c.packets, func(a, b Packet) int { return a.At.Compare(b.At) })
	n := 0
	for n < len(c.packets) && !c.packets[n].At.After(until) {
		n++
	}
	taken := slices.Clone(c.packets[:n])
	c.packets = slices.Delete(c.packets, 0, n)
	return taken
}

// close ends the capture. It returns the packets that were not taken, and how
// many the kernel had no room for.
func (c *capture) close() (packets []Packet, lost int, err error) {
	defer c.file.Close()
	if err := c.file.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, 0, err
	}
	err = errors.Join(<-c.done, c.catchUp())
	return c.packets, c.lost, err
}
