// Package load puts load on a controller and measures what it costs. It
// speaks the protocol as synthetic clients and engines, so it drives any
// controller from its two connection files: ours, upstream's, or a bare
// ROUTER-ROUTER forwarder, of which it uses the mux ports alone.
//
// Engines run nothing: they answer each request at once with a reply of the
// usual size. A Harness is a controller with a client and engines; its methods are
// the measurements. The controller's CPU is that of all its processes, as the
// kernel counts it, so it hardly depends on what else the machine does.
package load
