package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/core/sockets"
)

var metricsLine = regexp.MustCompile(`metrics on http://(127\.0\.0\.1:\d+)/metrics`)

// metricsAddress finds the address of the metrics server in the log.
func (c *cluster) metricsAddress() string {
	c.t.Helper()
	found := metricsLine.FindStringSubmatch(c.log.String())
	if found == nil {
		c.t.Fatalf("the log does not say where the metrics are:\n%s", c.log)
	}
	return found[1]
}

// get sends a request to the metrics server and leaves no connection open.
func get(t testing.TB, url, host string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	if host != "" {
		r.Host = host
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// scrape returns all values by name and labels.
func (c *cluster) scrape() map[string]float64 {
	c.t.Helper()
	code, text := get(c.t, "http://"+c.metricsAddress()+"/metrics", "")
	if code != http.StatusOK {
		c.t.Fatalf("/metrics: status %d: %s", code, text)
	}
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			c.t.Fatalf("%q: %v", line, err)
		}
		values[name] = v
	}
	return values
}

// scraped waits until the values are those wanted: hub and readers publish theirs a
// moment later.
func (c *cluster) scraped(want map[string]float64) map[string]float64 {
	c.t.Helper()
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		values := c.scrape()
		var wrong []string
		for name, v := range want {
			if got, there := values[name]; !there || got != v {
				wrong = append(wrong, fmt.Sprintf("%s is %v (%v), want %v", name, got, there, v))
			}
		}
		if len(wrong) == 0 {
			return values
		}
		if time.Now().After(limit) {
			c.t.Fatal(strings.Join(wrong, "\n"))
		}
	}
}

// TestMetrics compares the metrics with what was really done.
func TestMetrics(t *testing.T) {
	const tasks = 200
	c := start(t, Options{MetricsPort: AnyPort})
	p, notices := newPeer(t, c), newPeer(t, c)
	notices.subscribe()
	task := p.dial(p.file.Task)
	c.scraped(map[string]float64{
		`ipcore_up{part="hub"}`: 1, `ipcore_up{part="tasks"}`: 1,
		`ipcore_engines{state="registered"}`: 0, `ipcore_tasks_submitted_total`: 0,
	})

	// A task waits while no engine is registered.
	m, err := p.session.Message("apply_request", nil, nil, nil)
	if err == nil {
		err = task.Send(m.AppendFrames(nil)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.scraped(map[string]float64{`ipcore_tasks_waiting{reason="no_engines"}`: 1, `ipcore_tasks_running`: 0})
	engines := []*fakeEngine{startFakeEngine(t, c)}
	notices.wantNotice("registration_notification", engines[0])
	select {
	case <-p.got:
	case <-time.After(5 * time.Second):
		t.Fatal("no reply to the task that waited")
	}
	engines = append(engines, startFakeEngine(t, c))
	notices.wantNotice("registration_notification", engines[1])
	for range tasks - 1 {
		p.ask(task, "apply_request", map[string]any{})
	}
	mux := p.dial(p.file.Mux)
	for range 10 {
		p.ask(mux, "apply_request", map[string]any{}, engines[0].uuid)
	}
	engines[1].kill()
	notices.wantNotice("unregistration_notification", engines[1])

	runtime.GC() // otherwise there may not have been one
	values := c.scraped(map[string]float64{
		`ipcore_tasks_submitted_total`:                                                tasks,
		`ipcore_tasks_ended_total{outcome="completed"}`:                               tasks,
		`ipcore_tasks_ended_total{outcome="failed"}`:                                  0,
		`ipcore_tasks_running`:                                                        0,
		`ipcore_tasks_waiting{reason="no_engines"}`:                                   0,
		`ipcore_tasks_bytes`:                                                          0,
		`ipcore_engines{state="registered"}`:                                          1,
		`ipcore_engines{state="pending"}`:                                             0,
		`ipcore_engines_registered_total`:                                             2,
		`ipcore_engines_ended_total{cause="lost"}`:                                    1,
		`ipcore_records`:                                                              tasks + 10,
		`ipcore_records_culled_total`:                                                 0,
		`ipcore_records_queued`:                                                       0,
		`ipcore_records_not_stored_total`:                                             0,
		`ipcore_requests_unanswered`:                                                  0,
		`ipcore_messages_not_recorded_total`:                                          0,
		`ipcore_database_errors_total`:                                                0,
		`ipcore_hub_backlog_messages`:                                                 0,
		`ipcore_hub_backlog_bytes`:                                                    0,
		`ipcore_connections{queue="task",side="clients"}`:                             1,
		`ipcore_connections{queue="task",side="engines"}`:                             1,
		`ipcore_handshakes_total{queue="task",side="engines"}`:                        2,
		`ipcore_send_queue_bytes{queue="task",side="engines"}`:                        0,
		`ipcore_messages_total{direction="received",queue="task",side="clients"}`:     tasks,
		`ipcore_messages_total{direction="sent",queue="task",side="engines"}`:         tasks,
		`ipcore_messages_total{direction="received",queue="task",side="engines"}`:     tasks,
		`ipcore_messages_total{direction="sent",queue="task",side="clients"}`:         tasks,
		`ipcore_messages_total{direction="received",queue="mux",side="clients"}`:      10,
		`ipcore_messages_total{direction="sent",queue="mux",side="clients"}`:          10,
		`ipcore_messages_refused_total{cause="signature",queue="task"}`:               0,
		`ipcore_messages_dropped_total{queue="iopub",side="clients"}`:                 0,
		`ipcore_connections_refused_total{queue="task",side="clients"}`:               0,
		`ipcore_messages_total{direction="sent",queue="notification",side="clients"}`: 3,
	})
	for _, name := range []string{"go_goroutines", "go_gc_duration_seconds_count", "process_resident_memory_bytes",
		`ipcore_message_bytes_total{direction="sent",queue="task",side="engines"}`} {
		if values[name] <= 0 {
			t.Errorf("%s is %v", name, values[name])
		}
	}
}

// TestMetricsOfRefusals checks the metrics of what bad peers do.
func TestMetricsOfRefusals(t *testing.T) {
	c := start(t, Options{MetricsPort: AnyPort})
	p := newPeer(t, c)
	task, query := p.dial(p.file.Task), p.dial(p.file.Registration)
	m, err := p.session.Message("apply_request", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := m.AppendFrames(nil)
	forged := append([][]byte{good[0], bytes.Repeat([]byte("0"), 64)}, good[2:]...)
	for _, frames := range [][][]byte{forged, {[]byte("junk")}, good, good} {
		if err := task.Send(frames...); err != nil {
			t.Fatal(err)
		}
	}
	if m, err = p.session.Message("queue_request", nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := query.Send(m.AppendFrames(nil)...); err != nil {
			t.Fatal(err)
		}
	}
	garbage, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.file.Mux))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = garbage.Close() }()
	if _, err := garbage.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	c.scraped(map[string]float64{
		`ipcore_messages_refused_total{cause="signature",queue="task"}`: 1,
		`ipcore_messages_refused_total{cause="malformed",queue="task"}`: 1,
		`ipcore_messages_refused_total{cause="replay",queue="task"}`:    1,
		`ipcore_messages_refused_total{cause="replay",queue="hub"}`:     2,
		`ipcore_connections_refused_total{queue="mux",side="clients"}`:  1,
		`ipcore_tasks_waiting{reason="no_engines"}`:                     1,
	})
}

