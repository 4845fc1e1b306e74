// Package metrics lets operators observe a controller: metrics in Prometheus' format
// under /metrics, health under /healthz, and Go's profiles under /debug/pprof/, on
// one port of the loopback interface. It reads counters that the parts of the
// controller keep anyway, so it costs nothing while it is not enabled.
package metrics
