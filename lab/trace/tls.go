package trace

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/certs"
	"socketlab/lab/diagram"
	"socketlab/lab/records"
	"socketlab/lab/subject"
	"socketlab/lab/text"
)

// SecuredScenes are those with a server that speaks TLS.
var SecuredScenes = []Scene{
	{
		Name: "tls-open", Service: "echo", TLS: true,
		Shows: "the TLS handshake on top of TCP's, a message, and close_notify: what an eavesdropper sees",
		play: func(s *stage) {
			c := s.shake(s.tls)
			c.say("hello\n")
			c.hear(6)
			s.done(c)
			c.bye()
			s.closed(c)
		},
	},
	{
		Name: "tls-mutual", Service: "echo", TLS: true, Mutual: true,
		Shows: "the server asks who the client is: two more messages from the client",
		play: func(s *stage) {
			c := s.shake(s.tls)
			c.say("hello\n")
			c.hear(6)
			s.done(c)
		},
	},
	{
		Name: "tls-refused", Service: "echo", TLS: true,
		Shows: "the client does not trust the server's certificate: an alert, and the end",
		play: func(s *stage) {
			config := s.tls.Clone()
			config.RootCAs, config.InsecureSkipVerify = nil, false
			c := s.shake(config)
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "tls-resume", Service: "echo", TLS: true,
		Shows: "client 2 comes with a ticket of client 1's: no certificate, no signature",
		play: func(s *stage) {
			config := s.tls.Clone()
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for range 2 {
				c := s.shake(config)
				c.say("hello\n")
				c.hear(6) // the ticket comes before
				c.bye()
				s.closed(c)
			}
		},
	},
	{
		Name: "tls-truncated", Service: "echo", TLS: true,
		Shows: "FIN without close_notify: has the client finished, or has somebody cut it off?",
		play: func(s *stage) {
			c := s.shake(s.tls)
			c.say("hello\n")
			c.hear(6)
			s.done(c)
			s.note(c, "ends without close_notify")
			c.halfClose()
			s.closed(c)
		},
	},
}

// A keyLog is written by clients, and read when they have left.
type keyLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (k *keyLog) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(p)
}

func (k *keyLog) bytes() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return bytes.Clone(k.text.Bytes())
}

// secure prepares server and clients for a scene over TLS. A model gets
// certificates made for it; for a command, client says what there is.
func (s *stage) secure(scene Scene, spec *subject.Spec, client *certs.Client) (done func(), err error) {
	done = func() {}
	if client == nil {
		made, err := certs.InMemoryOf(certs.Ed25519, "127.0.0.1", "::1", "localhost") // so that recordings are all of one length
		if err != nil {
			return done, err
		}
		done = made.Close
		client = &certs.Client{CA: made.CA}
		if client.Cert, client.Key, err = made.Client("client 1"); err != nil {
			return done, err
		}
		spec.Command = append(spec.Command[:len(spec.Command):len(spec.Command)], "--cert="+made.Cert, "--key="+made.Key)
		if scene.Mutual {
			spec.Command = append(spec.Command, "--client-ca="+made.CA)
		}
	}
	if s.tls, err = client.Config("127.0.0.1"); err != nil {
		return done, err
	}
	s.tls.KeyLogWriter = &s.keys
	return done, nil
}

// shake is a client that is connected, and has done the handshake.
func (s *stage) shake(config *tls.Config) *client {
	c := s.arrive()
	c.then(func() {
		c.tls = tls.Client(&wire{c: c, in: bufio.NewReaderSize(recvs{c}, 1<<14)}, config)
		if err := c.tls.Handshake(); err != nil {
			s.note(c, "gives up: "+certs.Explain(err).Error())
		}
	})
	s.done(c)
	return c
}

// say and hear are send and recv over TLS.
func (c *client) say(text string) {
	c.then(func() { io.WriteString(c.tls, text) })
}

func (c *client) hear(n int) {
	c.then(func() { io.ReadFull(c.tls, make([]byte, n)) })
}

// bye ends the conversation as TLS does: close_notify, the other's close_notify,
// close.
func (c *client) bye() {
	c.then(func() {
		c.tls.CloseWrite()
		io.Copy(io.Discard, c.tls)
	})
	c.close()
}

