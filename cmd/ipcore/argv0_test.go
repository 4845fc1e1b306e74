package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestCalledByUpstreamsNames(t *testing.T) {
	for _, test := range []struct {
		argv, want []string
		log        string
	}{
		{argv: []string{"/usr/bin/ipcore", "list"}, want: []string{"list"}},
		{argv: []string{"/opt/bin/ipcontroller", "--ping=250"}, want: []string{"controller", "--ping=250"}, log: "IPControllerApp"},
		{argv: []string{"ipengine.exe"}, want: []string{"engine"}, log: "IPEngineApp"},
		{argv: []string{"ipcluster", "start", "-n", "4"}, want: []string{"start", "-n", "4"}, log: "IPClusterStart"},
		{argv: []string{"ipcontroller", "--version"}, want: []string{"--version"}, log: "IPControllerApp"},
		{argv: nil},
	} {
		a := &app{streams: &streams{}}
		if got := a.called(test.argv); !slices.Equal(got, test.want) || a.LogName != test.log {
			t.Errorf("%q becomes %q with %q", test.argv, got, a.LogName)
		}
	}
}

// logged answers what a logger of a form writes.
func logged(t *testing.T, form, name string) string {
	t.Helper()
	var out bytes.Buffer
	v := verbosity{level: "info", form: form}
	log, err := v.logger(&streams{Err: &out, LogName: name}, "ipcontroller")
	if err != nil {
		t.Fatal(err)
	}
	log = log.Named("hub").With("a", 1)
	log.Debug("not shown")
	log.Info("hub::created hub")
	log.Warn("message dropped", "peer", "x\n2026-01-01 [IPControllerApp] forged", "error", errors.New("bad"))
	log.Error("two\nlines")
	return out.String()
}

func TestLogForms(t *testing.T) {
	want := regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) \[IPControllerApp\] hub::created hub a=1
(.{23}) \[IPControllerApp\] WARNING \| message dropped a=1 peer="x\\n2026-01-01 \[IPControllerApp\] forged" error=bad
(.{23}) \[IPControllerApp\] ERROR \| two\\nlines a=1
$`)
	if got := logged(t, formText, "IPControllerApp"); !want.MatchString(got) {
		t.Errorf("upstream's form:\n%s", got)
	}
	for _, name := range []string{"", "IPControllerApp"} {
		lines := strings.Split(strings.TrimSpace(logged(t, formJSON, name)), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines of JSON", len(lines))
		}
		var first struct {
			Level   string `json:"@level"`
			Message string `json:"@message"`
			Module  string `json:"@module"`
			Time    string `json:"@timestamp"`
			A       int    `json:"a"`
		}
		if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || first.Message != "hub::created hub" || first.Level != "info" ||
			first.Module != "ipcontroller.hub" || first.Time == "" || first.A != 1 {
			t.Errorf("%s: %v", lines[0], err)
		}
	}
	if got := logged(t, formText, ""); !strings.Contains(got, "[INFO]  ipcontroller.hub: hub::created hub: a=1\n") {
		t.Errorf("our own form:\n%s", got)
	}
	v := verbosity{level: "info", form: "xml"}
	if _, err := v.logger(&streams{Err: io.Discard}, ""); err == nil {
		t.Error("any form is taken")
	}
	debug := verbosity{debug: true}
	if log, err := debug.logger(&streams{Err: io.Discard, LogName: "IPEngineApp"}, ""); err != nil || !log.IsDebug() || log.GetLevel() != hclog.Debug {
		t.Errorf("--debug in upstream's form: %v", err)
	}
}

func TestMetricsPorts(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "auto": -1, "9100": 9100} {
		if got, err := parseMetricsPort(text); err != nil || got != want {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "65536", "x", "127.0.0.1:9100"} {
		if _, err := parseMetricsPort(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
