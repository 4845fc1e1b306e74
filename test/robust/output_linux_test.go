//go:build !race

package robust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/test/load"
)

const (
	// printSize is the size in bytes of what an engine prints at once.
	printSize = 16 << 10
	// underWay bounds the messages of each engine that have not come to all who
	// read: nothing else holds engines up.
	maxInFlight = 16
)

// TestReaderThatStops has a subscriber take nothing while engines print more
// than may wait for it. Meanwhile engines print no slower than when it reads,
// another subscriber gets all, tasks are not held up, and memory stays within
// what is promised. When it reads on it gets what was queued, and the log has
// told once how many messages it lost.
func TestReaderThatStops(t *testing.T) {
	for name, encryption := range map[string]controller.Encryption{"NULL": controller.EncryptNever, "CURVE": controller.EncryptAlways} {
		t.Run(name, func(t *testing.T) {
			size, waits, attempts := 64<<20, int64(16<<20), 1
			if long {
				size, waits, attempts = 1280<<20, 1<<30, 3 // the default mark, and more than that
			}
			// It is not dropped meanwhile, however long a busy machine takes.
			v := start(t, 4, settings{Encryption: encryption, SendQueue: waits, StuckAfter: time.Hour})
			p := newPrintingEngines(v)
			p.run(2*db.MaxOutput/printSize, p.first, p.second) // what is made once is there, and all of the record
			before := v.usage()
			for range attempts {
				logged := len(v.log())
				alone := p.run(size/printSize/4, p.first, p.second)
				if log := v.log()[logged:]; strings.Contains(log, "not read") {
					t.Fatalf("the log tells of one that does not read while both do:\n%s", log)
				}
				p.second.stop()
				beside := p.run(size/printSize, p.first)
				p.second.resume()
				lost := p.lost(logged)
				await(t, "the messages that were queued", func() bool { return p.second.count()+lost == size/printSize })
				peak := v.peak()
				told := fmt.Sprintf("%d MB printed at %.0f MB/s with two that read, at %.0f MB/s when one had stopped; p99 of tasks %v and %v; "+
					"%d of %d messages lost to that one; %d MB at most",
					size/1e6, alone.rate, beside.rate, alone.p99, beside.p99, lost, size/printSize, peak/1e6)
				t.Log(told)
				// What waits for the hub and for who does not read, a quarter of it
				// as garbage, and what a controller holds in addition.
				if limit := memoryLimit + (256<<20+waits)*5/4; peak > limit {
					t.Fatalf("more memory than %d MB", limit/1e6)
				}
				if beside.comparable(alone) {
					v.awaitUsage(before)
					return
				}
			}
			t.Error("engines or tasks are slower while a reader has stopped")
		})
	}
}

// printingEngines are engines that print, and two who subscribe to that.
type printingEngines struct {
	*target
	request       json.RawMessage // header of the request that prints
	first, second *reader
}

