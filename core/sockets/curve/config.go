package curve

import "fmt"

// Config says how a socket uses CURVE. All its connections are encrypted, and peers
// that speak another mechanism are refused. Each peer must know the server's public
// key, and a server asks for no other proof; the key pairs of clients only keep their
// traffic apart.
type Config struct {
	// Server says which of the two roles of CURVE this socket has. Either role may
	// listen or dial.
	Server bool
	// SecretKey is this side's own. A client may leave it zero; then a key is generated.
	SecretKey Key
	// ServerKey is the public key of the server. Only clients need it.
	ServerKey Key
}

// ClientConfig returns the configuration of a client of the server that has this public
// key, in Z85 as connection files have it. It returns nil, which means no encryption,
// for an empty key.
func ClientConfig(serverKey string) (*Config, error) {
	if serverKey == "" {
		return nil, nil
	}
	key, err := ParseKey(serverKey)
	if err != nil {
		return nil, fmt.Errorf("the controller's CURVE key: %w", err)
	}
	return &Config{ServerKey: key}, nil
}

// Keys are the keys of a Config, ready for handshakes.
type Keys struct {
	server    bool
	own       pair
	serverKey Key
}

// Keys prepares the keys of c. It panics if one is missing: that is a mistake in the
// program, because keys that users give are checked by ParseKey.
func (c *Config) Keys() *Keys {
	secret := c.SecretKey
	switch {
	case c.Server && secret.isZero():
		panic("curve: a server needs its secret key")
	case !c.Server && c.ServerKey.isZero():
		panic("curve: a client needs the server's public key")
	case secret.isZero():
		secret = NewKey()
	}
	return &Keys{server: c.Server, own: newPair(secret), serverKey: c.ServerKey}
}
