//go:build linux

package server

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// TLS names the files, in PEM, that say who a server is and whom it lets in.
type TLS struct {
	Cert, Key string // its certificate and the key of that
	ClientCA  string // who signs for clients; "": they need no certificate
	CA        string // what a client is to trust: to be told, if it is known
}

// invites is what a client types.
func (f TLS) invites(addr netip.AddrPort) string {
	line := "lab chat --tls=" + cmp.Or(f.CA, "CA")
	if f.ClientCA != "" {
		line += " --cert=FILE --key=FILE"
	}
	return line + " " + addr.String()
}

// validateTLS refuses files for a page without TLS, and TLS without files.
func (s *Server) validateTLS() error {
	f := s.TLS
	switch {
	case !s.Model.TLS && f.Cert+f.Key+f.ClientCA != "":
		return Wrong("--cert, --key and --client-ca are for TLS; --model=tls speaks it")
	case (f.Cert == "") != (f.Key == ""):
		return Wrong("--cert and --key belong together: give both; lab certs DIR makes them")
	}
	return nil
}

// secure reads the files; a page without TLS has none.
func (s *Server) secure() (*tls.Config, error) {
	if !s.Model.TLS {
		return nil, nil
	}
	if s.TLS.Cert == "" {
		return nil, Wrong("--model=%s needs a certificate, --cert and --key; lab certs DIR makes them, and lab run makes some for one run", s.Model.Name)
	}
	own, err := tls.LoadX509KeyPair(s.TLS.Cert, s.TLS.Key)
	if err != nil {
		return nil, fmt.Errorf("--cert=%s --key=%s: %w; lab certs DIR makes good ones", s.TLS.Cert, s.TLS.Key, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	if s.TLS.ClientCA == "" {
		return config, nil
	}
	trusted, err := os.ReadFile(s.TLS.ClientCA)
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if err == nil && !config.ClientCAs.AppendCertsFromPEM(trusted) {
		err = errors.New("no certificate in PEM is in it")
	}
	if err != nil {
		return nil, fmt.Errorf("--client-ca=%s: %w; lab certs DIR makes one, ca.pem", s.TLS.ClientCA, err)
	}
	return config, nil
}
