//go:build unix

// Package workertest has a worker without Python: the test binary itself,
// started again, which interprets the requests.
package workertest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const verb = "ipcore-fake-worker"

// Main is the first statement of TestMain: in a fake worker it does not return.
func Main() {
	if len(os.Args) == 5 && os.Args[1] == verb {
		os.Exit(run(os.Args[2], os.Args[3], os.Args[4]))
	}
}

// Command starts this test binary as a fake worker. One in the mode "mute"
// dies before it is ready, after a line on its standard error; "" is the other
// mode.
func Command(mode string) []string { return []string{os.Args[0], verb, mode} }

// A Frame of the channel, as the package worker describes it.
type Frame struct {
	Kind, Flags byte
	Parts       [][]byte
}

type channel struct{ *os.File }

func (c channel) read() (f Frame, err error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return f, err
	}
	f.Kind, f.Flags = head[0], head[1]
	sizes := make([]byte, 8*int(binary.LittleEndian.Uint16(head[2:])))
	if _, err := io.ReadFull(c, sizes); err != nil {
		return f, err
	}
	for ; len(sizes) > 0; sizes = sizes[8:] {
		part := make([]byte, binary.LittleEndian.Uint64(sizes))
		if _, err := io.ReadFull(c, part); err != nil {
			return f, err
		}
		f.Parts = append(f.Parts, part)
	}
	return f, nil
}

func (c channel) write(kind byte, parts ...[]byte) {
	b := []byte{kind, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(parts)))
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(p)))
	}
	if _, err := c.Write(append(b, bytes.Join(parts, nil)...)); err != nil {
		os.Exit(1)
	}
}

func run(mode, channelFD, faultFD string) int {
	fd, err1 := strconv.Atoi(channelFD)
	fault, err2 := strconv.Atoi(faultFD)
	if err := errors.Join(err1, err2); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if mode == "mute" {
		fmt.Fprintln(os.Stderr, "no module named anything")
		return 3
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	c := channel{os.NewFile(uintptr(fd), "channel")}
	w := worker{channel: c, fault: os.NewFile(uintptr(fault), "fault"), interrupted: interrupted}
	for {
		f, err := c.read()
		if err != nil {
			return 0
		}
		switch f.Kind {
		case 'S':
		case 'H':
			c.write('H', fmt.Appendf(nil, `{"pid": %d, "python": "3.11.2", "packages": {}}`, os.Getpid()))
		case 'A':
			w.do(f.Parts[0], string(f.Parts[2]), f.Parts[3:])
		case 'E':
			w.cells++
			w.do(f.Parts[0], string(f.Parts[1]), nil)
		case 'C':
			w.cells = 0
			c.write('R', f.Parts[0], []byte("ok"))
		case 'J':
			c.write('R', f.Parts[0], []byte("ok"), []byte(`{"status": "ok", "type": "`+string(f.Parts[1])+`"}`))
		case 'Q':
			return 0
		}
	}
}

type worker struct {
	channel
	fault       *os.File
	interrupted chan os.Signal
	cells       int
}

// do runs the commands of a request, one a line, and replies. An apply's first
// buffer or a cell's code holds them; the further buffers come back as results.
func (w *worker) do(id []byte, script string, rest [][]byte) {
	ok := func(parts ...[]byte) { w.write('R', append([][]byte{id, []byte("ok")}, parts...)...) }
	for line := range strings.Lines(script) {
		verb, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.Atoi(arg)
		switch verb {
		case "out":
			fmt.Fprintln(os.Stdout, arg)
		case "err":
			fmt.Fprintln(os.Stderr, arg)
		case "flood": // n bytes on each stream
			text := bytes.Repeat([]byte("0123456789abcde\n"), 256)
			for ; n > 0; n -= len(text) {
				os.Stdout.Write(text[:min(n, len(text))])
				os.Stderr.Write(text[:min(n, len(text))])
			}
		case "bytes": // hexadecimal
			b, err := hex.DecodeString(arg)
			if err != nil {
				panic(err)
			}
			os.Stdout.Write(b)
		case "show":
			w.write('D', []byte("display_data"), id, []byte(`{"data": {"text/plain": "`+arg+`"}, "metadata": {}}`))
		case "result": // n bytes
			ok(make([]byte, n))
			return
		case "cells":
			ok([]byte(strconv.Itoa(w.cells)))
			return
		case "pid":
			ok([]byte(strconv.Itoa(os.Getpid())))
			return
		case "fail":
			w.write('R', id, []byte("error"), []byte("ValueError"), []byte(arg), []byte("Traceback\x00ValueError: "+arg), nil, nil)
			return
		case "unmet":
			w.write('R', id, []byte("error"), []byte("UnmetDependency"), nil, []byte("UnmetDependency"), nil, []byte(`{"dependencies_met": false}`))
			return
		case "wait": // until interrupted
			select {
			case <-w.interrupted:
				w.write('R', id, []byte("error"), []byte("KeyboardInterrupt"), nil, []byte("KeyboardInterrupt"), nil, nil)
				return
			case <-time.After(time.Minute):
			}
		case "file": // until the file is there
			for {
				if _, err := os.Stat(arg); err == nil {
					break
				}
				time.Sleep(time.Millisecond)
			}
		case "exit":
			os.Exit(n)
		case "kill":
			fmt.Fprintln(w.fault, "Fatal Python error: in the fake")
			_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
			select {}
		case "garbage":
			_, _ = w.Write([]byte("print('hello')"))
			select {}
		case "close":
			_ = w.Close()
			select {}
		case "wrong":
			w.write('R', []byte("another id"), []byte("ok"))
		}
	}
	ok(rest...)
}
