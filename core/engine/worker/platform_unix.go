//go:build unix

package worker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// channelPair creates the channel. It returns this process's end and the worker's, which
// the caller closes after the start.
func channelPair() (*net.UnixConn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("worker channel: %w", err)
	}
	for _, fd := range fds {
		// Larger buffers mean fewer writes for large arrays; the system may refuse.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	}
	theirs := os.NewFile(uintptr(fds[1]), "worker channel")
	ours := os.NewFile(uintptr(fds[0]), "worker channel")
	conn, err := net.FileConn(ours) // duplicates the descriptor
	if err := errors.Join(err, ours.Close()); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("worker channel: %w", err), theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}

// outputPipe creates a pipe whose read end is non-blocking and whose write end, the
// worker's, blocks.
func outputPipe() (r, w *os.File, err error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	err = unix.Pipe(fds[:])
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("pipe for the worker's output: %w", err)
	}
	growPipe(fds[0])
	w = os.NewFile(uintptr(fds[1]), "worker output")
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[0]), w.Close())
	}
	return os.NewFile(uintptr(fds[0]), "worker output"), w, nil
}

func readPipe(fd int, b []byte) (int, error) { return unix.Read(fd, b) }

// killGroup kills a worker and the processes of its process group.
func killGroup(pid int) { _ = unix.Kill(-pid, unix.SIGKILL) }

func exitSignal(state *os.ProcessState) syscall.Signal {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal()
	}
	return 0
}

func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return "unknown"
}

// SignalNumber returns the signal of a name such as "SIGINT".
func SignalNumber(name string) (syscall.Signal, bool) {
	sig := unix.SignalNum(name)
	return sig, sig != 0
}
