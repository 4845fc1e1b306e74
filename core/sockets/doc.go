// Package sockets is the ZeroMQ layer: ROUTER, DEALER, PUB/XPUB and SUB/XSUB
// sockets that listen and dial, over TCP. zmq4 does the ZMTP handshake of each
// connection, behind a guard; framing, routing, queues and subscriptions are
// written here. It is the only importer of zmq4.
//
// With Options.Curve all connections of a socket are encrypted, and peers that
// speak another mechanism or do not know the server's key are refused.
//
// # Who owns bytes
//
// Frames handed to a Handler are borrowed until it returns, with one exception:
// a frame of at least LargeFrame bytes lies in memory of its own that nobody
// writes again, so it may be kept and passed on without a copy. Own makes a
// whole message keepable. Sending copies frames below LargeFrame and keeps a
// reference to larger ones, so the sender must not change those afterwards.
//
// # Who runs what
//
// Each connection has one goroutine. It shakes hands, reads, calls the socket's
// callbacks and, after each read, writes what they enqueued on any connection
// of the process. A Handler therefore forwards a message with Lookup and
// Enqueue alone, and must not wait for long: it holds up its own peer, nobody
// else. A goroutine that gets messages through a channel calls Own before and
// FlushAll after each batch.
//
// Writing never blocks the caller. What the kernel does not take at once is
// left to a goroutine that ends when the connection's queue is empty. A queue
// is bounded by Limits.SendQueue: over it a ROUTER's or DEALER's sender gets
// ErrFull, a PUB drops the message for that subscriber and counts it, and a
// peer that takes nothing for Limits.StuckAfter is dropped. The log tells when
// that begins, and how many messages it were when the peer has caught up or gone.
package sockets
