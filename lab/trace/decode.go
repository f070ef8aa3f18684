package trace

import (
	"encoding/binary"
	"net/netip"

	"socketlab/lab/diagram"
)

// A segment is what we read of a TCP segment: RFC 9293, section 3.1.
type segment struct {
	from, to netip.AddrPort
	seq, ack uint32
	flags    flags
	window   uint16
	shift    int    // the window scale option, RFC 7323; -1: it has none
	length   int    // bytes of data
	data     []byte // those that were captured
}

type flags uint8

const (
	fin flags = 1 << iota
	syn
	rst
	psh
	ack
	urg
	ece
	cwr
)

var flagNames = [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}

func (f flags) has(some flags) bool { return f&some != 0 }

// String has the names of RFC 9293 from the last bit to the first, so that what
// a segment is for comes before ACK: "SYN+ACK".
func (f flags) String() string {
	text := ""
	for i, name := range flagNames {
		if f.has(1 << i) {
			text += "+" + name
		}
	}
	if text == "" {
		return "none"
	}
	return text[1:]
}

// parse reads an Ethernet frame with a TCP segment in it. It is not ok if it is
// something else, or cut off within the headers.
func parse(frame []byte) (s segment, ok bool) {
	const ethernet = 14
	if len(frame) < ethernet {
		return s, false
	}
	packet := frame[ethernet:]
	var source, target netip.Addr
	var header, total int // lengths of the IP header, and of the packet
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800: // RFC 791, section 3.1
		if len(packet) < 20 || packet[0]>>4 != 4 || packet[9] != 6 || binary.BigEndian.Uint16(packet[6:])&0x1fff != 0 {
			return s, false
		}
		source, target = netip.AddrFrom4([4]byte(packet[12:])), netip.AddrFrom4([4]byte(packet[16:]))
		header, total = 4*int(packet[0]&15), int(binary.BigEndian.Uint16(packet[2:]))
		if header < 20 {
			return s, false
		}
	case 0x86dd: // RFC 8200, section 3
		if len(packet) < 40 || packet[0]>>4 != 6 || packet[6] != 6 {
			return s, false
		}
		source, target = netip.AddrFrom16([16]byte(packet[8:])), netip.AddrFrom16([16]byte(packet[24:]))
		header, total = 40, 40+int(binary.BigEndian.Uint16(packet[4:]))
	default:
		return s, false
	}
	if total <= header {
		total = len(packet) // larger than its length field can say: offloaded
	}
	if len(packet) < header+20 {
		return s, false
	}
	tcp := packet[header:]
	offset := 4 * int(tcp[12]>>4)
	if offset < 20 || offset > len(tcp) || header+offset > total {
		return s, false
	}
	s = segment{
		from:   netip.AddrPortFrom(source, binary.BigEndian.Uint16(tcp)),
		to:     netip.AddrPortFrom(target, binary.BigEndian.Uint16(tcp[2:])),
		seq:    binary.BigEndian.Uint32(tcp[4:]),
		ack:    binary.BigEndian.Uint32(tcp[8:]),
		flags:  flags(tcp[13]),
		window: binary.BigEndian.Uint16(tcp[14:]),
		shift:  windowScale(tcp[20:offset]),
		length: total - header - offset,
	}
	s.data = tcp[offset:min(len(tcp), offset+s.length)]
	return s, true
}

// windowScale finds the option in the header's options: RFC 7323, section 2.2.
func windowScale(options []byte) int {
	for len(options) > 0 {
		switch kind := options[0]; {
		case kind == 0: // end of options
			return -1
		case kind == 1: // padding
			options = options[1:]
		case len(options) < 2 || options[1] < 2 || int(options[1]) > len(options):
			return -1
		case kind == 3 && options[1] == 3:
			return min(int(options[2]), 14)
		default:
			options = options[options[1]:]
		}
	}
	return -1
}

// A decoder tells connections apart and makes their numbers relative.
type decoder struct {
	port   uint16 // the server's
	count  int
	latest map[netip.AddrPort]*conn // by the client's address
}

type conn struct {
	number int
	ends   [2]sender // client's, server's
}

// A sender is what is known of one direction.
type sender struct {
	known bool
	first uint32 // its initial sequence number
	next  uint32 // relative: what it sends next
	shift int    // of its windows
}

// decode is the segment with its place in its connection. A SYN with another
// initial sequence number begins a new connection.
func (d *decoder) decode(s segment) diagram.Segment {
	fromClient := s.to.Port() == d.port
	client, from, to := s.from, 0, 1
	if !fromClient {
		client, from, to = s.to, 1, 0
	}
	c := d.latest[client]
	opening := s.flags.has(syn) && !s.flags.has(ack)
	if c == nil || opening && c.ends[from].first != s.seq {
		d.count++
		c = &conn{number: d.count}
		d.latest[client] = c
	}
	sender, receiver := &c.ends[from], &c.ends[to]
	if !sender.known {
		*sender = start(s.seq, s.flags.has(syn), s.shift)
	}
	if !receiver.known && s.flags.has(ack) {
		*receiver = start(s.ack, false, -1) // its SYN was not seen
	}
	consumed := uint32(s.length)
	if s.flags.has(syn) {
		consumed++
	}
	if s.flags.has(fin) {
		consumed++
	}
	seq := s.seq - sender.first
	out := diagram.Segment{
		Conn:       c.number,
		FromClient: fromClient,
		Flags:      s.flags.String(),
		Seq:        seq,
		Window:     int(s.window),
		Len:        s.length,
		Data:       append([]byte(nil), s.data[:min(len(s.data), 64)]...),
		Retransmit: consumed > 0 && int32(seq-sender.next) < 0,
	}
	if s.flags.has(ack) {
		out.Ack = s.ack - receiver.first
	}
	if !s.flags.has(syn) && sender.shift >= 0 && receiver.shift >= 0 {
		out.Window <<= sender.shift // only if both said so: RFC 7323, section 2.2
	}
	if end := seq + consumed; int32(end-sender.next) > 0 {
		sender.next = end
	}
	return out
}

// start is a direction of which the first segment was seen.
func start(seq uint32, opening bool, shift int) sender {
	if opening {
		return sender{known: true, first: seq, shift: shift}
	}
	return sender{known: true, first: seq - 1, next: 1, shift: -1}
}
