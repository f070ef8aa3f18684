package experiment

import (
	"encoding/binary"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Wire sees the TCP segments on loopback, each once. It needs a network
// namespace of its own: there it may, and there are no others' segments.
type Wire struct {
	r    *Run
	file *os.File

	mu   sync.Mutex // guards what follows
	seen []Segment
}

// A Segment is what was seen of one: RFC 9293, section 3.1.
type Segment struct {
	From, To uint16
	Flags    string // "FIN+ACK"
	Bytes    int
	Window   uint16 // not scaled
	At       time.Time
}

// Has reports whether the segment has that flag.
func (s Segment) Has(flag string) bool { return strings.Contains(s.Flags, flag) }

// Wire begins to capture.
func (r *Run) Wire() *Wire {
	r.NeedsNamespace("to see the segments")
	all := int(binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 255}))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all)
	r.Check(err)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	headers := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 128}} // and not the data
	r.Check(unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &headers[0]}))
	w := &Wire{r: r, file: os.NewFile(uintptr(fd), "packets")}
	var reading sync.WaitGroup
	reading.Go(w.read)
	r.finally(func() {
		w.file.Close()
		reading.Wait()
	})
	return w
}

// read collects segments until the file is closed.
func (w *Wire) read() {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 256)
	for err == nil {
		err = raw.Read(func(fd uintptr) bool {
			n, from, err := unix.Recvfrom(int(fd), buf, 0)
			link, ok := from.(*unix.SockaddrLinklayer)
			if err == nil && ok && link.Pkttype != unix.PACKET_OUTGOING {
				if s, tcp := segment(buf[:n]); tcp {
					w.mu.Lock()
					w.seen = append(w.seen, s)
					w.mu.Unlock()
				}
			}
			return err != unix.EAGAIN
		})
	}
}

// Segments are those of a port since the last call, when no more have come for
// a moment.
func (w *Wire) Segments(port uint16) (of []Segment) {
	count := -1
	w.r.Until(time.Second, func() bool {
		w.r.Sleep(20 * time.Millisecond)
		w.mu.Lock()
		defer w.mu.Unlock()
		still := len(w.seen) == count
		count = len(w.seen)
		return still
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.seen {
		if s.From == port || s.To == port {
			of = append(of, s)
		}
	}
	w.seen = nil
	return of
}

var flagNames = [...]string{"FIN", "SYN", "RST", "PSH", "ACK"}

// segment reads an IPv4 packet. It is not ok if there is no TCP in it.
func segment(packet []byte) (s Segment, ok bool) {
	if len(packet) < 40 || packet[0]>>4 != 4 || packet[9] != unix.IPPROTO_TCP {
		return s, false
	}
	header := 4 * int(packet[0]&15)
	if len(packet) < header+20 {
		return s, false
	}
	tcp := packet[header:]
	var flags []string
	for i, name := range flagNames {
		if tcp[13]>>i&1 == 1 && name != "PSH" { // PSH is a hint, and says nothing here
			flags = append(flags, name)
		}
	}
	length := int(binary.BigEndian.Uint16(packet[2:])) // of the packet; 0 if it is larger than can be said
	return Segment{
		From:   binary.BigEndian.Uint16(tcp),
		To:     binary.BigEndian.Uint16(tcp[2:]),
		Flags:  strings.Join(flags, "+"),
		Bytes:  max(length, len(packet)) - header - 4*int(tcp[12]>>4),
		Window: binary.BigEndian.Uint16(tcp[14:]),
		At:     time.Now(),
	}, true
}

// flagsOf are those of some segments, in order: "FIN+ACK, ACK".
func flagsOf(segments []Segment) string {
	var all []string
	for _, s := range segments {
		all = append(all, s.Flags)
	}
	return strings.Join(all, ", ")
}
