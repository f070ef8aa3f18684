// Package certs makes the certificates of a classroom: a small authority, what
// it signs, and wrong ones to try. It reads certificates too, and says what is
// wrong with one and what to do.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Days is how long what is made here is valid: long enough for a course.
const Days = 365

// Local are the names under which a server on this machine is reached.
var Local = []string{"localhost", "127.0.0.1", "::1"}

// A Pair is a certificate and its private key, both in PEM.
type Pair struct{ Certificate, Key []byte }

// An Authority signs certificates.
type Authority struct {
	Certificate []byte // in PEM: what a client trusts
	cert        *x509.Certificate
	key         crypto.Signer
	kind        KeyKind
}

// A KeyKind is what a key is for.
type KeyKind int

const (
	ECDSA   KeyKind = iota // on P-256
	RSA                    // of 2048 bits
	Ed25519                // its signatures are all of one length
)

// NewAuthority makes an authority that is trusted by nobody yet.
func NewAuthority(name string) (*Authority, error) {
	return newAuthority(name, ECDSA)
}

func newAuthority(name string, kind KeyKind) (*Authority, error) {
	key, err := newKey(kind)
	if err != nil {
		return nil, err
	}
	t := template(Wanted{Name: name})
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{block("CERTIFICATE", der), cert, key, kind}, nil
}

// Wanted says what a certificate is to be.
type Wanted struct {
	Name  string             // its owner
	Hosts []string           // names and addresses that a client may connect to
	For   []x509.ExtKeyUsage // what it may be used for
	From  time.Time          // zero: an hour ago, for clocks that are late
	Key   KeyKind
}

// Sign makes a key, and a certificate for it.
func (a *Authority) Sign(w Wanted) (Pair, error) {
	key, err := newKey(w.Key)
	if err != nil {
		return Pair{}, err
	}
	t := template(w)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = w.For
	for _, host := range w.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	return Pair{block("CERTIFICATE", der), block("PRIVATE KEY", private)}, err
}

// Server makes the certificate of a server that is reached under these names.
func (a *Authority) Server(hosts ...string) (Pair, error) {
	return a.Sign(Wanted{Name: "lab server", Hosts: hosts, For: forServer, Key: a.kind})
}

// Client makes the certificate with which a client says who it is.
func (a *Authority) Client(name string) (Pair, error) {
	return a.Sign(Wanted{Name: name, For: forClient, Key: a.kind})
}

var (
	forServer = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	forClient = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
)

func newKey(kind KeyKind) (crypto.Signer, error) {
	switch kind {
	case RSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func template(w Wanted) *x509.Certificate {
	from := w.From
	if from.IsZero() {
		from = time.Now().Add(-time.Hour)
	}
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62)) // it never fails: crypto/rand, Read
	serial.SetBit(serial, 62, 1)                                            // all are of one length
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: w.Name},
		NotBefore:    from,
		NotAfter:     from.AddDate(0, 0, Days),
	}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
