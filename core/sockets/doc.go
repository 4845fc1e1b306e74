// Package sockets is the ZeroMQ layer: ROUTER, DEALER, PUB/XPUB and SUB/XSUB
// sockets that listen and dial, over TCP. zmq4 does the ZMTP handshake of each
// connection, behind a guard; framing, routing, queues and subscriptions are
// written here. It is the only importer of zmq4.
//
// # Who owns bytes
//
// Frames handed to a Handler are borrowed until it returns, with one exception:
// a frame of at least LargeFrame bytes lies in memory of its own that nobody
// writes again, so it may be kept and passed on without a copy. Own makes a
// whole message keepable. Sending copies frames below LargeFrame and keeps a
// reference to larger ones, so the sender must not change those afterwards.
package sockets
