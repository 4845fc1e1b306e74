package cluster

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// watchDir sends a notification after names appeared in dir, or none if the kernel refuses
// the watch. stop ends the watch and waits for its goroutine.
func watchDir(dir string) (notices <-chan struct{}, stop func()) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, func() {}
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_CREATE); err != nil {
		f.Close()
		return nil, func() {}
	}
	c := make(chan struct{}, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		buffer := make([]byte, 4096)
		for {
			if _, err := f.Read(buffer); err != nil {
				return // closed by stop
			}
			select {
			case c <- struct{}{}:
			default:
			}
		}
	})
	return c, func() {
		f.Close()
		reader.Wait()
	}
}
