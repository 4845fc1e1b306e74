// Package metrics shows what a controller does to those who run it: numbers in
// Prometheus' form under /metrics, whether it answers under /healthz, and Go's
// profiles under /debug/pprof/, on one port of the loopback interface. It reads
// what the parts count anyway; without a server nothing is paid for it.
package metrics
