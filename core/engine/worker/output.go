package worker

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

// Stream is one of the worker's two outputs.
type Stream int

// The streams; a value is the file descriptor minus one.
const (
	Stdout Stream = iota
	Stderr
)

// String returns the stream's name in messages.
func (s Stream) String() string { return [...]string{"stdout", "stderr"}[s] }

const (
	outputDelay = 20 * time.Millisecond // how long output is collected
	// How much of it is collected: an eighth of what the request has written,
	// within these limits. Clients append each message to a growing text, so with
	// batches of constant size their cost would be quadratic.
	batchMin = 64 << 10
	batchMax = 8 << 20
	pipeSize = 1 << 20 // requested size; the system may grant less
	readStep = 4 << 10 // minimum buffer space for a read
	tailSize = 4 << 10 // kept for the report of an exit
)

// output reads the two pipes. Its lock may be taken while the caller's locks are held,
// and is not held while the handler is called.
type output struct {
	mu      sync.Mutex
	streams [2]outputStream
	timer   *time.Timer
	armed   bool
	closed  bool
	taken   int    // bytes taken since take last drained the pipes
	tail    []byte // the last bytes of both streams
}

type outputStream struct {
	file *os.File
	fd   int
	buf  []byte // read and not taken
}

// open creates the pipes and returns the worker's ends.
func (o *output) open() (stdout, stderr *os.File, err error) {
	for i := range o.streams {
		r, w, err := outputPipe()
		if err != nil {
			if i > 0 {
				_ = stdout.Close()
			}
			o.close()
			return nil, nil, err
		}
		s := &o.streams[i]
		s.file, s.fd = r, -1
		conn, err := r.SyscallConn()
		if err == nil {
			err = conn.Control(func(fd uintptr) { s.fd = int(fd) })
		}
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			stdout = w
		} else {
			stderr = w
		}
	}
	return stdout, stderr, nil
}

// pump reads one stream continuously and calls notify when there is output to take. It
// ends at the end of the pipe, or with close.
func (o *output) pump(stream Stream, notify func()) {
	s := &o.streams[stream]
	conn, err := s.file.SyscallConn()
	if err != nil {
		return
	}
	for more := true; more; {
		full := false
		err := conn.Read(func(uintptr) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			var n int
			n, more = o.readOnce(s)
			full = len(s.buf) >= min(max(o.taken/8, batchMin), batchMax)
			if n > 0 && !full && !o.armed {
				o.armed = true
				if o.timer == nil {
					o.timer = time.AfterFunc(outputDelay, notify)
				} else {
					o.timer.Reset(outputDelay)
				}
			}
			return n > 0 || !more
		})
		if err != nil {
			return
		}
		if full {
			notify()
		}
	}
}

// readOnce reads once from the pipe without waiting. It returns the number of bytes, and
// false when there will be no more. The caller holds the lock.
func (o *output) readOnce(s *outputStream) (n int, more bool) {
	if o.closed || s.file == nil {
		return 0, false
	}
	if cap(s.buf)-len(s.buf) < readStep {
		grown := make([]byte, len(s.buf), 2*cap(s.buf)+readStep)
		copy(grown, s.buf)
		s.buf = grown
	}
	for {
		n, err := readPipe(s.fd, s.buf[len(s.buf):cap(s.buf)])
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, true
		case err != nil || n == 0:
			return 0, false
		default:
			s.buf = s.buf[:len(s.buf)+n]
			o.keepTail(s.buf[len(s.buf)-n:])
			return n, true
		}
	}
}

// drain reads everything that was in the pipes when it was called. The caller holds the
// lock.
func (o *output) drain() {
	for i := range o.streams {
		s := &o.streams[i]
		// A pipe holds at most pipeSize: anything beyond that was written later, by a
		// process that might never stop.
		for read := 0; read < 2*pipeSize; {
			n, _ := o.readOnce(s)
			if n == 0 {
				break
			}
			read += n
		}
	}
}

// take passes the collected text to f, stdout first. An incomplete UTF-8 sequence at the
// end is kept until its rest arrives, unless the streams are closed. The text is valid
// until f returns; it may contain invalid sequences.
func (o *output) take(drain bool, f func(s Stream, text []byte)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if drain {
		o.drain()
	}
	if o.armed {
		o.armed = false
		o.timer.Stop()
	}
	for i := range o.streams {
		s := &o.streams[i]
		n := len(s.buf)
		if n == 0 {
			continue
		}
		if !o.closed {
			n = wholeRunes(s.buf)
		}
		if n > 0 {
			f(Stream(i), s.buf[:n])
			o.taken += n
		}
		s.buf = s.buf[:copy(s.buf, s.buf[n:])]
		if cap(s.buf) > 4*readStep && (drain || o.taken < 16*batchMin) {
			s.buf = append([]byte(nil), s.buf...) // only a few bytes
		}
	}
	if drain {
		o.taken = 0
	}
}

// wholeRunes returns the length of b without an incomplete UTF-8 sequence at its end.
func wholeRunes(b []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		c := b[len(b)-i]
		if utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return len(b) - i
			}
			break
		}
	}
	return len(b)
}

// close reads the remaining output and closes the pipes; take still works.
func (o *output) close() {
	o.mu.Lock()
	if !o.closed {
		o.drain()
		o.closed = true
	}
	if o.timer != nil {
		o.timer.Stop()
	}
	o.mu.Unlock()
	// Closing waits for a pump that is about to take the lock.
	for i := range o.streams {
		if f := o.streams[i].file; f != nil {
			_ = f.Close()
		}
	}
}

func (o *output) keepTail(b []byte) {
	if len(b) > tailSize {
		b = b[len(b)-tailSize:]
	}
	if over := len(o.tail) + len(b) - tailSize; over > 0 {
		o.tail = o.tail[:copy(o.tail, o.tail[over:])]
	}
	o.tail = append(o.tail, b...)
}

// lastLines returns the end of the worker's output on both streams.
func (o *output) lastLines() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := string(o.tail)
	if len(text) == tailSize {
		if _, rest, ok := strings.Cut(text, "\n"); ok {
			text = rest
		}
	}
	return strings.TrimRight(strings.ToValidUTF8(text, "\uFFFD"), "\n")
}

// TakeOutput passes to f the worker's output since the last call, in order for each
// stream. With drain, it first reads everything in the pipes, so that output written
// before a Reply or Display is included. f must not retain text and must not call p.
func (p *Process) TakeOutput(drain bool, f func(s Stream, text []byte)) {
	p.out.take(drain, f)
}
