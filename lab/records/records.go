// Package records reads TLS on the wire: what an eavesdropper sees, and, with
// the session's own keys, what is behind it.
//
// Records are RFC 8446, section 5; the names of messages are those of section
// 4. Of TLS 1.2, RFC 5246, it names what is not encrypted.
package records

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// A Record is one record on the wire.
type Record struct {
	Name   string `json:"name"`             // what it carries: "ClientHello", "alert close_notify", "data, 6 bytes"
	Locked bool   `json:"locked,omitempty"` // encrypted: an eavesdropper sees a record of this length, and no name
	Len    int    `json:"len"`              // bytes on the wire, its header included
}

// IsData reports whether it carries what the programs say to each other, or may
// do so.
func (r Record) IsData() bool { return strings.HasPrefix(r.Name, "data") }

// String is its name, behind a lock if an eavesdropper does not see it.
func (r Record) String() string {
	if r.Locked {
		return "🔒 " + r.Name
	}
	return r.Name
}

// A Reader follows one connection.
type Reader struct {
	keys    keyLog
	random  string // of the ClientHello: finds the keys
	version uint16 // what the ServerHello chose; 0: not yet
	suite   uint16
	ends    [2]end // what the client sends, and the server
}

// An end is one direction.
type end struct {
	wire   []byte // not yet a whole record
	hello  []byte // handshake messages, not yet whole
	locked bool   // from now on records are encrypted
	open   *lock  // opens them; nil: it cannot be done
	lost   bool   // it is no TLS
}

// The types of records, RFC 8446, section 5.1.
const (
	changeCipherSpec = 20
	alert            = 21
	handshake        = 22
	applicationData  = 23
)

const tls13 = 0x0304

// New is a reader of one connection. keyLog is what its client or server wrote
// down: the text of RFC 9850, also known as SSLKEYLOGFILE.
func New(keyLog []byte) *Reader { return &Reader{keys: readKeyLog(keyLog)} }

// Feed takes the bytes that one side sent next, and returns the records that
// are complete with them.
func (r *Reader) Feed(fromClient bool, p []byte) (found []Record) {
	e := &r.ends[1]
	if fromClient {
		e = &r.ends[0]
	}
	if e.lost {
		return nil
	}
	e.wire = append(e.wire, p...)
	for len(e.wire) >= 5 {
		kind, length := e.wire[0], int(binary.BigEndian.Uint16(e.wire[3:]))
		if kind < changeCipherSpec || kind > applicationData || e.wire[1] != 3 {
			e.lost, e.wire = true, nil
			return append(found, Record{Name: "no TLS"})
		}
		if len(e.wire) < 5+length {
			break
		}
		record := e.wire[:5+length]
		e.wire = e.wire[5+length:]
		found = append(found, r.record(fromClient, e, record))
	}
	return found
}

// record reads one record.
func (r *Reader) record(fromClient bool, e *end, record []byte) Record {
	out := Record{Len: len(record)}
	kind, content := record[0], record[5:]
	switch {
	case kind == changeCipherSpec:
		out.Name = "ChangeCipherSpec"
		e.locked = e.locked || r.version != tls13 // in 1.3 it means nothing: appendix D.4
		return out
	case kind == applicationData && r.version == tls13:
		out.Locked = true
		if kind, content = e.unlock(record); kind == 0 {
			out.Name = fmt.Sprintf("%d encrypted bytes", len(record)-5)
			return out
		}
	case e.locked: // TLS 1.2
		out.Locked = true
		out.Name = map[byte]string{alert: "alert", handshake: "handshake", applicationData: "data"}[kind]
		return out
	}
	switch kind {
	case alert:
		out.Name = alertName(content)
	case handshake:
		out.Name = r.messages(fromClient, e, content)
	case applicationData:
		out.Name = fmt.Sprintf("data, %d bytes", len(content))
		if len(content) == 1 {
			out.Name = "data, 1 byte"
		}
	default:
		out.Name = fmt.Sprintf("type %d", kind)
	}
	return out
}

