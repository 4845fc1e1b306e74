package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/controller"
)

func TestConfigurationFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ipcontroller_config.py", `# Configuration file for ipcontroller.

c = get_config()  #noqa
c.HeartMonitor.period = 200
c.TaskScheduler.hwm = 5 # a comment
c.IPController.location = 'node#1'
c.IPControllerApp.reuse_files=True
c.IPController.ip = socket.gethostname()
if True:
    c.TaskScheduler.hwm = 6
c.IPController.nonsense = 1
c.TaskScheduler.scheme_name = "pure"
c.IPController.client_ports = [10101, 10102]
c.Session.key = b"secret"`)
	write("ipcontroller_config.json", `{"version": 1, "HeartMonitor": {"period": 300, "max_heartmonitor_misses": 4}, "IPController": {"engine_ports": [1, 2]}}`)
	write("more.json", `{"HeartMonitor": {"max_heartmonitor_misses": 5}}`)

	o := &controllerOptions{}
	var c *cli.Command
	a, stderr, err := parsed(t, func(a *cli.App) *cli.Command { c = o.command(a); return c }, "--profile-dir="+dir, "--scheme=lru")
	if err != nil || stderr != "" {
		t.Fatal(err, stderr)
	}
	if err := a.ReadConfig(c, dir, "ipcontroller_config", filepath.Join(dir, "more.json")); err != nil {
		t.Fatal(err)
	}
	options, err := o.options(a)
	if err != nil {
		t.Fatal(err)
	}
	want := controller.Options{HWM: 5, Scheme: "lru", Location: "node#1", Reuse: true, MaxMisses: 5, Key: "secret"}
	if options.HeartbeatPeriod.Milliseconds() != 300 || options.HWM != want.HWM || options.Scheme != want.Scheme || options.Location != want.Location ||
		options.Reuse != want.Reuse || options.MaxMisses != want.MaxMisses || options.Key != want.Key ||
		!slices.Equal(options.ClientPorts, []int{10101, 10102}) || !slices.Equal(options.EnginePorts, []int{1, 2}) {
		t.Errorf("options %+v", options)
	}
	for _, line := range []string{"_config.py:8: only", "_config.py:9: only", "_config.py:10: only", "IPController.nonsense is not known"} {
		if text := a.Err.(interface{ String() string }).String(); strings.Count(text, line) != 1 {
			t.Errorf("no line about %q in:\n%s", line, text)
		}
	}
}

func TestConfigurationErrors(t *testing.T) {
	for name, text := range map[string]string{
		"ipcontroller_config.json": `{"HeartMonitor": 3}`,
		"ipcontroller_config.py":   "c.HeartMonitor.period = 'soon'",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := &controllerOptions{}
		var c *cli.Command
		a, _, err := parsed(t, func(a *cli.App) *cli.Command { c = o.command(a); return c })
		if err != nil {
			t.Fatal(err)
		}
		if err := a.ReadConfig(c, dir, "ipcontroller_config", ""); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
