// Package sockets has ZeroMQ sockets that listen and dial over TCP: ROUTER, DEALER, PUB
// (which serves as XPUB too) and SUB. zmq4 does the ZMTP handshake of each connection,
// behind a wrapper that bounds what it reads. Routing, queues and subscriptions are
// written here; the format of frames is in package zmtp, encryption in package curve.
//
// With Options.Curve all connections of a socket are encrypted. Peers that speak another
// mechanism or do not know the server's key are refused.
//
// # Reading and writing
//
// Each connection has one goroutine, its reader. It does the handshake, reads messages,
// calls the socket's callbacks and, after each read, writes everything that the callbacks
// enqueued, on any connection of the process. A Handler therefore forwards a message
// with Lookup and Enqueue alone. It must not wait for long: while it waits, its own peer
// is not read, but no other peer is held up. A goroutine that gets messages from a
// Handler through a channel enqueues its replies and calls FlushAll after each batch.
//
// Writing never blocks the caller. Whoever flushes a connection first tries to write
// without blocking. Bytes that the kernel does not accept at once are left to a second
// goroutine, which ends when the connection's queue is empty.
//
// A queue is bounded by Limits.SendQueue, the high-water mark. Over it, the sender on a
// ROUTER or DEALER gets ErrFull, and a PUB drops the message for that subscriber and
// counts it. A peer over the mark that takes nothing for Limits.StuckAfter is
// disconnected. The log reports when messages begin to be refused, and, once the peer
// catches up or disconnects, how many were refused.
//
// # Memory of frames
//
// Frames that a Handler gets are valid until it returns. There is one exception: a frame
// of at least LargeFrame bytes has memory of its own that is never written again, so it
// may be kept, and passed on without a copy. Retain turns a whole message into one that
// may be kept: it copies the small frames and shares the large ones.
//
// Sending does the same: frames below LargeFrame are copied, so the sender may reuse
// them at once. Larger ones are referred to until they are written, so the sender must
// not change them afterwards.
//
// # Locks
//
// Socket.mu guards the lists of listeners, connections, identities and subscriptions.
// Conn.mu guards the send queue of one connection and, on a PUB, the peer's
// subscriptions. The order is Socket.mu, then the lock of the messages to be replayed
// (Options.Replay), then Conn.mu. None of them is held while a callback runs or bytes
// are read or written, so callbacks may take locks of their own, and sending with such
// a lock held is safe. Close waits for callbacks and must not be called with such a
// lock held.
package sockets
