package certs

import (
	"crypto/tls"
	"time"
)

// HandshakeTime is how long a handshake may take.
const HandshakeTime = 10 * time.Second

// A Client says with files what a client of a TLS server knows.
type Client struct {
	CA        string // whom it trusts
	Cert, Key string // who it is, if the server asks; "": nobody
	Insecure  bool   // do not check who the server is
}

// Config reads the files. host is whom to connect to.
func (c Client) Config(host string) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, InsecureSkipVerify: c.Insecure, MinVersion: tls.VersionTLS12}
	var err error
	if c.CA != "" {
		if config.RootCAs, err = ReadAuthorities(c.CA); err != nil {
			return nil, err
		}
	}
	if c.Cert == "" {
		return config, nil
	}
	pair, err := ReadPair(c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	// It is shown to every server that asks. Left to itself, package tls shows
	// none if the server names other authorities: then nobody says what is wrong.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return config, nil
}
