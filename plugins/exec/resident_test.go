//go:build unix

package exec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
)

// serves writes a launcher that stays, whose answers are the cases of a shell's
// case: it has $id and $verb, and appends its pid to the file pids.
func serves(t *testing.T, cases string) (*Script, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "ipcore-launcher-x")
	text := `#!/bin/sh
case $1 in
describe) echo '{"name": "x", "version": "1", "kinds": ["engine"], "protocol": [1], "speaks": "script", "serve": true, "poll": 0.05, "capabilities": ["output"]}'; exit;;
esac
echo $$ >>` + dir + `/pids
while read -r line; do
	id=${line#*\"id\":}; id=${id%%,*}
	verb=${line#*\"verb\":\"}; verb=${verb%%\"*}
	case $verb in
` + cases + `
	*) echo "{\"id\": $id, \"code\": 69, \"error\": \"no verb $verb\"}";;
	esac
done
`
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, filepath.Join(dir, "pids")
}

// started counts the script's processes.
func started(t *testing.T, pids string) int {
	t.Helper()
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// All verbs are one process's, and answers mean what a script's do.
func TestServes(t *testing.T) {
	s, pids := serves(t, `	start) echo "{\"id\": $id, \"out\": {\"state\": 17}}";;
		status) echo "a word" >&2; echo "{\"id\": $id, \"out\": {\"running\": true, \"n\": 1}}";;
		output) echo "{\"id\": $id, \"out\": \"two words\"}";;
		stop) echo "{\"id\": $id, \"code\": 64, \"error\": \"not now\"}";;`)
	l, _ := launcher(s)
	if err := l.Start(t.Context(), wanted(t)); err != nil {
		t.Fatal(err)
	}
	if st, err := l.Status(t.Context()); err != nil || st.State != sdk.StatusRunning || *st.Running != 1 {
		t.Errorf("Status: %+v, %v", st, err)
	}
	if text, err := l.Output(t.Context(), false); err != nil || text != "two words" {
		t.Errorf("Output: %q, %v", text, err)
	}
	if err := l.Stop(t.Context()); !errors.Is(err, sdk.ErrBadOption) || !strings.Contains(err.Error(), "not now") {
		t.Errorf("Stop: %v", err)
	}
	if err := l.Signal(t.Context(), "TERM"); !errors.Is(err, sdk.ErrUnsupported) {
		t.Errorf("Signal: %v", err)
	}
	if n := started(t, pids); n != 1 {
		t.Errorf("%d processes served", n)
	}
}

// Calls at the same time get their own answers, in whatever order they come.
func TestServesTogether(t *testing.T) {
	s, _ := serves(t, `	output) [ -z "$held" ] && { held=$id; continue; }
			echo "{\"id\": $id, \"out\": \"second\"}"; echo "{\"id\": $held, \"out\": \"first\"}"; held=;;`)
	l, _ := launcher(s)
	first := make(chan string)
	go func() {
		text, err := l.Output(t.Context(), false)
		if err != nil {
			text = err.Error()
		}
		first <- text
	}()
	for { // until the first has been sent
		s.resident.mu.Lock()
		sent := s.resident.last
		s.resident.mu.Unlock()
		if sent > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	texts := []string{}
	text, err := l.Output(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	texts = append(texts, text, <-first)
	if strings.Join(texts, " ") != "second first" && strings.Join(texts, " ") != "first second" {
		t.Errorf("answers %q", texts)
	}
}

// When its process ends a verb fails, and the next has another process.
func TestServesAgain(t *testing.T) {
	for what, cases := range map[string]string{
		"ends":           `	status) exit 1;;`,
		"ends, answered": `	status) echo "{\"id\": $id, \"code\": 75}"; exit 1;;`,
		"prints a word":  `	status) echo hello;;`,
		"prints no end":  `	status) head -c 3000000 /dev/zero;;`,
	} {
		s, pids := serves(t, `	output) echo "{\"id\": $id, \"out\": \"words\"}";;
	`+cases)
		l, _ := launcher(s)
		if _, err := l.Status(t.Context()); err == nil || errors.Is(err, sdk.ErrNotRunning) {
			t.Errorf("%s: Status: %v", what, err)
		}
		<-s.resident.now.done
		if text, err := l.Output(t.Context(), false); err != nil || text != "words" {
			t.Errorf("%s: Output: %q, %v", what, text, err)
		}
		if n := started(t, pids); n != 2 {
			t.Errorf("%s: %d processes served", what, n)
		}
	}
}

// A verb that hangs is given up with its process; a caller that gives up is not.
func TestServesInTime(t *testing.T) {
	s, pids := serves(t, `	output) echo "{\"id\": $id, \"out\": \"words\"}";;
		status) ;;`)
	ask := func(ctx context.Context) error {
		_, err := s.run(ctx, verb{name: "status", input: request{Verb: "status"}, log: hclog.NewNullLogger()})
		return err
	}
	for _, c := range []struct {
		limit     func(context.Context) (context.Context, context.CancelFunc)
		processes int
	}{
		{func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}, 1},
		{func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 10*time.Millisecond)
		}, 2},
	} {
		ctx, cancel := c.limit(t.Context())
		if err := ask(ctx); err == nil || !errors.Is(err, ctx.Err()) {
			t.Errorf("status: %v", err)
		}
		cancel()
		if c.processes > 1 {
			<-s.resident.now.done
		}
		l, _ := launcher(s)
		if _, err := l.Output(t.Context(), false); err != nil {
			t.Error(err)
		}
		if n := started(t, pids); n != c.processes {
			t.Errorf("%d processes served, want %d", n, c.processes)
		}
	}
}
