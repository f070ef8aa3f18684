package experiment

import (
	"encoding/binary"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Wire sees the TCP segments on loopback, each once. It needs a network
// namespace of its own: there it may, and there are no others' segments.
type Wire struct {
	r    *Run
	file *os.File
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
	w := &Wire{r: r, file: os.NewFile(uintptr(fd), "packets")}
	r.finally(func() { w.file.Close() })
	return w
}

// Segments are those of a port since the last call, when no more have come for
// a moment.
func (w *Wire) Segments(port uint16) (seen []Segment) {
	buf := make([]byte, 1<<17)
	raw, err := w.file.SyscallConn()
	w.r.Check(err)
	for quiet := 0; quiet < 20; quiet++ {
		raw.Control(func(fd uintptr) {
			for {
				n, from, err := unix.Recvfrom(int(fd), buf, unix.MSG_TRUNC)
				if err != nil {
					return
				}
				link, ok := from.(*unix.SockaddrLinklayer)
				s, tcp := segment(buf[:min(n, len(buf))])
				if ok && tcp && link.Pkttype != unix.PACKET_OUTGOING && (s.From == port || s.To == port) {
					seen = append(seen, s)
					quiet = 0
				}
			}
		})
		w.r.Sleep(time.Millisecond)
	}
	return seen
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
	return Segment{
		From:   binary.BigEndian.Uint16(tcp),
		To:     binary.BigEndian.Uint16(tcp[2:]),
		Flags:  strings.Join(flags, "+"),
		Bytes:  len(tcp) - 4*int(tcp[12]>>4),
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
