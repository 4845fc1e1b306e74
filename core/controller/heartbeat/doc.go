// Package heartbeat knows which engines are there: it pings their hearts,
// counts what they have connected, tells when a registering engine can be
// used and when a registered one is lost.
//
// Nothing waits for a tick. A heart that subscribes gets a ping of its own at
// once, and an engine is ready at the moment when its last socket has
// connected and that ping has come back. An engine whose connections have all
// ended is lost a second later, without waiting for missed beats.
package heartbeat
