package trace

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// PCAPNG writes the packets so that Wireshark opens them, with the scene and
// what the clients do as comments.
func (r Recording) PCAPNG(w io.Writer) error {
	if len(r.Packets) == 0 {
		return errors.New("no packet was captured, so there is none to write; lab doctor says how to capture")
	}
	scene, _ := Find(r.Trace.Scene)
	section := pcapgo.NgSectionInfo{
		Application: "lab trace",
		Comment:     fmt.Sprintf("scene %s: %s\nserver: %s", scene.Name, scene.Shows, r.Trace.Subject),
	}
	lo := pcapgo.NgInterface{Name: "lo", LinkType: layers.LinkTypeEthernet} // its frames are like Ethernet's
	out, err := pcapgo.NewNgWriterInterface(w, lo, pcapgo.NgWriterOptions{SectionInfo: section})
	if err != nil {
		return err
	}
	if len(r.Keys) > 0 { // so that Wireshark shows what was encrypted
		if err := out.WriteDecryptionSecretsBlock(pcapgo.DSB_SECRETS_TYPE_TLS, r.Keys); err != nil {
			return err
		}
	}
	comments := r.comments()
	for i, p := range r.Packets {
		info := gopacket.CaptureInfo{Timestamp: p.At, CaptureLength: len(p.Frame), Length: p.Length}
		var more pcapgo.NgPacketOptions
		if text := comments[i]; text != "" {
			more.Comments = []string{text[:min(len(text), 1<<15)]}
		}
		if err := out.WritePacketWithOptions(info, p.Frame, more); err != nil {
			return err
		}
	}
	return out.Flush()
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
