package trace

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"

	"socketlab/lab/diagram"
)

var (
	aClient  = netip.MustParseAddrPort("127.0.0.1:40000")
	aServer  = netip.MustParseAddrPort("127.0.0.1:7000")
	aClient6 = netip.MustParseAddrPort("[::1]:40000")
	aServer6 = netip.MustParseAddrPort("[::1]:7000")
)

// frame is what goes over loopback for a segment; scale is the option with its
// window scale, none if negative.
func frame(s segment) []byte {
	network := binary.BigEndian
	options := []byte{}
	if s.shift >= 0 {
		options = []byte{2, 4, 0xff, 0xd7, 1, 3, 3, byte(s.shift)} // MSS, padding, scale
	}
	tcp := network.AppendUint16(nil, s.from.Port())
	tcp = network.AppendUint16(tcp, s.to.Port())
	tcp = network.AppendUint32(tcp, s.seq)
	tcp = network.AppendUint32(tcp, s.ack)
	tcp = append(tcp, byte(20+len(options))/4<<4, byte(s.flags))
	tcp = network.AppendUint16(tcp, s.window)
	tcp = append(tcp, 0, 0, 0, 0)
	tcp = append(append(tcp, options...), s.data...)
	f := make([]byte, 12)
	if s.from.Addr().Is4() {
		f = append(f, 8, 0, 0x45, 0)
		f = network.AppendUint16(f, uint16(20+len(tcp)))
		f = append(f, 0, 0, 0x40, 0, 64, 6, 0, 0)
	} else {
		f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0)
		f = network.AppendUint16(f, uint16(len(tcp)))
		f = append(f, 6, 64)
	}
	f = append(append(f, s.from.Addr().AsSlice()...), s.to.Addr().AsSlice()...)
	return append(f, tcp...)
}

// decodeAll decodes segments that are given as their frames.
func decodeAll(t *testing.T, all ...segment) (out []diagram.Segment) {
	t.Helper()
	d := decoder{port: 7000, latest: map[netip.AddrPort]*conn{}}
	for i, s := range all {
		s.length = len(s.data)
		got, ok := parse(frame(s))
		if !ok {
			t.Fatalf("segment %d is not understood", i)
		}
		out = append(out, d.decode(got))
	}
	return out
}

func up(f flags, seq, ack uint32, data string) segment {
	return segment{from: aClient, to: aServer, flags: f, seq: seq, ack: ack, window: 100, shift: -1, data: []byte(data)}
}

func down(f flags, seq, ack uint32, data string) segment {
	return segment{from: aServer, to: aClient, flags: f, seq: seq, ack: ack, window: 200, shift: -1, data: []byte(data)}
}

func scaled(s segment, shift int) segment {
	s.shift = shift
	return s
}

// Numbers are relative, also where they pass through 2^32 - 1.
func TestNumbersAreRelative(t *testing.T) {
	const mine, theirs = math.MaxUint32 - 2, 1000
	got := decodeAll(t,
		scaled(up(syn, mine, 0, ""), 7),
		scaled(down(syn|ack, theirs, mine+1, ""), 2),
		up(ack, mine+1, theirs+1, ""),
		up(psh|ack, mine+1, theirs+1, "hello\n"),
		down(ack, theirs+1, (mine+7)&math.MaxUint32, ""),
		up(fin|ack, (mine+7)&math.MaxUint32, theirs+1, ""),
	)
	for i, want := range []diagram.Segment{
		{FromClient: true, Flags: "SYN", Window: 100},
		{Flags: "SYN+ACK", Ack: 1, Window: 200},
		{FromClient: true, Flags: "ACK", Seq: 1, Ack: 1, Window: 100 << 7},
		{FromClient: true, Flags: "PSH+ACK", Seq: 1, Ack: 1, Window: 100 << 7, Len: 6},
		{Flags: "ACK", Seq: 1, Ack: 7, Window: 200 << 2},
		{FromClient: true, Flags: "FIN+ACK", Seq: 7, Ack: 1, Window: 100 << 7},
	} {
		same(t, i, got[i], want)
	}
	if string(got[3].Data) != "hello\n" {
		t.Errorf("data %q", got[3].Data)
	}
}

func same(t *testing.T, i int, got, want diagram.Segment) {
	t.Helper()
	got.Data = nil
	if want.Conn == 0 {
		want.Conn = 1
	}
	if got.Conn != want.Conn || got.FromClient != want.FromClient || got.Flags != want.Flags || got.Seq != want.Seq ||
		got.Ack != want.Ack || got.Window != want.Window || got.Len != want.Len || got.Retransmit != want.Retransmit {
		t.Errorf("segment %d\n%+v, want\n%+v", i, got, want)
	}
}