// TestMetricsTrafficOutlivesPeers checks that the traffic of closed connections is
// still counted.
func TestMetricsTrafficOutlivesPeers(t *testing.T) {
	c := start(t, Options{MetricsPort: AnyPort})
	e := startFakeEngine(t, c)
	c.scraped(map[string]float64{`ipcore_engines{state="registered"}`: 1})
	for range 5 {
		p := newPeer(t, c)
		mux := p.dial(p.file.Mux)
		p.ask(mux, "apply_request", map[string]any{}, e.uuid)
		closeSockets([]*sockets.Socket{mux})
	}
	c.scraped(map[string]float64{
		`ipcore_connections{queue="mux",side="clients"}`:                         0,
		`ipcore_handshakes_total{queue="mux",side="clients"}`:                    5,
		`ipcore_messages_total{direction="received",queue="mux",side="clients"}`: 5,
		`ipcore_messages_total{direction="sent",queue="mux",side="clients"}`:     5,
	})
}

// TestMetricsServer checks which paths the port serves, and which it does not.
func TestMetricsServer(t *testing.T) {
	c := start(t, Options{MetricsPort: AnyPort})
	address := c.metricsAddress()
	http.HandleFunc("/of-the-default-mux", func(http.ResponseWriter, *http.Request) {})
	for path, want := range map[string]int{
		"/healthz": 200, "/debug/pprof/": 200, "/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/heap": 200,
		"/": 404, "/of-the-default-mux": 404,
	} {
		if code, text := get(t, "http://"+address+path, ""); code != want {
			t.Errorf("%s: status %d: %.200s", path, code, text)
		}
	}
	if code, _ := get(t, "http://"+address+"/metrics", "evil.example.org"); code != http.StatusForbidden {
		t.Errorf("a request for another host: status %d", code)
	}
	if code, _ := get(t, "http://"+address+"/healthz", "localhost"); code != http.StatusOK {
		t.Errorf("a request for localhost: status %d", code)
	}
	answer, err := http.Post("http://"+address+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", answer.StatusCode)
	}

	// Silent peers take all slots: the next connection is closed at once, and the
	// shutdown of the controller does not wait for them.
	var silent []net.Conn
	defer func() {
		for _, s := range silent {
			_ = s.Close()
		}
	}()
	full := false
	for range 200 {
		s, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, s)
	}
	for _, s := range silent {
		if err := s.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
			full = true
			break
		}
	}
	if !full {
		t.Error("the number of open connections is not limited")
	}
	began := time.Now()
	c.end()
	if took := time.Since(began); took > time.Second {
		t.Errorf("the shutdown took %v", took)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestNoMetricsUnlessAsked(t *testing.T) {
	c := start(t, Options{})
	if metricsLine.MatchString(c.log.String()) {
		t.Error("metrics are served although they are not enabled")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	o := Options{Profile: profile.Profile{Dir: c.dir}, ClusterID: "other", MetricsPort: l.Addr().(*net.TCPAddr).Port}
	if err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "metrics") {
		t.Errorf("a port that is taken: %v", err)
	}
}

// TestRestoredEngineThatIsGone restores an engine that died together with the
// previous controller: it is lost when it misses its heartbeats.
func TestRestoredEngineThatIsGone(t *testing.T) {
	o := Options{MetricsPort: AnyPort, HeartbeatPeriod: 50 * time.Millisecond, MaxMisses: 20, Restore: true}
	first := start(t, o)
	e := startFakeEngine(t, first)
	first.scraped(map[string]float64{`ipcore_engines{state="registered"}`: 1, `ipcore_engines_registered_total`: 1})
	first.end()
	e.kill()
	o.Profile = profile.Profile{Dir: first.dir}
	second := start(t, o)
	second.scraped(map[string]float64{`ipcore_engines{state="registered"}`: 1, `ipcore_engines_registered_total`: 0})
	second.scraped(map[string]float64{`ipcore_engines{state="registered"}`: 0, `ipcore_engines_ended_total{cause="lost"}`: 1})
}
