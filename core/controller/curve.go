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

// Encryption selects whether all connections are encrypted with CURVE.
type Encryption int

// Values of Encryption.
const (
	// EncryptBeyondLoopback encrypts when the controller listens on more than the
	// loopback interface, or IPP_ENABLE_CURVE is 1.
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

// isLoopback reports whether an address can be reached from this machine only.
func isLoopback(address string) bool {
	ip := net.ParseIP(strings.Trim(address, "[]"))
	return address == "localhost" || ip != nil && ip.IsLoopback()
}

// configuredSecret returns the secret key of the options or the environment; zero
// when none was given.
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
			return secret, errors.New("controller: the CURVE public key was given without its secret key: set IPP_CURVE_SECRETKEY as well, or neither")
		}
		return secret, nil
	}
	if secret, err = curve.ParseKey(text); err != nil {
		return secret, fmt.Errorf("controller: secret key: %w", err)
	}
	if public != "" && public != secret.Public().Z85() {
		return secret, errors.New("controller: the CURVE public key does not belong to the secret key: give a matching pair, or the secret key alone")
	}
	return secret, nil
}

// reuseCurve sets the key that the connection files were created with. Its error
// says why the files can't be reused.
func (c *controller) reuseCurve(file *connfile.Client) error {
	public := serverKey(file.CurveServerKey)
	switch encrypted := c.o.encrypted(); {
	case !encrypted && public == "":
		return nil
	case !encrypted:
		return errors.New("they are for encrypted connections, but encryption is now off")
	case public == "":
		return errors.New("they are for connections without encryption, but encryption is now on")
	}
	secret, err := c.o.configuredSecret()
	if err == nil && secret == (curve.Key{}) {
		secret, err = readSecret(c.secretFile())
	}
	if err != nil {
		return err
	}
	if secret == (curve.Key{}) || secret.Public().Z85() != public {
		return errors.New("the secret key that belongs to their curve_serverkey is not known")
	}
	c.curve = &curve.Config{Server: true, SecretKey: secret}
	return nil
}

// newCurve sets the configured key or a new one. A new key is saved for the next
// start if Options.Reuse is set.
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
				return fmt.Errorf("controller: save the CURVE key for the next start: %w", err)
			}
		}
	}
	c.curve = &curve.Config{Server: true, SecretKey: secret}
	return nil
}

// secretFile is the path of the key that is saved from one start to the next.
func (c *controller) secretFile() string {
	return filepath.Join(c.o.Profile.SecurityDir(), connfile.SecretName(c.o.ClusterID))
}

// serverKey returns curve_serverkey of the connection files: nil without CURVE.
func (c *controller) serverKey() *string {
	if c.curve == nil {
		return nil
	}
	public := c.curve.SecretKey.Public().Z85()
	return &public
}

// logEncryption logs whether connections are encrypted.
func (c *controller) logEncryption() {
	switch {
	case c.curve != nil:
		c.log.Info("connections are encrypted (CURVE)")
	case !isLoopback(c.o.EngineIP) || !isLoopback(c.o.ClientIP):
		c.log.Warn("other machines can connect, and connections are not encrypted: anyone who can see the network traffic can read them")
	}
}

// serverKey returns curve_serverkey of a connection file; empty without CURVE.
func serverKey(field *string) string {
	if field == nil {
		return ""
	}
	return *field
}

// readSecret reads a saved secret key; zero when there is none.
func readSecret(path string) (curve.Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return curve.Key{}, nil
	}
	if err != nil {
		return curve.Key{}, fmt.Errorf("controller: read the CURVE key that a previous start saved: %w", err)
	}
	secret, err := curve.ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return curve.Key{}, fmt.Errorf("controller: the CURVE key that a previous start saved in %s: %w; remove the file", path, err)
	}
	return secret, nil
}
