package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

const howToMake = "lab certs DIR makes good ones"

// ReadPair reads a certificate, with those of the authorities in between if
// they follow in the file, and its key.
func ReadPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readPEM(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readPEM(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	switch {
	case err == nil:
		return pair, nil
	case !has(cert, "CERTIFICATE"):
		return pair, fmt.Errorf("%s holds no certificate but %s; are --cert and --key swapped?", certFile, kinds(cert))
	case !has(key, "PRIVATE KEY"):
		return pair, fmt.Errorf("%s holds no private key but %s; are --cert and --key swapped?", keyFile, kinds(key))
	case strings.Contains(err.Error(), "does not match"):
		return pair, fmt.Errorf("%s is not the key of %s; give the two that were made together", keyFile, certFile)
	}
	return pair, fmt.Errorf("%s and %s: %s; %s", certFile, keyFile, strings.TrimPrefix(err.Error(), "tls: "), howToMake)
}

// ReadAuthorities reads whom to trust.
func ReadAuthorities(file string) (*x509.CertPool, error) {
	text, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate of an authority but %s; %s, ca.pem among them", file, kinds(text), howToMake)
	}
	return pool, nil
}

func readPEM(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s; %s", file, howToMake)
	case err != nil:
		return nil, err
	}
	if block, _ := pem.Decode(text); block == nil {
		return nil, fmt.Errorf("%s is not in PEM: it has no line -----BEGIN …-----; %s", file, howToMake)
	}
	return text, nil
}

// has reports whether PEM text has a block whose kind ends so.
func has(text []byte, kind string) bool {
	return slices.ContainsFunc(blocks(text), func(k string) bool { return strings.HasSuffix(k, kind) })
}

func kinds(text []byte) string { return strings.ToLower(strings.Join(blocks(text), ", ")) }

func blocks(text []byte) (kinds []string) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		kinds = append(kinds, block.Type)
	}
	return kinds
}

// Doubts says why clients will refuse a server's certificate, before they do;
// "" means that nothing is seen.
func Doubts(pair tls.Certificate) string {
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err.Error()
	}
	usage := cert.ExtKeyUsage
	switch now := time.Now(); {
	case now.After(cert.NotAfter):
		return "it expired on " + day(cert.NotAfter)
	case now.Before(cert.NotBefore):
		return "it is valid only from " + day(cert.NotBefore)
	case len(cert.DNSNames)+len(cert.IPAddresses) == 0:
		return "it names no host"
	case len(usage) > 0 && !slices.Contains(usage, x509.ExtKeyUsageServerAuth) && !slices.Contains(usage, x509.ExtKeyUsageAny):
		return "it is not for servers"
	}
	return ""
}

func day(t time.Time) string { return t.Format(time.DateOnly) }

// Explain says in an error of a client's handshake which certificate was wrong
// in what way, and what to do.
func Explain(err error) error {
	var (
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		unknown  x509.UnknownAuthorityError
		remote   *net.OpError
		noTLS    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &hostname):
		return fmt.Errorf("the server's certificate is for %s, not for %s; connect to a name that it has, or make one for this name: lab certs DIR --host=%s",
			names(hostname.Certificate), hostname.Host, hostname.Host)
	case errors.As(err, &unknown):
		return fmt.Errorf("the server's certificate is signed by %q, which is not the authority that you trust; is --tls the CA of this server?", unknown.Cert.Issuer.CommonName)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		cert, when := invalid.Cert, "expired on "+day(invalid.Cert.NotAfter)
		if time.Now().Before(cert.NotBefore) {
			when = "is valid only from " + day(cert.NotBefore)
		}
		return fmt.Errorf("the server's certificate %s; it needs a new one, or this machine's clock is wrong", when)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return errors.New("the server's certificate is not for servers, only for clients; start the server with one for servers")
	case errors.As(err, &remote) && remote.Op == "remote error":
		alert := strings.TrimPrefix(remote.Err.Error(), "tls: ")
		return fmt.Errorf("the server refused; its alert says: %s%s", alert, cures[alert])
	case errors.As(err, &noTLS):
		return errors.New("the server does not speak TLS; leave out --tls, or connect to another port")
	}
	return err
}

// cures are what to do about an alert, RFC 8446, 6.2. Package tls does not export
// its type: only the text tells which one it is.
var cures = map[string]string{
	"certificate required":           "; it wants to know who you are: give --cert and --key",
	"bad certificate":                otherCertificate,
	"unsupported certificate":        otherCertificate,
	"unknown certificate":            otherCertificate,
	"unknown certificate authority":  otherCertificate,
	"expired certificate":            "; your certificate has expired: give another --cert and --key",
	"protocol version not supported": "; it speaks no version of TLS from 1.2 on",
}

const otherCertificate = "; it does not trust your certificate: give another --cert and --key"

func names(cert *x509.Certificate) string {
	found := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		found = append(found, ip.String())
	}
	if len(found) == 0 {
		return "no host"
	}
	return strings.Join(found, ", ")
}