// A wire makes the client's calls for crypto/tls, in the client's thread.
type wire struct {
	c  *client
	in *bufio.Reader // so that one recv takes all that is there
}

func (w *wire) Read(p []byte) (int, error) { return w.in.Read(p) }

func (w *wire) Write(p []byte) (n int, err error) {
	err = net.ErrClosed // unless the call is made
	w.c.makes("send", "", func(fd int) (string, []byte, error) {
		n, err = unix.SendmsgN(fd, p, nil, nil, unix.MSG_NOSIGNAL)
		return bytesText(n), p[:max(n, 0)], err
	})
	return max(n, 0), err
}

func (w *wire) Close() error                     { return nil } // the scene does that
func (w *wire) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(w.c.addr) }
func (w *wire) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(w.c.addr) }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// recvs are a client's calls of recv.
type recvs struct{ c *client }

func (r recvs) Read(p []byte) (n int, err error) {
	err = net.ErrClosed
	r.c.makes("recv", "", func(fd int) (string, []byte, error) {
		n, _, err = unix.Recvfrom(fd, p, 0)
		return bytesText(n), p[:max(n, 0)], err
	})
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

// cipherText is what a call sends: encrypted here, another one each time.
var cipherText = regexp.MustCompile(`"(\\.|[^"\\])*"…?`)

// decrypt finds the records of TLS in the segments that were seen, opens them
// with the session's own keys, and counts what the handshakes cost.
func (r *Recording) decrypt() {
	readers := map[int]*records.Reader{}
	costs := map[int]*cost{}
	var events []diagram.Event
	next := 0
	for _, e := range r.Trace.Events {
		events = append(events, e)
		if e.Call != nil {
			e.Call.Args = cipherText.ReplaceAllString(e.Call.Args, "…")
		}
		s := e.Segment
		if s == nil || s.Inferred || next >= len(r.Packets) {
			continue
		}
		packet, ok := parse(r.Packets[next].Frame)
		next++
		if !ok || packet.length == 0 || s.Retransmit {
			continue
		}
		if readers[s.Conn] == nil {
			readers[s.Conn], costs[s.Conn] = records.New(r.Keys), &cost{}
		}
		s.Records = readers[s.Conn].Feed(s.FromClient, packet.data)
		if len(s.Records) > 2 { // more than an arrow has room for
			events = append(events, diagram.Event{At: e.At, Note: &diagram.Note{Text: listed(s.Records)}})
		}
		if says := costs[s.Conn].add(s); says != "" {
			events = append(events, diagram.Event{At: e.At, Note: &diagram.Note{Text: says}})
		}
	}
	r.Trace.Events = events
}

// listed has all records of a segment, with their lengths.
func listed(all []records.Record) string {
	var each []string
	for _, record := range all {
		name := record.Name
		if record.Locked {
			name = "{" + name + "}" // as RFC 8446 draws it
		}
		each = append(each, fmt.Sprintf("%s %s", name, text.Number(record.Len)))
	}
	return "in it, with bytes: " + strings.Join(each, ", ") + "; of what stands in {} an eavesdropper sees the number of bytes only"
}

// A cost is what a handshake costs, as long as it lasts.
type cost struct {
	client, server int // bytes
	trips          int // changes of direction, from the client to the server and back
	fromServer     bool
	over           bool
}

// add adds a segment. With the first that carries data it says what it was.
func (c *cost) add(s *diagram.Segment) string {
	if c.over {
		return ""
	}
	if s.FromClient {
		c.fromServer = false
	} else if !c.fromServer {
		c.fromServer = true
		c.trips++
	}
	for _, record := range s.Records {
		if record.IsData() {
			c.over = true
			return fmt.Sprintf("until here the TLS handshake took %s and %s bytes of the client's, %s of the server's; TCP's own opening took 1 round trip and no bytes",
				text.Count(c.trips, "round trip"), text.Number(c.client), text.Number(c.server))
		}
		if s.FromClient {
			c.client += record.Len
		} else {
			c.server += record.Len
		}
	}
	return ""
}