// messages names the handshake messages in a record.
func (r *Reader) messages(fromClient bool, e *end, content []byte) string {
	e.hello = append(e.hello, content...)
	names := ""
	for len(e.hello) >= 4 {
		length := int(e.hello[1])<<16 | int(e.hello[2])<<8 | int(e.hello[3])
		if len(e.hello) < 4+length {
			break
		}
		kind, body := e.hello[0], e.hello[4:4+length]
		e.hello = e.hello[4+length:]
		name := messageNames[kind]
		switch kind {
		case clientHello:
			r.readClientHello(body)
		case serverHello:
			name = r.readServerHello(body)
		case finished:
			e.next(r, fromClient, "_TRAFFIC_SECRET_0")
		case keyUpdate:
			e.open = e.open.update()
		}
		if name == "" {
			name = fmt.Sprintf("message %d", kind)
		}
		if names != "" {
			names += ", "
		}
		names += name
	}
	if names == "" {
		return "part of a handshake message"
	}
	return names
}

// The types of handshake messages, RFC 8446, section 4.
const (
	clientHello = 1
	serverHello = 2
	finished    = 20
	keyUpdate   = 24
)

var messageNames = map[byte]string{
	0: "HelloRequest", clientHello: "ClientHello", serverHello: "ServerHello", 4: "NewSessionTicket",
	5: "EndOfEarlyData", 8: "EncryptedExtensions", 11: "Certificate", 12: "ServerKeyExchange", 13: "CertificateRequest",
	14: "ServerHelloDone", 15: "CertificateVerify", 16: "ClientKeyExchange", finished: "Finished", 22: "CertificateStatus",
	keyUpdate: "KeyUpdate",
}

// readClientHello takes the random, by which the keys are found.
func (r *Reader) readClientHello(body []byte) {
	if len(body) >= 34 {
		r.random = string(body[2:34])
	}
}

// retry is the random of a ServerHello that is a HelloRetryRequest: RFC 8446,
// section 4.1.3.
const retry = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// readServerHello takes the version and the cipher suite, and its name.
func (r *Reader) readServerHello(body []byte) string {
	if len(body) < 35 || len(body) < 35+int(body[34])+3 {
		return "ServerHello"
	}
	if string(body[2:34]) == retry {
		return "HelloRetryRequest"
	}
	version := binary.BigEndian.Uint16(body)
	rest := body[35+int(body[34]):]
	r.suite = binary.BigEndian.Uint16(rest)
	resumed := false
	if rest = rest[3:]; len(rest) >= 2 { // the extensions
		for rest = rest[2:]; len(rest) >= 4; {
			kind, length := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
			if len(rest) < 4+length {
				break
			}
			switch {
			case kind == 43 && length == 2: // supported_versions
				version = binary.BigEndian.Uint16(rest[4:])
			case kind == 41: // pre_shared_key
				resumed = true
			}
			rest = rest[4+length:]
		}
	}
	r.version = version
	if version == tls13 {
		r.ends[0].next(r, true, "_HANDSHAKE_TRAFFIC_SECRET")
		r.ends[1].next(r, false, "_HANDSHAKE_TRAFFIC_SECRET")
	}
	if resumed {
		return "ServerHello (resumes)"
	}
	return "ServerHello"
}

// The alerts that a handshake or its end may bring: RFC 8446, section 6.
var alerts = map[byte]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
	42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
	46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
	51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 90: "user_canceled",
	100: "no_renegotiation", 109: "missing_extension", 112: "unrecognized_name", 116: "certificate_required",
	120: "no_application_protocol",
}

func alertName(content []byte) string {
	if len(content) != 2 {
		return "alert"
	}
	if name, known := alerts[content[1]]; known {
		return "alert " + name
	}
	return fmt.Sprintf("alert %d", content[1])
}
