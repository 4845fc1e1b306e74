package zmtp

import "bytes"

// A greeting begins with Signature and names the security mechanism in 20 bytes,
// padded with zeros.
const (
	GreetingSize = 64
	Null         = "NULL" // the mechanism without security
	Signature    = 0xff   // first byte

	signatureEnd = 9  // where 0x7f ends the signature
	majorVersion = 10 // where the major version is
	mechanismAt  = 12
	mechanismEnd = 32
)

// Greeting returns the greeting of a ZMTP 3.0 client that speaks mechanism.
func Greeting(mechanism string) []byte {
	g := make([]byte, GreetingSize)
	g[0], g[signatureEnd], g[majorVersion] = Signature, 0x7f, 3
	copy(g[mechanismAt:mechanismEnd], mechanism)
	return g
}

// Mechanism returns the name of the security mechanism in a greeting of GreetingSize
// bytes. ZMTP 3 is the first version that has one; in older greetings the name is
// whatever the peer sent in its place.
func Mechanism(greeting []byte) string {
	name, _, _ := bytes.Cut(greeting[mechanismAt:mechanismEnd], []byte{0})
	return string(name)
}
