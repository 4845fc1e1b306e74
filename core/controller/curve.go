package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/internal/atomicfile"
)

// Encryption says whether all connections are encrypted with CURVE.
type Encryption int

// The choices.
const (
	// EncryptBeyondLoopback encrypts when the controller listens for other
	// machines, or IPP_ENABLE_CURVE is 1.
	EncryptBeyondLoopback Encryption = iota
	EncryptAlways
	EncryptNever
)

// encrypted reports whether o asks for encryption.
func (o *Options) encrypted() bool {
	switch o.Encryption {
	case EncryptAlways:
		return true
	case EncryptNever:
		return false
	}
	return os.Getenv("IPP_ENABLE_CURVE") == "1" || !isLoopback(o.EngineIP) || !isLoopback(o.ClientIP)
}

// isLoopback reports whether only this machine reaches an address.
func isLoopback(address string) bool {
	ip := net.ParseIP(strings.Trim(address, "[]"))
	return address == "localhost" || ip != nil && ip.IsLoopback()
}

// configuredSecret answers the secret key that was given; zero when none was.
func (o *Options) configuredSecret() (secret curve.Key, err error) {
	text, public := o.CurveSecretKey, o.CurvePublicKey
	if text == "" {
		text = os.Getenv("IPP_CURVE_SECRETKEY")
		if public == "" {
			public = os.Getenv("IPP_CURVE_PUBLICKEY")
		}
	}
	if text == "" {
		if public != "" {
			return secret, errors.New("controller: a CURVE public key without its secret key: set IPP_CURVE_SECRETKEY too, or neither")
		}
		return secret, nil
	}
	if secret, err = curve.ParseKey(text); err != nil {
		return secret, fmt.Errorf("controller: secret key: %w", err)
	}
	if public != "" && public != secret.Public().Z85() {
		return secret, errors.New("controller: the CURVE public key is not that of the secret key: give a pair, or the secret key alone")
	}
	return secret, nil
}

// reuseCurve takes the key that connection files were made with. Its error says
// why the files can't be used again.
func (c *controller) reuseCurve(file *connfile.Client) error {
	public := serverKey(file.CurveServerKey)
	switch encrypted := c.o.encrypted(); {
	case !encrypted && public == "":
		return nil
	case !encrypted:
		return errors.New("they are for encrypted connections, which are off now")
	case public == "":
		return errors.New("they are for connections without encryption, which is on now")
	}
	secret, err := c.o.configuredSecret()
	if err == nil && secret == (curve.Key{}) {
		secret, err = keptSecret(c.secretFile())
	}
	if err != nil {
		return err
	}
	if secret == (curve.Key{}) || secret.Public().Z85() != public {
		return errors.New("the secret key of their curve_serverkey is not known")
	}
	c.curve = &curve.Config{Server: true, SecretKey: secret}
	return nil
}

// newCurve takes the key that is configured or a new one, which is kept for the
// next start if that will use the same files.
func (c *controller) newCurve() error {
	if !c.o.encrypted() {
		return nil
	}
	secret, err := c.o.configuredSecret()
	if err != nil {
		return err
	}
	if secret == (curve.Key{}) {
		secret = curve.NewKey()
		if c.o.Reuse {
			if err := atomicfile.Write(c.secretFile(), []byte(secret.Z85()+"\n"), 0o600); err != nil {
				return fmt.Errorf("controller: keep the CURVE key for the next start: %w", err)
			}
		}
	}
	c.curve = &curve.Config{Server: true, SecretKey: secret}
	return nil
}

// secretFile is where a key is kept between two starts.
func (c *controller) secretFile() string {
	return filepath.Join(c.o.Profile.SecurityDir(), connfile.SecretName(c.o.ClusterID))
}

// serverKey is curve_serverkey of the connection files: null without CURVE.
func (c *controller) serverKey() *string {
	if c.curve == nil {
		return nil
	}
	public := c.curve.SecretKey.Public().Z85()
	return &public
}

// tellEncryption logs what protects connections.
func (c *controller) tellEncryption() {
	switch {
	case c.curve != nil:
		c.log.Info("connections are encrypted (CURVE)")
	case !isLoopback(c.o.EngineIP) || !isLoopback(c.o.ClientIP):
		c.log.Warn("other machines can connect, and connections are not encrypted: who sees the network can read them")
	}
}

// serverKey answers curve_serverkey of a connection file; empty without CURVE.
func serverKey(field *string) string {
	if field == nil {
		return ""
	}
	return *field
}

// keptSecret reads a secret key that was kept; zero when there is none.
func keptSecret(path string) (curve.Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return curve.Key{}, nil
	}
	if err != nil {
		return curve.Key{}, fmt.Errorf("controller: the CURVE key of --reuse: %w", err)
	}
	secret, err := curve.ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return curve.Key{}, fmt.Errorf("controller: the CURVE key of --reuse in %s: %w; remove the file", path, err)
	}
	return secret, nil
}
