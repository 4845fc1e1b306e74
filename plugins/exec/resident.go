package exec

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	osexec "os/exec"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk/process"
)

// residentVerb is what a script is called with that serves all verbs in one
// process.
const residentVerb = "serve"

// errResident is why a verb has no answer when the process has ended.
var errResident = errors.New("the script's process ended before it answered")

// resident is the process of a script that serves: it stays, because its start
// costs more than what it does, and takes requests as lines of JSON on stdin. Its
// end loses nothing, since the next one is given the state.
type resident struct {
	path string

	mu   sync.Mutex
	now  *serving // nil before the first use; ended ones are replaced
	last int      // id of a request
}

// serving is one such process.
type serving struct {
	cmd   *osexec.Cmd
	input io.WriteCloser
	done  chan struct{} // closed when it has ended and its output was read

	mu      sync.Mutex
	waiting map[int]chan reply // of one, each
	writing sync.Mutex
}

// reply is a line of it.
type reply struct {
	ID    int             `json:"id"`
	Code  int             `json:"code"`  // an exit code; 0: done
	Out   json.RawMessage `json:"out"`   // what a script would have printed
	Error string          `json:"error"` // its last line on stderr
}

// do has the process carry out one verb. One that is not done in ctx's time ends
// the process: it is stuck, and so would be all that follow.
func (r *resident) do(ctx context.Context, v verb) ([]byte, error) {
	s, id, err := r.process(v.log)
	if err != nil {
		return nil, err
	}
	answer := make(chan reply, 1)
	s.mu.Lock()
	s.waiting[id] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, id)
		s.mu.Unlock()
	}()
	line, err := json.Marshal(struct {
		ID      int `json:"id"`
		Request any `json:"request"`
	}{id, v.input})
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	if err := s.send(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", v.name, errResident, err)
	}
	select {
	case a := <-answer:
		return a.result(v)
	case <-s.done:
		select {
		case a := <-answer: // its last
			return a.result(v)
		default:
			return nil, fmt.Errorf("%s: %w", v.name, errResident)
		}
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.kill(v.log)
		}
		return nil, fmt.Errorf("%s: no end in time: %w", v.name, ctx.Err())
	}
}

func (a reply) result(v verb) ([]byte, error) {
	if a.Code != 0 || a.Error != "" {
		return nil, failure(v.name, a.Code, a.Error)
	}
	return []byte(bare(a.Out)), nil
}

// process returns the process, a new one when there is none, and the next
// request's id.
func (r *resident) process(log hclog.Logger) (*serving, int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	if r.now != nil {
		select {
		case <-r.now.done:
		default:
			return r.now, r.last, nil
		}
	}
	cmd := osexec.Command(r.path, residentVerb)
	cmd.Env = process.Environ(nil)
	process.SetGroup(cmd)
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, 0, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, 0, err
	}
	words, err := cmd.StderrPipe()
	if err != nil {
		return nil, 0, err
	}
	if err := cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("%s %s: %w", r.path, residentVerb, err)
	}
	s := &serving{cmd: cmd, input: input, done: make(chan struct{}), waiting: map[int]chan reply{}}
	var reading sync.WaitGroup
	reading.Go(func() { s.read(output, log) })
	reading.Go(func() { logLines(words, log) })
	go func() { // ends with the process
		defer close(s.done)
		reading.Wait()
		if err := cmd.Wait(); err != nil {
			log.Warn("the script's process has ended", "error", err)
		}
	}()
	r.now = s
	return s, r.last, nil
}

// read delivers replies until there are no more, or a line is not a reply.
func (s *serving) read(from io.Reader, log hclog.Logger) {
	lines := bufio.NewReaderSize(from, 64<<10)
	for {
		line, err := boundedLine(lines)
		if errors.Is(err, io.EOF) {
			return
		}
		var a reply
		if err == nil {
			err = json.Unmarshal(line, &a)
		}
		if err != nil {
			log.Error("what the script answered can't be read", "error", err)
			s.kill(log)
			return
		}
		s.mu.Lock()
		if to := s.waiting[a.ID]; to != nil {
			to <- a
			delete(s.waiting, a.ID)
		}
		s.mu.Unlock()
	}
}

// boundedLine reads a line of at most answerLimit bytes.
func boundedLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > answerLimit {
			return nil, fmt.Errorf("a line of more than %d bytes", answerLimit)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// logLines logs what the script says, and cuts what is too long for a line.
func logLines(from io.Reader, log hclog.Logger) {
	lines := bufio.NewReaderSize(from, wordsLimit)
	for {
		line, err := lines.ReadSlice('\n')
		if text := strings.TrimSpace(string(line)); text != "" {
			log.Info(text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// send writes one request.
func (s *serving) send(line []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.input.Write(line)
	return err
}

func (s *serving) kill(log hclog.Logger) {
	if err := process.KillGroup(s.cmd.Process); err != nil {
		log.Debug("kill the script's process", "error", err)
	}
}

// close lets the process end; workloads keep running.
func (r *resident) close() {
	r.mu.Lock()
	s := r.now
	r.mu.Unlock()
	if s != nil {
		_ = s.input.Close() // it ends for that
		<-s.done
	}
}
