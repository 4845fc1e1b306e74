package worker

import (
	"net"
	"os"
	"syscall"
)

// The worker's channel and process group need Unix. On Windows, Start returns
// ErrUnsupported, from channelPair, before it does anything else.

func channelPair() (*net.UnixConn, *os.File, error) { return nil, nil, ErrUnsupported }
func outputPipe() (r, w *os.File, err error)        { return nil, nil, ErrUnsupported }
func faultFile() (*os.File, error)                  { return nil, ErrUnsupported }
func readPipe(int, []byte) (int, error)             { return 0, ErrUnsupported }
func processAttributes() *syscall.SysProcAttr       { return nil }
func waitExit(int) bool                             { return false }
func killGroup(int)                                 {}
func oomKills() int64                               { return 0 }
func exitSignal(*os.ProcessState) syscall.Signal    { return 0 }
func signalName(sig syscall.Signal) string          { return sig.String() }

// SignalNumber returns the signal of a name such as "SIGINT".
func SignalNumber(name string) (syscall.Signal, bool) {
	switch name {
	case "SIGINT":
		return syscall.SIGINT, true
	case "SIGTERM":
		return syscall.SIGTERM, true
	case "SIGKILL":
		return syscall.SIGKILL, true
	}
	return 0, false
}
