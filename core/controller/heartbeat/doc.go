// Package heartbeat watches which engines are alive: it pings their hearts, counts
// their connections, and reports when a registering engine can be used and when a
// registered one is lost.
//
// Nothing waits for the next beat. A heart that subscribes is sent a ping at once,
// and its engine is ready as soon as its last socket has connected and that ping has
// come back. An engine whose connections have all closed is lost a second later,
// without waiting for missed beats.
package heartbeat
