package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/controller/db/dictdb"
	"github.com/ipcore/ipcore/core/controller/scheduler"
)

// parsed parses a command line of one command. It returns the program and the text
// on stderr.
func parsed(t *testing.T, construct func(*cli.App) *cli.Command, args ...string) (a *cli.App, stderr string, err error) {
	t.Helper()
	var text bytes.Buffer
	var name string
	a = cli.NewApp(&cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: &text}, func(a *cli.App) *cli.Command {
		c := construct(a)
		name, c.RunE = c.Name(), func(*cobra.Command, []string) error { return nil }
		return c
	})
	err = a.Execute(t.Context(), append([]string{name}, args...))
	return a, text.String(), err
}

// TestControllerArguments reads the command lines that IPython Parallel's launchers
// and test suites use.
func TestControllerArguments(t *testing.T) {
	t.Setenv("IPP_PROFILE_DIR", "")
	t.Setenv("IPP_CLUSTER_ID", "fromenv")
	for _, test := range []struct {
		args   string
		check  func(controller.Options) bool
		stderr string
	}{
		{args: "", check: func(o controller.Options) bool {
			return o.ClusterID == "fromenv" && o.IP == "127.0.0.1" && o.HWM == 1 && o.DB == "dictdb" && o.HeartbeatPeriod == 3*time.Second && o.Ports == nil
		}},
		{args: "--profile-dir /d --cluster-id ID --log-level=10 --ping=250", check: func(o controller.Options) bool {
			return o.Profile.Dir == "/d" && o.ClusterID == "ID" && o.HeartbeatPeriod == 250*time.Millisecond && o.Log.IsDebug()
		}},
		{args: "--profile-dir=/d --cluster-id= --dictdb --ip=* --location=node1", check: func(o controller.Options) bool {
			return o.ClusterID == "" && o.IP == "*" && o.Location == "node1"
		}},
		{args: "--profile=iptest --ipython-dir=/i --nodb --hwm=0 --scheme lru", check: func(o controller.Options) bool {
			return o.Profile.Dir == "/i/profile_iptest" && o.DB == "nodb" && o.HWM == scheduler.Unlimited && o.Scheme == "lru"
		}},
		{args: "--ports=10101-10103,10130 --port 9000 --reuse --enginessh=u@h", check: func(o controller.Options) bool {
			return slices.Equal(o.Ports, []int{9000, 10101, 10102, 10103, 10130}) && o.Reuse && o.EngineSSHServer == "u@h"
		}},
		{args: "--HeartMonitor.period=200 --TaskScheduler.hwm 3 --IPController.reuse_files=True --IPController.client_ports=[7,8]", check: func(o controller.Options) bool {
			return o.HeartbeatPeriod == 200*time.Millisecond && o.HWM == 3 && o.Reuse && slices.Equal(o.ClientPorts, []int{7, 8})
		}},
		{args: "--curve", check: func(o controller.Options) bool { return o.Encryption == controller.EncryptAlways }},
		{args: "--ip=* --no-curve", check: func(o controller.Options) bool { return o.Encryption == controller.EncryptNever }},
		{args: "--IPController.enable_curve=True --IPController.curve_secretkey=s --IPController.curve_publickey=p", check: func(o controller.Options) bool {
			return o.Encryption == controller.EncryptAlways && o.CurveSecretKey == "s" && o.CurvePublicKey == "p"
		}},
		{args: "--IPController.enable_curve=False", check: func(o controller.Options) bool { return o.Encryption == controller.EncryptNever }},
		{args: "--DictDB.record_limit=7 --DictDB.size_limit=1024 --DictDB.cull_fraction=0.5", check: func(o controller.Options) bool {
			return o.DBOptions.DictDB == dictdb.Options{RecordLimit: 7, SizeLimit: 1024, CullFraction: 0.5}
		}},
		{args: "--sqlitedb --SQLiteDB.filename=t.db --SQLiteDB.location /l --SQLiteDB.table=", check: func(o controller.Options) bool {
			return o.DB == "sqlitedb" && o.DBOptions.SQLiteFile == "t.db" && o.DBOptions.SQLiteLocation == "/l" && o.DBOptions.SQLiteTable == controller.BySession
		}},
		{args: "--IPController.db_class=ipyparallel.controller.mongodb.MongoDB --MongoDB.database=d --MongoDB.connection_args=['h',7]", check: func(o controller.Options) bool {
			return o.DB == "ipyparallel.controller.mongodb.MongoDB" && o.DBOptions.MongoDatabase == "d" && o.DBOptions.MongoURI == "mongodb://h:7"
		}},
		{args: "--mongodb --MongoDB.connection_args=mongodb://u@h/?tls=true --SQLiteDB.pragma=x", check: func(o controller.Options) bool {
			return o.DB == "mongodb" && o.DBOptions.MongoURI == "mongodb://u@h/?tls=true" && o.DBOptions.SQLiteTable == ""
		}, stderr: "warning: --SQLiteDB.pragma is not known here and has no effect\n"},
		{args: "--restore --metrics-port=auto --log-format=json", check: func(o controller.Options) bool {
			return o.Restore && o.MetricsPort == controller.AnyPort
		}},
		{args: "--IPController.restore_engines=True --metrics-port 9100", check: func(o controller.Options) bool {
			return o.Restore && o.MetricsPort == 9100
		}},
		{args: "--secure --init --work-dir /w --config=x.py --debug", check: func(o controller.Options) bool { return o.Log.IsDebug() }},
		{args: "--usethreads --user=me", check: func(controller.Options) bool { return true }, stderr: "warning: --usethreads has no effect here\nwarning: --user has no effect here\n"},
		{args: "--restore --IPControllerApp.client_ip=* --HubFactory.engine_ip=10.0.0.1", check: func(o controller.Options) bool {
			return o.Restore && o.ClientIP == "*" && o.EngineIP == "10.0.0.1"
		}},
		{args: "--Session.key=b'secret' --Session.signature_scheme=hmac-sha512", check: func(o controller.Options) bool {
			return o.Key == "secret" && o.SignatureScheme == "hmac-sha512"
		}},
	} {
		var o *controllerOptions
		a, stderr, err := parsed(t, func(a *cli.App) *cli.Command { o = &controllerOptions{}; return o.command(a) }, strings.Fields(test.args)...)
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		options, err := o.options(a)
		if err != nil || !test.check(options) || stderr != test.stderr {
			t.Errorf("%s: %+v, %v; stderr %q", test.args, options, err, stderr)
		}
	}
}

func TestControllerRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--no-secure":      "always signed",
		"--ping=0":         "--ping: must be at least 1 ms",
		"--hwm=-1":         "--hwm: must be at least 0",
		"--ports=1-x":      `--ports: "1-x" is not a port`,
		"--ports=0":        `--ports: "0" is not a port`,
		"--ports=70000":    `--ports: "70000" is not a port`,
		"--log-level=aa":   "--log-level",
		"--pings=3":        "unknown option --pings",
		"--mongodb-args=[": "--mongodb-args",
	} {
		var o *controllerOptions
		a, _, err := parsed(t, func(a *cli.App) *cli.Command { o = &controllerOptions{}; return o.command(a) }, args)
		if err == nil {
			_, err = o.options(a)
		}
		if cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
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
