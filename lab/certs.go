//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"socketlab/lab/certs"
)

type certsCmd struct {
	Dir  string   `arg:"" type:"path" help:"The folder to write into; it is made if it is missing."`
	Host []string `placeholder:"NAME" help:"Names and addresses of the server, instead of localhost, 127.0.0.1 and ::1."`
}

func (certsCmd) Help() string {
	return `A small authority, a certificate for the server and one for a client, and wrong ones
that show why a certificate is refused. NAME.pem is the certificate, NAME.key its
private key, which only you may read. They are valid for a year. The key of the
authority is not kept, so nobody can sign more in its name. No file is replaced.

Examples:
  lab certs tls
  lab run --model=tls --cert=tls/server.pem --key=tls/server.key
  lab chat --tls=tls/ca.pem                            in another terminal
  lab run --model=tls --cert=tls/expired.pem --key=tls/expired.key     refused: why?
  lab run --model=tls --cert=tls/server.pem --key=tls/server.key --client-ca=tls/ca.pem
  lab chat --tls=tls/ca.pem --cert=tls/client.pem --key=tls/client.key
  lab certs tls --host=lab.example --host=192.0.2.7    for another machine`
}

func (cmd *certsCmd) Run() error {
	if len(cmd.Host) == 0 {
		cmd.Host = certs.Local
	}
	made, err := certs.Folder(cmd.Host)
	if err != nil {
		return err
	}
	if err := certs.Write(cmd.Dir, made); err != nil {
		return err
	}
	return written(os.Stdout, func(page io.Writer) {
		t := tabwriter.NewWriter(page, 0, 0, 2, ' ', 0)
		for _, m := range made {
			key := ""
			if m.Key != nil {
				key = m.Name + ".key"
			}
			fmt.Fprintf(t, "%s.pem\t%s\t%s\n", m.Name, key, m.Says)
		}
		t.Flush()
	})
}
