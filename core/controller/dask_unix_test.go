//go:build unix

package controller

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// fakePython creates an executable that takes the place of Python running Dask's
// scheduler.
func fakePython(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

type daskReply struct {
	content string
	err     error
}

func startDask(t *testing.T, d *dask, times int) []daskReply {
	t.Helper()
	replies := make(chan daskReply, times)
	for range times {
		d.start(json.RawMessage("{\n\"port\": 0}"), func(content json.RawMessage, err error) { replies <- daskReply{string(content), err} })
	}
	var all []daskReply
	for range times {
		select {
		case r := <-replies:
			all = append(all, r)
		case <-time.After(20 * time.Second):
			t.Fatal("no reply")
		}
	}
	return all
}

func TestDask(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "notes")
	python := fakePython(t, `read line; echo "start $line" >> `+notes+`
echo '{"status": "ok", "address": "tcp://127.0.0.1:1"}'
cat > /dev/null
echo end >> `+notes)
	d := newDask(python, hclog.NewNullLogger())
	for _, r := range append(startDask(t, d, 3), startDask(t, d, 1)...) {
		if r.err != nil || r.content != `{"status": "ok", "address": "tcp://127.0.0.1:1"}` {
			t.Fatalf("%+v", r)
		}
	}
	d.stop()
	d.stop()
	if r := startDask(t, d, 1)[0]; r.err != nil {
		t.Fatal(r.err)
	}
	d.close()
	text, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); strings.Count(s, `start {"port":0}`) != 2 || strings.Count(s, "end") != 2 {
		t.Errorf("notes:\n%s", s)
	}
	if r := startDask(t, d, 1)[0]; r.err == nil {
		t.Error("started after close")
	}
}

func TestDaskErrors(t *testing.T) {
	for script, want := range map[string]string{
		`read line; echo '{"status": "error", "ename": "ModuleNotFoundError", "evalue": "no distributed"}'`: "no distributed",
		"exit 3":                  "EOF",
		"read line; echo nonsens": "invalid character",
	} {
		d := newDask(fakePython(t, script), hclog.NewNullLogger())
		for _, r := range startDask(t, d, 2) {
			if r.err == nil || !strings.Contains(r.err.Error(), want) && want != "EOF" {
				t.Errorf("%s: %+v", script, r)
			}
		}
		d.close()
	}
}

func TestDaskThatDoesNotExit(t *testing.T) {
	d := newDask(fakePython(t, `read line; echo '{"status": "ok"}'; exec sleep 100`), hclog.NewNullLogger())
	if r := startDask(t, d, 1)[0]; r.err != nil {
		t.Fatal(r.err)
	}
	began := time.Now()
	d.close()
	if took := time.Since(began); took > daskStopTimeout+5*time.Second {
		t.Errorf("close took %v", took)
	}
}
