package experiment

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

var tlsOpen = Experiment{
	Name: "tls-open", Title: "what does TLS add to an opening?",
	Lesson: 5, Takes: time.Second,
	Look:    "round trips and bytes before the request may go; and what somebody on the way can read",
	Why:     "TLS 1.3 needs one round trip after TCP's: ClientHello, answer, and the client may speak. A session that is resumed needs the same round trip, but no certificates, so it has fewer bytes and no signatures. TLS 1.2 needs two. Everything after ServerHello is encrypted, the certificates of both included; the name in ClientHello is not.",
	Read:    "RFC 8446, sections 2 and 2.2; RFC 6066, section 3 (the server's name)",
	Picture: "lab trace --model=tls --scene=tls-open",
	Ask: func(seed *rand.Rand) Question {
		secret := []string{"what is my mark?", "open the door", "who is there?"}[seed.IntN(3)]
		return Question{
			Asks: fmt.Sprintf("A client opens a TCP connection (one round trip), then TLS 1.3, and sends %q. How many round trips does TLS add before that may be sent, and does it help to resume an earlier session?", secret),
			Says: []Choice{
				{"2; 1 if a session is resumed", "That is TLS 1.2: see its column."},
				{"1, resumed or not; resuming saves bytes and signatures", ""},
				{"1; 0 if a session is resumed", "Early data could do that, which this client does not use: it may be played again by somebody else."},
				{"none: it goes with TCP's own segments", "The request is encrypted with keys that both ends must agree on first."},
			},
			Right: 1,
			Run: func(r *Run) (int, string) {
				wire := r.Wire()
				server, client, trusted := identities(r)
				open := func(name string, serverConfig, clientConfig *tls.Config, addr string) (trips, bytes int) {
					if addr == "" {
						addr = r.echoTLS(serverConfig)
					}
					conn := newTap(r.Dial(addr))
					port, _ := strconv.Atoi(addr[strings.LastIndexByte(addr, ':')+1:])
					wire.Segments(uint16(port))
					secure := tls.Client(conn, clientConfig)
					r.Check(secure.Handshake())
					trips, bytes = conn.trips, len(conn.sent)+len(conn.got)
					resumed := secure.ConnectionState().DidResume
					_, err := io.WriteString(secure, secret)
					r.Check(err)
					_, err = io.ReadFull(secure, make([]byte, len(secret))) // and the ticket for next time
					r.Check(err)
					secure.Close()
					carrying := 0
					for _, s := range wire.Segments(uint16(port)) {
						if s.Bytes > 0 {
							carrying++
						}
					}
					r.Column(name,
						"round trips of TLS", trips,
						"bytes of the opening", bytes,
						"segments with data, in all", carrying,
						"resumed", map[bool]string{true: "yes", false: "no"}[resumed],
						"the server's name is", conn.sees([]byte(classroom)),
						"the server's certificate", conn.sees(server.Certificate[0]),
						"the client's certificate", conn.sees(client.Certificate[0]),
						"the request", conn.sees([]byte(secret)),
						"records with a name", len(conn.names))
					return trips, bytes
				}
				serverConfig := &tls.Config{Certificates: []tls.Certificate{server}}
				mutual := &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted}
				asks := &tls.Config{RootCAs: trusted, ServerName: classroom, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				addr := r.echoTLS(serverConfig)
				full, fullBytes := open("full", nil, asks, addr)
				again, againBytes := open("resumed", nil, asks, addr)
				_, mutualBytes := open("mutual", mutual, &tls.Config{RootCAs: trusted, ServerName: classroom, Certificates: []tls.Certificate{client}}, "")
				old, _ := open("TLS 1.2", serverConfig, &tls.Config{RootCAs: trusted, ServerName: classroom, MaxVersion: tls.VersionTLS12}, "")
				saw := which(
					full == 2 && again == 1,
					full == 1 && again == 1 && againBytes < fullBytes,
					full == 1 && again == 0,
					full == 0,
				)
				return saw, fmt.Sprintf("TLS added %d round trip and %d bytes; resumed %d and %d bytes; with certificates of both %d bytes; TLS 1.2 added %d round trips.", full, fullBytes, again, againBytes, mutualBytes, old)
			},
		}
	},
}