func newPrintingEngines(v *target) *printingEngines {
	v.t.Helper()
	s := newAttacker(v.t, v.Controller)
	v.t.Cleanup(s.close)
	p := &printingEngines{target: v, first: &reader{}, second: &reader{}}
	for _, r := range []*reader{p.first, p.second} {
		r.begin(v.Engines)
		if _, err := s.peer(v.Controller.Client.IOPub, sockets.Sub, "", r.take); err != nil {
			v.t.Fatal(err)
		}
	}
	session, err := s.session(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if p.request, err = json.Marshal(session.NewHeader("execute_request")); err != nil {
		v.t.Fatal(err)
	}
	await(v.t, "output of all engines", func() bool {
		for _, e := range v.Engines {
			if err := e.Print(p.request, "subscribed?"); err != nil {
				v.t.Fatal(err)
			}
		}
		return p.first.topics() == len(v.Engines) && p.second.topics() == len(v.Engines)
	})
	return p
}

// printResult is the result of one run.
type printResult struct {
	rate float64       // MB/s, until all who read had all
	p99  time.Duration // of tasks, one at a time, meanwhile
}

// comparable compares printing beside one that has stopped with the same when it reads.
func (p printResult) comparable(alone printResult) bool {
	slower, floor := 3.0, 2*time.Second
	if long {
		slower, floor = 1.25, 10*time.Millisecond
	}
	return p.p99 <= max(2*alone.p99, floor) && slower*p.rate >= alone.rate
}

// run has engines print n messages in all while tasks run, and returns when
// those who read have them and the tasks have ended.
func (p *printingEngines) run(n int, reading ...*reader) printResult {
	p.t.Helper()
	for _, r := range reading {
		r.begin(p.Engines)
	}
	var all sync.WaitGroup
	errs := make([]error, len(p.Engines))
	began := time.Now()
	for i, e := range p.Engines {
		all.Go(func() { errs[i] = p.print(e, n/len(p.Engines), reading) })
	}
	ended := make(chan time.Duration, 1)
	go func() {
		all.Wait()
		ended <- time.Since(began)
	}()
	var took []time.Duration
	var elapsed time.Duration
	for elapsed == 0 {
		rate, _, err := p.Latency(p.ctx, 50)
		if err != nil {
			p.t.Fatal(err)
		}
		took = append(took, rate.Latencies...)
		select {
		case elapsed = <-ended:
		default:
		}
	}
	if err := errors.Join(errs...); err != nil {
		p.t.Fatal(err)
	}
	for _, r := range reading {
		if got := r.count(); got != n || r.disorder {
			p.t.Fatalf("%d of %d messages came to one who read, out of order %v", got, n, r.disorder)
		}
	}
	slices.Sort(took)
	return printResult{rate: float64(n*printSize) / 1e6 / elapsed.Seconds(), p99: took[len(took)*99/100]}
}

// print prints n messages and waits until all who read have them.
func (p *printingEngines) print(e *load.Engine, n int, reading []*reader) error {
	rest := strings.Repeat("x", printSize)
	for i := range n + maxInFlight {
		for _, r := range reading {
			select {
			case r.turns[topicOf(e)] <- struct{}{}:
			case <-p.ctx.Done():
				return fmt.Errorf("engine %d: the messages before number %d did not come: %w", e.ID, i-maxInFlight, p.ctx.Err())
			}
		}
		if i >= n {
			continue
		}
		if err := e.Print(p.request, fmt.Sprintf("%08d", i)+rest); err != nil {
			return err
		}
	}
	return nil
}

// lost waits for the line of the log that tells of messages that a reader lost,
// and returns how many they were.
func (p *printingEngines) lost(logged int) int {
	p.t.Helper()
	line := regexp.MustCompile(`were not sent to it: .*messages=(\d+)`)
	var found [][]string
	await(p.t, "a line about lost messages", func() bool {
		found = line.FindAllStringSubmatch(p.log()[logged:], -1)
		return len(found) > 0
	})
	if n := strings.Count(p.log()[logged:], "does not read"); n != 1 || len(found) != 1 {
		p.t.Fatalf("the log tells %d times that one does not read, and %d times what it lost:\n%s", n, len(found), p.tail())
	}
	n, err := strconv.Atoi(found[0][1])
	if err != nil || n == 0 {
		p.t.Fatalf("messages lost: %s", found[0][0])
	}
	return n
}

// peak is the most memory that the controller has had.
func (v *target) peak() int64 {
	v.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.PIDs[0]))
	if err != nil {
		v.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kb int64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		v.t.Fatal(err)
	}
	return kb << 10
}

// reader is a subscriber.
type reader struct {
	turns map[string]chan struct{} // by topic: for messages that are under way

	mu       sync.Mutex
	next     map[string]int // by topic
	got      int
	disorder bool
}

// begin counts anew.
func (r *reader) begin(engines load.Engines) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns, r.next, r.got, r.disorder = map[string]chan struct{}{}, map[string]int{}, 0, false
	for _, e := range engines {
		r.turns[topicOf(e)] = make(chan struct{}, maxInFlight)
	}
}

// stop has the reader take nothing, and count anew, until goOn.
func (r *reader) stop() {
	r.begin(nil)
	r.mu.Lock()
}

func (r *reader) resume() { r.mu.Unlock() }

func (r *reader) take(_ *sockets.Conn, frames [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	topic := string(frames[0])
	number, ok := numberOf(frames[len(frames)-1])
	if !ok {
		r.next[topic] = 0
		return
	}
	r.got++
	r.disorder = r.disorder || number != r.next[topic]
	r.next[topic] = number + 1
	if turn := r.turns[topic]; turn != nil {
		<-turn
	}
}

// numberOf returns the number that a printed text begins with.
func numberOf(content []byte) (int, bool) {
	_, text, _ := bytes.Cut(content, []byte(`"text"`))
	text = bytes.TrimLeft(text, `: "`)
	n, err := strconv.Atoi(string(text[:min(8, len(text))]))
	return n, err == nil
}

func topicOf(e *load.Engine) string { return fmt.Sprintf("engine.%d.stdout", e.ID) }

func (r *reader) topics() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.next)
}

func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}
