// Package robust is tests of a controller as its users have it, a process of its
// own, among strangers that send what no peer should, peers that vanish, and
// full disks. IPCORE_TEST_LONG=1 makes them long and their limits those that are
// promised (make test-robust). They are not for the race detector, whose memory
// and pace are its own.
package robust
