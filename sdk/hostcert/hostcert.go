// Package hostcert issues the certificates for one start of a plugin: one for the
// host, and one that the host gives to the plugin in files.
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

// Certificates are the certificates for one start of a plugin: an authority, whose
// key never leaves this process, and one leaf for each side. Their keys are P-256,
// which every TLS library accepts. go-plugin's AutoMTLS is not used, because
// BoringSSL refuses its P-521 client certificate.
type Certificates struct {
	CA []byte // the authority's certificate as PEM, for PLUGIN_CLIENT_CERT

	host   tls.Certificate
	pool   *x509.CertPool
	plugin struct{ cert, key []byte } // PEM
}

// New issues the certificates for one start of a plugin.
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

// leaf issues the certificate of one side, with a new key, as PEM.
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
	c.NotAfter = time.Now().AddDate(10, 0, 0) // a plugin may serve as long as its cluster exists
	return x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
}

func pemBlock(kind string, der []byte) []byte {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // writing to a Buffer does not fail
	return b.Bytes()
}

// Client returns the TLS configuration of the host, which is the client.
func (c *Certificates) Client() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{c.host}, RootCAs: c.pool,
		ServerName: "localhost", MinVersion: tls.VersionTLS12,
	}
}

// Write writes the plugin's files into the folder dir, with mode 0600: ca.pem,
// cert.pem and key.pem, which the plugin finds through sdk.EnvTLSDir.
func (c *Certificates) Write(dir string) error {
	for name, b := range map[string][]byte{"ca.pem": c.CA, "cert.pem": c.plugin.cert, "key.pem": c.plugin.key} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return fmt.Errorf("write the plugin's certificate: %w", err)
		}
	}
	return nil
}
