package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// PCAPNG writes the packets so that Wireshark opens them, with the scene and
// what the clients do as comments. The format is the IETF's draft-ietf-opsawg-
// pcapng. The library for it would pull in what capture does without.
func (r Recording) PCAPNG(w io.Writer) error {
	if len(r.Packets) == 0 {
		return errors.New("no packet was captured, so there is none to write; lab doctor says how to capture")
	}
	scene, _ := Find(r.Trace.Scene)
	var b pcapng
	b.section(fmt.Sprintf("scene %s: %s\nserver: %s", scene.Name, scene.Shows, r.Trace.Subject))
	b.loopback()
	comments := r.comments()
	for i, p := range r.Packets {
		b.packet(p, comments[i])
	}
	_, err := w.Write(b.file)
	return err
}

// comments are, for each packet, what the scene and the clients did since the
// one before.
func (r Recording) comments() []string {
	comments := make([]string, len(r.Packets))
	var lines []string
	next := 0
	for _, e := range r.Trace.Events {
		switch {
		case e.Note != nil && e.Note.Actor != "":
			lines = append(lines, e.Note.Actor+" "+e.Note.Text)
		case e.Note != nil:
			lines = append(lines, e.Note.Text)
		case e.Call != nil && strings.HasPrefix(e.Call.Actor, "client "):
			lines = append(lines, fmt.Sprintf("%s: %s(%s)", e.Call.Actor, e.Call.Name, e.Call.Args))
		case e.Segment != nil && next < len(comments):
			comments[next] = strings.Join(lines, "\n")
			next++
			lines = nil
		}
	}
	return comments
}

// A pcapng is a file as it grows, block by block. Numbers are in the byte order
// of this machine: the reader sees which.
type pcapng struct{ file []byte }

var native = binary.NativeEndian

// block adds a block: its type, its length before and after, what is in it.
func (b *pcapng) block(kind uint32, body []byte) {
	length := uint32(12 + len(body))
	b.file = native.AppendUint32(b.file, kind)
	b.file = native.AppendUint32(b.file, length)
	b.file = append(b.file, body...)
	b.file = native.AppendUint32(b.file, length)
}

// option appends an option, padded to 32 bits.
func option(body []byte, code uint16, value string) []byte {
	if value == "" {
		return body
	}
	body = native.AppendUint16(body, code)
	body = native.AppendUint16(body, uint16(len(value)))
	return append(append(body, value...), make([]byte, -len(value)&3)...)
}

const (
	endOfOptions = "\x00\x00\x00\x00"
	comment      = 1
)

func (b *pcapng) section(text string) {
	body := native.AppendUint32(nil, 0x1a2b3c4d)
	body = native.AppendUint16(body, 1) // version 1.0
	body = native.AppendUint16(body, 0)
	body = native.AppendUint64(body, 1<<64-1) // its length is not said
	body = option(body, comment, text)
	body = option(body, 4, "lab trace") // shb_userappl
	b.block(0x0a0d0d0a, append(body, endOfOptions...))
}

// loopback is the one interface. Its frames are like Ethernet's.
func (b *pcapng) loopback() {
	body := native.AppendUint32(nil, 1) // LINKTYPE_ETHERNET
	body = native.AppendUint32(body, 0) // no limit
	body = option(body, 2, "lo")        // if_name
	body = option(body, 9, "\x09")      // if_tsresol: 10^-9 s
	b.block(1, append(body, endOfOptions...))
}

func (b *pcapng) packet(p Packet, text string) {
	ns := uint64(p.At.UnixNano())
	body := native.AppendUint32(nil, 0) // of the first interface
	body = native.AppendUint32(body, uint32(ns>>32))
	body = native.AppendUint32(body, uint32(ns))
	body = native.AppendUint32(body, uint32(len(p.Frame)))
	body = native.AppendUint32(body, uint32(p.Length))
	body = append(append(body, p.Frame...), make([]byte, -len(p.Frame)&3)...)
	body = option(body, comment, text[:min(len(text), 1<<15)])
	b.block(6, append(body, endOfOptions...))
}
