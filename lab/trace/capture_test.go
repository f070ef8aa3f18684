package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
)

// captureOf opens a capture, or ends the test where that is not allowed.
func captureOf(t *testing.T, port uint16) *capture {
	t.Helper()
	c, err := openCapture(port)
	if err != nil {
		lacking(t, err.Error()+"; run the tests as root")
	}
	t.Cleanup(func() { c.file.Close() })
	return c
}

// visit lets a client of a new server send n messages, which come back. It
// returns the server's port, which tells it to watch beforehand.
func visit(t *testing.T, network string, n int, watch func(port uint16)) {
	t.Helper()
	l, err := net.Listen("tcp", network)
	if err != nil {
		lacking(t, err.Error())
	}
	defer l.Close()
	watch(l.Addr().(*net.TCPAddr).AddrPort().Port())
	go func() {
		if conn, err := l.Accept(); err == nil {
			io.Copy(conn, conn)
			conn.Close()
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	answer := make([]byte, 6)
	for range n {
		if _, err := conn.Write([]byte("hello\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
	}
}

// Of all that goes over loopback a capture takes the packets of its port, once
// each, over IPv4 and IPv6.
func TestCaptureTakesItsPortOnly(t *testing.T) {
	for _, network := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(network, func(t *testing.T) {
			var c *capture
			var port uint16
			begin := time.Now().Add(-time.Millisecond)
			visit(t, network, 3, func(p uint16) {
				port, c = p, captureOf(t, p)
				visit(t, network, 1, func(uint16) {}) // somebody else
			})
			packets, lost, err := c.close()
			if err != nil || lost != 0 {
				t.Errorf("%v; %d packets lost", err, lost)
			}
			d := decoder{port: port, latest: map[netip.AddrPort]*conn{}}
			hellos := 0
			for i, p := range packets {
				s, ok := parse(p.Frame)
				if !ok || s.from.Port() != port && s.to.Port() != port {
					t.Errorf("packet %d is none of ours: %x", i, p.Frame)
				}
				if out := d.decode(s); out.Retransmit {
					t.Errorf("packet %d is there twice: %+v", i, out)
				}
				if string(s.data) == "hello\n" {
					hellos++
				}
				if p.At.Before(begin) || p.At.After(time.Now()) {
					t.Errorf("packet %d came at %v, and it is %v now", i, p.At, time.Now())
				}
			}
			if hellos != 6 {
				t.Errorf("%d messages were seen, of 3 there and 3 back", hellos)
			}
		})
	}
}

// Packets for which there was no room are not lost in silence.
func TestCaptureTellsWhatItLost(t *testing.T) {
	visit(t, "127.0.0.1:0", 500, func(port uint16) {
		c := captureOf(t, port)
		control, err := c.file.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		control.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
		if err != nil {
			t.Fatal(err)
		}
		c.mu.Lock() // it cannot take any more
		t.Cleanup(func() {
			c.mu.Unlock()
			packets, lost, err := c.close()
			if err != nil || lost == 0 || len(packets) == 0 {
				t.Errorf("%d packets were taken, %d are said to be lost: %v", len(packets), lost, err)
			}
		})
	})
}

// Wireshark reads what we write, segment by segment as we do.
func TestPCAPNG(t *testing.T) {
	rung := seeing(t)
	for _, scene := range []string{"echo", "close-late", "reset", "queue"} {
		t.Run(scene, func(t *testing.T) {
			t.Parallel()
			r := play(t, scene, "select", rung)
			file := filepath.Join(t.TempDir(), "scene.pcapng")
			var b bytes.Buffer
			if err := r.PCAPNG(&b); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			var ours []string
			i := 0
			for _, e := range r.Trace.Events {
				if s := e.Segment; s != nil {
					ours = append(ours, fmt.Sprintf("%d %s %d %d %d %d %x", s.Conn-1, s.Flags, s.Seq, s.Ack, s.Len,
						s.Window, s.Data))
					i++
				}
			}
			theirs := tshark(t, file)
			if len(theirs) != len(ours) {
				t.Fatalf("%d segments, tshark sees %d", len(ours), len(theirs))
			}
			for i := range ours {
				if ours[i] != theirs[i] {
					t.Errorf("segment %d: connection, flags, seq, ack, length, window, data\n%s, tshark has\n%s", i, ours[i], theirs[i])
				}
			}
			count(t, file, len(ours))
			if text := b.String(); !strings.Contains(text, "scene "+scene) || !strings.Contains(text, "client 1: connect(") {
				t.Error("the scene and its steps are not in the comments")
			}
		})
	}
}

// tshark reads a file as the test above prints it.
func tshark(t *testing.T, file string) (lines []string) {
	t.Helper()
	path, err := exec.LookPath("tshark")
	if err != nil {
		lacking(t, "no tshark to compare with: apt-get install tshark")
	}
	out, err := exec.CommandContext(t.Context(), path, "-n", "-r", file, "-T", "json", "-e", "tcp.stream", "-e", "tcp.flags",
		"-e", "tcp.seq", "-e", "tcp.ack", "-e", "tcp.len", "-e", "tcp.window_size", "-e", "tcp.payload").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var packets []struct {
		Source struct {
			Layers map[string][]string `json:"layers"`
		} `json:"_source"`
	}
	if err := json.Unmarshal(out, &packets); err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		field := func(name string) string { return strings.Join(p.Source.Layers[name], "") }
		f, err := strconv.ParseUint(field("tcp.flags"), 0, 16)
		if err != nil {
			t.Fatal(err)
		}
		ack := field("tcp.ack")
		lines = append(lines, strings.Join([]string{field("tcp.stream"), flags(f).String(), field("tcp.seq"), ack,
			field("tcp.len"), field("tcp.window_size"), strings.ReplaceAll(field("tcp.payload"), ":", "")}, " "))
	}
	return lines
}

// count has tcpdump count the packets, too: another reader of the format.
func count(t *testing.T, file string, want int) {
	t.Helper()
	path, err := exec.LookPath("tcpdump")
	if err != nil {
		lacking(t, "no tcpdump to compare with: apt-get install tcpdump")
	}
	out, err := exec.CommandContext(t.Context(), path, "-n", "-r", file).Output()
	if err != nil {
		t.Fatalf("tcpdump: %v", err)
	}
	if got := bytes.Count(out, []byte("\n")); got != want {
		t.Errorf("tcpdump sees %d packets, of %d", got, want)
	}
}

func TestPCAPNGOfInferredSegments(t *testing.T) {
	r := Recording{Trace: diagram.Trace{Scene: "echo"}}
	if err := r.PCAPNG(io.Discard); err == nil || !strings.Contains(err.Error(), "lab doctor") {
		t.Errorf("%v; want that it says how to capture", err)
	}
}
