package metrics

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/hub"
	"github.com/ipcore/ipcore/core/controller/relay"
	"github.com/ipcore/ipcore/core/controller/scheduler"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// parts returns Parts of which those named in silent do not respond.
func parts(silent ...string) Parts {
	reply := func(part string) error {
		if slices.Contains(silent, part) {
			return errors.New("the " + part + " does not respond")
		}
		return nil
	}
	return Parts{
		Hub:      func() hub.Stats { return hub.Stats{Engines: 3, BacklogBytes: 7} },
		ProbeHub: func(context.Context) error { return reply("hub") },
		Tasks: func(context.Context) (*scheduler.Stats, error) {
			if err := reply("tasks"); err != nil {
				return nil, err
			}
			return &scheduler.Stats{Running: 5, Duplicates: 2}, nil
		},
		Queues: []Queue{{Name: taskQueue, Stats: func() relay.Stats {
			return relay.Stats{Refused: wire.RefusalStats{Replay: 1}}
		}}},
		Sockets: []Socket{{Name: "hub", Side: "both", Stats: func() sockets.Stats { return sockets.Stats{Connections: 9} }}},
	}
}

// request sends a server a request as a peer would.
func request(t *testing.T, p Parts, method, path, host string) (int, string) {
	t.Helper()
	s, err := Listen(0, p, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.listener.Close() }()
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	s.guard(s.routes()).ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

func TestSilentParts(t *testing.T) {
	for _, test := range []struct {
		silent string
		code   int
		lines  []string
		not    string
	}{
		{"", 200, []string{`ipcore_up{part="hub"} 1`, `ipcore_up{part="tasks"} 1`, `ipcore_tasks_running 5`, `ipcore_messages_refused_total{cause="replay",queue="task"} 3`}, "nothing"},
		{"hub", 503, []string{`ipcore_up{part="hub"} 0`, `ipcore_up{part="tasks"} 1`, `ipcore_tasks_running 5`}, "nothing"},
		{"tasks", 503, []string{`ipcore_up{part="hub"} 1`, `ipcore_up{part="tasks"} 0`, `ipcore_messages_refused_total{cause="replay",queue="task"} 1`}, "ipcore_tasks_running"},
	} {
		code, text := request(t, parts(test.silent), http.MethodGet, "/metrics", "localhost")
		if code != 200 || strings.Contains(text, test.not) {
			t.Errorf("%q is silent: %d\n%s", test.silent, code, text)
		}
		for _, line := range append(test.lines, `ipcore_engines{state="registered"} 3`, "ipcore_hub_backlog_bytes 7", `ipcore_connections{queue="hub",side="both"} 9`) {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%q is silent: no %q in\n%s", test.silent, line, text)
			}
		}
		code, text = request(t, parts(test.silent), http.MethodGet, "/healthz", "localhost")
		if code != test.code || !strings.Contains(text, test.silent) {
			t.Errorf("%q is silent: health is %d %q", test.silent, code, text)
		}
	}
}

func TestOnlyThisMachineIsServed(t *testing.T) {
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9100": 200, "127.0.0.1:9100": 200, "[::1]:9100": 200, "127.1.2.3": 200,
		"example.org": 403, "localhost.example.org:9100": 403, "10.0.0.1:9100": 403, "": 403,
	} {
		if code, _ := request(t, parts(), http.MethodGet, "/healthz", host); code != want {
			t.Errorf("host %q: status %d, want %d", host, code, want)
		}
	}
}