// A window is scaled only if both ends have said that they can: RFC 7323,
// section 2.2.
func TestWindowOfOneWhoCannotScale(t *testing.T) {
	got := decodeAll(t, scaled(up(syn, 10, 0, ""), 7), down(syn|ack, 20, 11, ""), up(ack, 11, 21, ""))
	if got[2].Window != 100 {
		t.Errorf("window %d, want 100", got[2].Window)
	}
}

func TestRetransmissions(t *testing.T) {
	got := decodeAll(t,
		up(syn, 10, 0, ""), up(syn, 10, 0, ""),
		down(syn|ack, 20, 11, ""), down(syn|ack, 20, 11, ""),
		up(ack, 11, 21, ""), up(ack, 11, 21, ""),
		up(psh|ack, 11, 21, "abc"), up(psh|ack, 11, 21, "abc"), up(psh|ack, 11, 21, "abcdef"), up(psh|ack, 17, 21, "g"),
		up(fin|ack, 18, 21, ""), up(fin|ack, 18, 21, ""),
	)
	want := []bool{false, true, false, true, false, false, false, true, true, false, false, true}
	for i, s := range got {
		if s.Retransmit != want[i] {
			t.Errorf("segment %d, %s: retransmission %v, want %v", i, s.Flags, s.Retransmit, want[i])
		}
	}
}

// Connections are numbered by their first SYN; one that comes from the port of
// an earlier one is another one.
func TestConnectionsAreNumbered(t *testing.T) {
	other := up(syn, 500, 0, "")
	other.from = netip.MustParseAddrPort("127.0.0.1:40001")
	got := decodeAll(t, up(syn, 10, 0, ""), other, down(rst|ack, 0, 11, ""), up(syn, 77, 0, ""), down(syn|ack, 99, 78, ""))
	for i, want := range []int{1, 2, 1, 3, 3} {
		if got[i].Conn != want {
			t.Errorf("segment %d is of connection %d, want %d", i, got[i].Conn, want)
		}
	}
	if last := got[4]; last.Seq != 0 || last.Ack != 1 {
		t.Errorf("the answer in connection 3 has seq=%d ack=%d, want 0 and 1", last.Seq, last.Ack)
	}
}

func TestIPv6(t *testing.T) {
	s := up(psh|ack, 1, 1, "hello\n")
	s.from, s.to = aClient6, aServer6
	got, ok := parse(frame(s))
	if !ok || got.from != aClient6 || got.to != aServer6 || string(got.data) != "hello\n" || got.length != 6 {
		t.Errorf("%+v, understood: %v", got, ok)
	}
}

// Offloading makes packets that are longer than their length field can say, and
// what was not captured counts as well.
func TestLengths(t *testing.T) {
	long := frame(up(psh|ack, 1, 1, string(make([]byte, 1000))))
	cut, ok := parse(long[:14+20+20+10])
	if !ok || cut.length != 1000 || len(cut.data) != 10 {
		t.Errorf("cut off: length %d, %d bytes of data, understood: %v", cut.length, len(cut.data), ok)
	}
	binary.BigEndian.PutUint16(long[16:], 0)
	if huge, ok := parse(long); !ok || huge.length != 1000 {
		t.Errorf("offloaded: length %d, understood: %v", huge.length, ok)
	}
}

func TestFlagsInOrder(t *testing.T) {
	for f, want := range map[flags]string{
		syn: "SYN", syn | ack: "SYN+ACK", fin | psh | ack: "FIN+PSH+ACK", rst | ack: "RST+ACK", rst: "RST",
		syn | ece | cwr: "SYN+ECE+CWR", 0: "none",
	} {
		if got := f.String(); got != want {
			t.Errorf("%08b is %q, want %q", f, got, want)
		}
		if got := flagsOf(want); got != f {
			t.Errorf("%q is %08b, want %08b", want, got, f)
		}
	}
}

// Whatever comes, parse does not fall, and what it understands is in the frame.
func FuzzParse(f *testing.F) {
	f.Add(frame(scaled(up(syn, 10, 0, ""), 7)))
	f.Add(frame(down(psh|ack, 20, 11, "hello\n")))
	six := up(fin|ack, 1, 1, "x")
	six.from, six.to = aClient6, aServer6
	f.Add(frame(six))
	f.Add(frame(up(ack, 1, 1, ""))[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := parse(b)
		if !ok {
			return
		}
		if s.length < 0 || len(s.data) > s.length || len(s.data) > len(b) || s.shift > 14 {
			t.Errorf("%+v of %d bytes", s, len(b))
		}
		d := decoder{port: s.to.Port(), latest: map[netip.AddrPort]*conn{}}
		if out := d.decode(s); out.Conn != 1 || len(out.Data) > diagram.MaxData || out.Len != s.length {
			t.Errorf("%+v is decoded as %+v", s, out)
		}
	})
}
