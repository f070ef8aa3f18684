package trace

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"socketlab/lab/certs"
	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

// secured is how to start the page that speaks TLS.
func secured(t *testing.T) subject.Spec {
	t.Helper()
	program := filepath.Join(t.TempDir(), "serve")
	if out, err := exec.Command("go", "build", "-o", program, "socketlab/models/serve").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return subject.Spec{Name: "tls", Kind: "command", Command: []string{program, "--model=tls", "--listen=127.0.0.1:{port}"}}
}

// said are the records of a recording, one in a line.
func said(r Recording) string {
	var b strings.Builder
	for _, e := range r.Trace.Events {
		if e.Segment == nil {
			continue
		}
		for _, record := range e.Segment.Records {
			way := "<"
			if e.Segment.FromClient {
				way = ">"
			}
			fmt.Fprintf(&b, "%d%s %v\n", e.Segment.Conn, way, record)
		}
	}
	return b.String()
}

const full = `1> ClientHello
1< ServerHello
1< ChangeCipherSpec
1< 🔒 EncryptedExtensions
1< 🔒 Certificate
1< 🔒 CertificateVerify
1< 🔒 Finished
1> ChangeCipherSpec
1> 🔒 Finished
1> 🔒 data, 6 bytes
1< 🔒 data, 6 bytes
`

// Each scene shows the messages that it is about, opened with the keys of its
// own clients.
func TestSecuredScenes(t *testing.T) {
	rung := seeing(t)
	if rung == diagram.Inferred {
		t.Skip("the segments cannot be seen here; lab doctor says how")
	}
	spec := secured(t)
	goodbye := "1> 🔒 alert close_notify\n1< 🔒 alert close_notify\n"
	want := map[string]string{
		"tls-open": full + goodbye,
		"tls-mutual": strings.NewReplacer(
			"1< 🔒 Certificate\n", "1< 🔒 CertificateRequest\n1< 🔒 Certificate\n",
			"1> 🔒 Finished\n", "1> 🔒 Certificate\n1> 🔒 CertificateVerify\n1> 🔒 Finished\n",
		).Replace(full),
		"tls-refused": full[:strings.Index(full, "1> 🔒 Finished")] + "1> 🔒 alert bad_certificate\n",
		"tls-resume": strings.Replace(full, "1> ChangeCipherSpec", "1< 🔒 NewSessionTicket\n1> ChangeCipherSpec", 1) + goodbye +
			`2> ClientHello
2< ServerHello (resumes)
2< ChangeCipherSpec
2< 🔒 EncryptedExtensions
2< 🔒 Finished
2< 🔒 NewSessionTicket
2> ChangeCipherSpec
2> 🔒 Finished
2> 🔒 data, 6 bytes
2< 🔒 data, 6 bytes
2> 🔒 alert close_notify
2< 🔒 alert close_notify
`,
		"tls-truncated": full + "1< 🔒 alert close_notify\n",
	}
	for _, scene := range SecuredScenes {
		t.Run(scene.Name, func(t *testing.T) {
			r, err := Record(t.Context(), Options{Scene: scene.Name, Server: spec, Rung: rung, Timeout: 3 * patience})
			if err != nil {
				t.Fatal(err)
			}
			if got := said(r); got != want[scene.Name] {
				t.Errorf("the records are\n%swant\n%s", got, want[scene.Name])
			}
			counted := slices.ContainsFunc(r.Trace.Events, func(e diagram.Event) bool {
				return e.Note != nil && strings.Contains(e.Note.Text, "the TLS handshake took 1 round trip")
			})
			if counted != (scene.Name != "tls-refused") {
				t.Errorf("what the handshake cost is told: %v", counted)
			}
			if scene.Name == "tls-open" {
				decrypted(t, r)
			}
		})
	}
}

// decrypted has Wireshark read the file: the keys are in it.
func decrypted(t *testing.T, r Recording) {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("tshark is not installed; make setup installs what the tests need")
		}
		t.Log("tshark is not installed; make setup installs what the tests need")
		return
	}
	file := filepath.Join(t.TempDir(), "tls.pcapng")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.PCAPNG(f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out, err := exec.Command("tshark", "-r", file, "-d", fmt.Sprintf("tcp.port==%d,tls", port(r)), "-V").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, seen := range []string{"Handshake Protocol: Certificate Verify", "Description: Close Notify", "68656c6c6f0a"} {
		if !strings.Contains(string(out), seen) {
			t.Errorf("tshark does not see %q", seen)
		}
	}
}

func port(r Recording) uint16 {
	s, _ := parse(r.Packets[0].Frame)
	return s.to.Port()
}

// A server that nobody here wrote, and TLS 1.2.
func TestSecuredForeign(t *testing.T) {
	rung := seeing(t)
	if rung == diagram.Inferred {
		t.Skip("the segments cannot be seen here; lab doctor says how")
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed; make setup installs what the tests need")
	}
	dir := t.TempDir()
	made, err := certs.Folder(certs.Local)
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Write(dir, made); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	r, err := Record(t.Context(), Options{
		Scene: "tls-refused", Rung: rung, Timeout: 3 * patience, TLS: &certs.Client{CA: at("ca.pem")},
		Server: subject.Spec{Name: "openssl", Kind: "command", Command: []string{
			"openssl", "s_server", "-accept", "127.0.0.1:{port}", "-cert", at("server.pem"), "-key", at("server.key"), "-tls1_2", "-rev", "-quiet",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "1> ClientHello\n1< ServerHello\n1< Certificate\n1< ServerKeyExchange\n1< ServerHelloDone\n1> alert bad_certificate\n"
	if got := said(r); got != want {
		t.Errorf("the records are\n%swant\n%s", got, want)
	}
}
