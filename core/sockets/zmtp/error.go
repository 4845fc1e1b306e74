package zmtp

import "fmt"

// ProtocolError says how a peer broke the protocol or exceeded a limit. It ends the
// connection.
type ProtocolError string

// Error implements error.
func (e ProtocolError) Error() string { return string(e) }

// Errorf returns a ProtocolError.
func Errorf(format string, args ...any) error { return ProtocolError(fmt.Sprintf(format, args...)) }
