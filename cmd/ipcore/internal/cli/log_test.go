package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// logged returns what a logger of a form writes.
func logged(t *testing.T, form, name string) string {
	t.Helper()
	var out bytes.Buffer
	v := LogOptions{Level: "info", form: form}
	log, err := v.Logger(&Streams{Err: &out, LogName: name}, "ipcontroller")
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
	v := LogOptions{Level: "info", form: "xml"}
	if _, err := v.Logger(&Streams{Err: io.Discard}, ""); err == nil {
		t.Error("an unknown form is accepted")
	}
	debug := LogOptions{Debug: true}
	if log, err := debug.Logger(&Streams{Err: io.Discard, LogName: "IPEngineApp"}, ""); err != nil || !log.IsDebug() || log.GetLevel() != hclog.Debug {
		t.Errorf("--debug in upstream's form: %v", err)
	}
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]string{"10": "debug", "20": "info", "30": "warn", "40": "error", "50": "error", "0": "trace", "DEBUG": "debug", "WARNING": "warn", "info": "info", "25": "info"} {
		v := LogOptions{Level: text}
		if got, err := v.level(); err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v; want %s", text, got, err, want)
		}
	}
	v := LogOptions{Level: "loud"}
	if _, err := v.level(); ExitCode(err) != ExitUsage {
		t.Errorf("an unknown level: %v", err)
	}
}
