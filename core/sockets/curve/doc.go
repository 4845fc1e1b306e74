// Package curve is CURVE, the security mechanism of ZeroMQ that encrypts (RFC 26, as
// libzmq speaks it): keys, the handshake in both roles, and the sealing of frames
// afterwards. zmq4 has no CURVE. Connections and queues are in package sockets.
//
// A Config says which keys a socket uses, and Config.Keys prepares them once for all
// its connections. Each connection gets its own Mechanism, which zmq4.Open runs. After
// the handshake, the Mechanism has a Sealer for the frames that are sent and an Opener
// for those that are received.
//
// # Concurrency
//
// Keys are read only, and may be used by many goroutines. A Sealer belongs to whoever
// holds the lock of the connection's send queue: Next must be called in the order in
// which frames are queued. Seal changes nothing in the Sealer, so a frame may be sealed
// later and without the lock. An Opener belongs to the connection's reader.
//
// # Memory
//
// Seal reads a body where it lies and writes the sealed frame to memory of the caller.
// Open decrypts a frame in place. Neither allocates or keeps a reference. Nothing that
// Open returns without an error is unauthenticated: the tag is checked first.
package curve
