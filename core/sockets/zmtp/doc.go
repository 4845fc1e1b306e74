// Package zmtp is the wire format of ZMTP 3, the protocol between ZeroMQ peers:
// greetings, frames, commands, the properties that peers exchange at the end of a
// handshake, and the security mechanism NULL. The mechanism CURVE is in package
// curve, sockets and connections are in package sockets; both use this one, which
// imports neither.
//
// Functions here read and write bytes of the caller and keep none of them. They hold
// no locks and start no goroutines. Those that run for each frame (PutHeader,
// ParseHeader) do not allocate.
//
// Sizes that a peer claims are checked by the caller before it allocates memory. A
// peer that breaks the protocol or exceeds a limit is reported as a ProtocolError.
package zmtp
