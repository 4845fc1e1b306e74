// Package hostcert makes the certificates of one start of a plugin: a host's own,
// and the one that it hands to the plugin as files.
package hostcert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Certificates are those of one start of a plugin: an authority that lives in
// this process only, and one leaf for each side. They are P-256, which every TLS
// library accepts, and not go-plugin's AutoMTLS, whose P-521 client certificate
// BoringSSL refuses.
type Certificates struct {
	CA []byte // the authority's certificate as PEM, for PLUGIN_CLIENT_CERT

	host   tls.Certificate
	pool   *x509.CertPool
	plugin struct{ cert, key []byte } // PEM
}

// New makes the certificates of one start.
func New() (*Certificates, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "ipcore"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := issue(ca, ca, caKey, caKey)
	if err != nil {
		return nil, err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return nil, err
	}
	c := &Certificates{pool: x509.NewCertPool(), CA: pemBlock("CERTIFICATE", caDER)}
	c.pool.AddCert(ca)

	hostCert, hostKey, err := leaf(ca, caKey, "ipcore host", x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	if c.host, err = tls.X509KeyPair(hostCert, hostKey); err != nil {
		return nil, err
	}
	c.plugin.cert, c.plugin.key, err = leaf(ca, caKey, "ipcore launcher", x509.ExtKeyUsageServerAuth)
	return c, err
}

// leaf makes a key pair for one side.
func leaf(ca *x509.Certificate, caKey *ecdsa.PrivateKey, name string, use x509.ExtKeyUsage) (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
		BasicConstraintsValid: true,
	}, ca, k, caKey)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	return pemBlock("CERTIFICATE", der), pemBlock("PRIVATE KEY", keyDER), err
}

func issue(c, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	c.SerialNumber = serial
	c.NotBefore = time.Now().Add(-time.Minute)
	c.NotAfter = time.Now().AddDate(10, 0, 0) // a plugin may serve for as long as a cluster lives
	return x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
}

func pemBlock(kind string, der []byte) []byte {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // a Buffer takes everything
	return b.Bytes()
}

// Client is the host's side of the TLS.
func (c *Certificates) Client() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{c.host}, RootCAs: c.pool,
		ServerName: "localhost", MinVersion: tls.VersionTLS12,
	}
}

// Write puts the plugin's side into a folder: the three files that it finds
// through sdk.EnvTLSDir, mode 0600.
func (c *Certificates) Write(dir string) error {
	for name, b := range map[string][]byte{"ca.pem": c.CA, "cert.pem": c.plugin.cert, "key.pem": c.plugin.key} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return fmt.Errorf("write the plugin's certificate: %w", err)
		}
	}
	return nil
}
