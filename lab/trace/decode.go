package trace

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

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
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	tcp, isTCP := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !isTCP || len(tcp.Contents) < 20 {
		return s, false
	}
	var source, target net.IP
	length := len(tcp.Payload) // of one that is larger than its length field can say: offloaded
	switch ip := packet.NetworkLayer().(type) {
	case *layers.IPv4:
		source, target = ip.SrcIP, ip.DstIP
		if total := int(binary.BigEndian.Uint16(ip.Contents[2:])); total > len(ip.Contents) {
			length = total - len(ip.Contents) - len(tcp.Contents)
		}
	case *layers.IPv6:
		source, target = ip.SrcIP, ip.DstIP
		if ip.Length > 0 {
			length = int(ip.Length) - len(tcp.Contents)
		}
	}
	from, _ := netip.AddrFromSlice(source)
	to, _ := netip.AddrFromSlice(target)
	s = segment{
		from: netip.AddrPortFrom(from, uint16(tcp.SrcPort)), to: netip.AddrPortFrom(to, uint16(tcp.DstPort)),
		seq: tcp.Seq, ack: tcp.Ack, flags: flags(tcp.Contents[13]), window: tcp.Window, shift: -1,
		length: length, data: tcp.Payload[:min(len(tcp.Payload), max(length, 0))],
	}
	for _, o := range tcp.Options {
		if o.OptionType == layers.TCPOptionKindWindowScale && len(o.OptionData) == 1 { // RFC 7323, section 2.2
			s.shift = min(int(o.OptionData[0]), 14)
		}
	}
	return s, length >= 0
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
		Full:       s.window == 0 && !s.flags.has(rst) && !s.flags.has(syn),
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
