//go:build unix

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/sdk"
)

// queueOptions returns the options of a cluster whose engines are started by the launcher
// of testdata/queue, and the folder of that launcher's conditions.
func queueOptions(t *testing.T) (Options, string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("QUEUE_DIR", dir)
	o := testOptions(t)
	o.Engines, o.statusInterval = "queue", 20*time.Millisecond
	return o, dir
}

func setCondition(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func clearCondition(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// seenRequest returns the request that the queue launcher has received.
func seenRequest(t *testing.T, dir string, k sdk.Kind) (r struct {
	Options             json.RawMessage
	Tag, Client, Engine string
	Profile, Cluster    string
	N                   *int
	Keep                bool
	Command             []string
	Env                 map[string]string
}) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "seen-"+string(k)))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The launcher gets the settings; a secret is in its request and nowhere else.
func TestSettings(t *testing.T) {
	o, dir := queueOptions(t)
	o.Controller = "queue"
	o.Settings = []settings.Setting{
		{Class: "QueueLauncher", Trait: "queue", Value: json.RawMessage(`"debug"`), Source: "f"},
		{Class: "queue", Trait: "password", Words: []string{"s3cret"}},
		{Class: "QueueEngineSetLauncher", Trait: "environment", Words: []string{"COLOUR=blue", "IPP_CLUSTER_ID=mine"}},
		{Class: "QueueEngineSetLauncher", Trait: "engine_args", Value: json.RawMessage(`["; :"]`), Source: "f"},
	}
	c := startCluster(t, o)
	for _, k := range []sdk.Kind{sdk.Controller, sdk.Engine} {
		r := seenRequest(t, dir, k)
		if string(r.Options) != `{"password":"s3cret","queue":"debug"}` || r.Tag != c.tag || r.Env[sdk.EnvTag] != c.tag || !strings.HasPrefix(c.tag, "ipcore-") ||
			r.Client != c.clientFile() || filepath.Base(r.Engine) != "ipcontroller-t-engine.json" {
			t.Errorf("%s: %+v", k, r)
		}
		if strings.Contains(strings.Join(r.Command, " "), "s3cret") {
			t.Errorf("%s: the secret is in the command %q", k, r.Command)
		}
		if r.Profile != o.Profile.Dir || r.Cluster != "t" || r.Env["IPP_PROFILE_DIR"] != o.Profile.Dir || (r.N == nil) != (k == sdk.Controller) || r.N != nil && *r.N != 2 {
			t.Errorf("%s: %+v", k, r)
		}
	}
	r := seenRequest(t, dir, sdk.Engine)
	if r.Env["COLOUR"] != "blue" || r.Env["IPP_CLUSTER_ID"] != "mine" || r.Command[len(r.Command)-1] != "; :" {
		t.Errorf("engines: %+v", r)
	}
	if _, there := r.Env["IPP_CONNECTION_INFO"]; there {
		t.Error("the key is in an environment that others can read")
	}
	text, err := os.ReadFile(c.file)
	if err != nil || strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), `"debug"`) {
		t.Errorf("the cluster file: %s, %v", text, err)
	}
	for _, line := range processesOf(t, o.Profile.Dir) {
		if strings.Contains(line, "s3cret") {
			t.Errorf("the secret is in %s", line)
		}
	}
}

// The launcher of a controller learns from the request whether the connection files are
// kept, wherever the controller's arguments come from, and Stop leaves such files alone.
func TestKeepConnectionFiles(t *testing.T) {
	for name, test := range map[string]struct {
		args    []string
		setting string
		keep    bool
	}{
		"none":           {nil, "[]", false},
		"an argument":    {[]string{"--reuse"}, "[]", true},
		"a setting":      {nil, `["--restore"]`, true},
		"another option": {[]string{"--ping=100"}, `["--reuse=False"]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			o, dir := queueOptions(t)
			o.Controller, o.ControllerArgs = "queue", test.args
			o.Settings = []settings.Setting{{Class: "queue", Trait: "controller_args", Value: json.RawMessage(test.setting), Source: "f"}}
			c := startCluster(t, o)
			if r := seenRequest(t, dir, sdk.Controller); r.Keep != test.keep {
				t.Errorf("the request says keep: %t, want %t", r.Keep, test.keep)
			}
			if err := c.Stop(testContext(t)); err != nil {
				t.Error(err)
			}
			if hasConnectionFiles(o) != test.keep {
				t.Errorf("connection files after Stop: %t, want %t", hasConnectionFiles(o), test.keep)
			}
		})
	}
}

// Start refuses a setting that is not valid before it starts anything.
func TestBadSetting(t *testing.T) {
	o, _ := queueOptions(t)
	o.Settings = []settings.Setting{{Class: "QueueLauncher", Trait: "quue", Words: []string{"a"}}}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := errors.AsType[*settings.SettingError](c.Start(testContext(t))); !ok {
		t.Errorf("got %v", err)
	}
	nothingLeft(t, o.Profile)

	o.Settings = []settings.Setting{{Class: "queue", Trait: "queue", Words: []string{"wrong"}}}
	if c, err = New(o); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(testContext(t)); !errors.Is(err, sdk.ErrBadOption) || !strings.Contains(err.Error(), "invalid partition specified: wrong") {
		t.Errorf("refused by the system: %v", err)
	}
	nothingLeft(t, o.Profile)
}

// registerSlots registers as many engines as there are slots.
func registerSlots(slots int) waitFunc {
	return func(ctx context.Context, _ string, n int, have func(int)) error {
		have(min(n, slots))
		if n <= slots {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// If only 2 of 50 engines run, Start reports that and the reason, and succeeds.
func TestFewSlots(t *testing.T) {
	o, _ := queueOptions(t)
	o.N, o.Timeout, o.view = 50, 3*time.Second, fakeView{wait: registerSlots(2)}
	o.Settings = []settings.Setting{{Class: "queue", Trait: "slots", Words: []string{"2"}}}
	var mu sync.Mutex
	var progress []Progress
	o.Progress = func(p Progress) { mu.Lock(); defer mu.Unlock(); progress = append(progress, p) }
	c := startCluster(t, o)
	mu.Lock()
	defer mu.Unlock()
	last := progress[len(progress)-1]
	note := slices.IndexFunc(progress, func(p Progress) bool {
		return p.Stage == StageNote && p.Note == "2 of 50 engines have registered; 48 wait: (Resources)"
	})
	meanwhile := slices.ContainsFunc(progress, func(p Progress) bool {
		return p.Stage == StageEngines && p.Have == 2 && p.N == 50 && p.Waiting == "48 wait: (Resources)"
	})
	if last.Stage != StageRunning || last.Have != 2 || note < 0 || !meanwhile {
		t.Errorf("progress %+v", progress)
	}
	s, err := Inspect(testContext(t), c.file, o.Log)
	if err != nil || !s.Supervised || s.Alive != 50 || len(s.Sets) != 1 {
		t.Fatalf("inspected %+v, %v", s, err)
	}
	for _, set := range s.Sets {
		if set.State != sdk.StatusRunning || *set.Running != 2 || *set.Pending != 48 || *set.Total != 50 || set.Text != "(Resources)" {
			t.Errorf("set %+v", set)
		}
	}
}

// Start waits for as many engines as Options.Wait says. It is not an error if the others
// are still waiting in the queue at the timeout.
func TestWait(t *testing.T) {
	for name, c := range map[string]struct{ wait, slots, have int }{"some": {3, 3, 3}, "none": {WaitNone, 0, 0}, "all, of which none has a slot": {0, 0, 0}} {
		t.Run(name, func(t *testing.T) {
			o, _ := queueOptions(t)
			o.N, o.Wait, o.Timeout, o.view = 5, c.wait, 3*time.Second, fakeView{wait: registerSlots(c.slots)}
			o.Settings = []settings.Setting{{Class: "queue", Trait: "slots", Value: json.RawMessage(`1`), Source: "f"}}
			if c.slots == 0 {
				o.Settings[0].Value = json.RawMessage(`0`)
			}
			var last Progress
			o.Progress = func(p Progress) { last = p }
			startCluster(t, o)
			if last.Stage != StageRunning || last.Have != c.have || last.N != 5 {
				t.Errorf("progress %+v", last)
			}
		})
	}
	o := testOptions(t)
	o.Wait = 3
	_, err := New(o)
	if invalid, ok := errors.AsType[*OptionError](err); !ok || invalid.Field != "Wait" {
		t.Errorf("waiting for more than there are: %v", err)
	}
}

// When the controller has lost engines, the launcher is asked at once, and the cause of
// the set's end is recorded.
func TestCanceledOutside(t *testing.T) {
	o, dir := queueOptions(t)
	o.statusInterval = time.Hour
	losses := make(chan struct{})
	o.view = fakeView{watch: func(ctx context.Context, _ string, lost func()) error {
		select {
		case <-losses:
			lost()
		case <-ctx.Done():
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	c := startCluster(t, o)
	set := c.engines[0]
	eventually(t, "the first status", func() bool { return set.lastStatus() != nil })
	setCondition(t, dir, "down", "")
	close(losses)
	eventually(t, "a status after the loss", func() bool { return set.lastStatus().State == sdk.StatusUnknown })
	if set.hasEnded() {
		t.Error("the set counts as ended because the system can't be asked")
	}
	clearCondition(t, dir, "down")
	setCondition(t, dir, "cancelled", "1000")
	eventually(t, "the end of the set in the cluster file", func() bool {
		r, err := clusterfile.ReadRecord(c.file)
		return err == nil && len(r.Extension.Ended) == 1 && r.Extension.Ended[0].Cause == "CANCELLED by 1000" && len(r.Engines.Sets) == 0
	})
	clearCondition(t, dir, "cancelled")
}

// A new process keeps the workloads that are running or can't be asked about, and drops
// those that have certainly ended.
func TestRestoreFromQueue(t *testing.T) {
	o, dir := queueOptions(t)
	c := startCluster(t, o)
	abandon(t, c)
	setCondition(t, dir, "down", "")
	s, err := Inspect(testContext(t), c.file, o.Log)
	if err != nil || !errors.Is(s.Err, sdk.ErrUnknownStatus) || !s.Controller {
		t.Errorf("while the system is down: %+v, %v", s, err)
	}
	if _, err := Stop(testContext(t), c.file, o.Log); !errors.Is(err, ErrLeftover) || !errors.Is(err, sdk.ErrUnknownStatus) {
		t.Errorf("a stop while the system is down: %v", err)
	}
	r, err := clusterfile.ReadRecord(c.file)
	if err != nil || len(r.Engines.Sets) != 1 {
		t.Fatalf("after that the file says %+v, %v", r, err)
	}
	clearCondition(t, dir, "down")
	if s, err = Inspect(testContext(t), c.file, o.Log); err != nil || s.Err != nil || s.Alive != 2 || s.Controller {
		t.Errorf("restored: %+v, %v", s, err)
	}
	setCondition(t, dir, "lost", "")
	again, err := Load(c.file, LoadOptions{Log: o.Log})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Adopt(testContext(t)); !errors.Is(err, ErrNothingRuns) {
		t.Errorf("adopted a workload that has ended: %v", err)
	}
	again.Close()
	if r, err = clusterfile.ReadRecord(c.file); err != nil || len(r.Engines.Sets) != 0 {
		t.Errorf("a workload that has ended is still in the file: %+v, %v", r, err)
	}
	// The system no longer knows the jobs, but they are running: Stop returns them.
	left, err := Stop(testContext(t), c.file, o.Log)
	if err != nil || len(left.Orphans) != 2 || left.Orphans[0].Tag != c.tag {
		t.Errorf("left %+v, %v", left, err)
	}
	removeTagged(t, c.tag)
	nothingLeft(t, o.Profile)
}

// Stop succeeds although it can't kill anything, if all processes end.
func TestStopWithoutKill(t *testing.T) {
	o, dir := queueOptions(t)
	c := startCluster(t, o)
	setCondition(t, dir, "slow", "")
	if err := c.Stop(testContext(t)); err != nil {
		t.Errorf("Stop: %v", err)
	}
	nothingLeft(t, o.Profile)
}

// If a launcher fails when it has to find its workload again, the set is kept, the error is
// reported, and the set is found when the launcher works again.
func TestBrokenLauncher(t *testing.T) {
	o, dir := queueOptions(t)
	c := startCluster(t, o)
	abandon(t, c)
	setCondition(t, dir, "broken", "")
	s, err := Inspect(testContext(t), c.file, o.Log)
	if err != nil || s.Err == nil || !strings.Contains(s.Err.Error(), "the launcher is broken") || !s.Controller {
		t.Errorf("inspected %+v, %v", s, err)
	}
	again, err := Load(c.file, LoadOptions{Log: o.Log})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Adopt(testContext(t)); err == nil || errors.Is(err, sdk.ErrNotRunning) || errors.Is(err, ErrNothingRuns) {
		t.Errorf("adopted: %v", err)
	}
	again.Close()
	if r, err := clusterfile.ReadRecord(c.file); err != nil || len(r.Engines.Sets) != 1 || r.Controller == nil {
		t.Errorf("the file says %+v, %v", r, err)
	}
	if got := len(processesOf(t, o.Profile.Dir)); got != 3 {
		t.Errorf("%d processes, want 3", got)
	}
	clearCondition(t, dir, "broken")
	if s, err := Inspect(testContext(t), c.file, o.Log); err != nil || s.Err != nil || s.Alive != 2 {
		t.Errorf("with a working launcher: %+v, %v", s, err)
	}
}

// removeTagged finds dead clusters and removes the one with a tag, which has to exist.
func removeTagged(t *testing.T, tag string) {
	t.Helper()
	dead, errs := FindDeadClusters(testContext(t), nil, registry.Search{}, nil, nil)
	if len(errs) > 0 {
		t.Error(errs)
	}
	i := slices.IndexFunc(dead, func(s DeadCluster) bool { return s.Tag == tag })
	if i < 0 {
		t.Fatalf("no dead cluster has the tag %s: %+v", tag, dead)
	}
	if err := dead[i].Remove(testContext(t), nil); err != nil {
		t.Error(err)
	}
}

// The connection files of a controller on a machine without a shared file system are
// fetched into the profile, with mode 0600, and it listens on an address that other
// machines can reach.
func TestRemoteController(t *testing.T) {
	o, _ := queueOptions(t)
	o.Controller = "queue"
	o.Settings = []settings.Setting{{Class: "QueueControllerLauncher", Trait: "far", Words: []string{"true"}}}
	o.ControllerCommand = shell(fakeController)
	c := startCluster(t, o)
	for _, name := range []string{"ipcontroller-t-client.json", "ipcontroller-t-engine.json"} {
		path := filepath.Join(o.Profile.SecurityDir(), name)
		info, err := os.Stat(path)
		text, readErr := os.ReadFile(path)
		if err != nil || readErr != nil || info.Mode().Perm() != 0o600 || strings.TrimSpace(string(text)) != "{}" {
			t.Errorf("%s: %v, %q, %v", name, info, text, errors.Join(err, readErr))
		}
	}
	if err := c.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	if len(c.Leftover().Orphans) != 0 {
		t.Errorf("left %+v", c.Leftover())
	}
	nothingLeft(t, profile.Profile{Dir: o.Profile.Dir})

	use := &settings.Selection{Executable: &registry.Executable{}}
	for name, test := range map[string]struct {
		o    Options
		want string
	}{
		"ipcore":      {Options{LogLevel: "info"}, "--reachable"},
		"ipyparallel": {Options{ControllerCommand: []string{"python3", "-m", "ipyparallel.controller"}}, "--ip=*"},
		"with an ip":  {Options{ControllerCommand: []string{"ipcontroller"}, ControllerArgs: []string{"--ip=10.0.0.1"}}, "--ip=10.0.0.1"},
		"another":     {Options{ControllerCommand: []string{"/bin/true"}}, "/bin/true"},
	} {
		command, err := test.o.controllerCommand(use, true)
		if err != nil || command[len(command)-1] != test.want {
			t.Errorf("%s: %q, %v", name, command, err)
		}
	}
}

// Settings can replace commands and add arguments; options take precedence over them.
func TestCommandsOfSettings(t *testing.T) {
	use := func(host map[string]string) *settings.Selection {
		s := &settings.Selection{Executable: &registry.Executable{Name: "x"}, Common: map[string]json.RawMessage{}}
		for name, words := range host {
			s.Common[name] = json.RawMessage(words)
		}
		return s
	}
	o := Options{Profile: profile.Profile{Dir: "/p"}, ID: "c", LogLevel: "info", Python: "/py", ControllerArgs: []string{"--last"}}
	given := o
	given.EngineCommand, given.ControllerCommand = []string{"ipengine"}, []string{"mine"}
	settings := use(map[string]string{
		"engine_cmd": `["python3", "-m", "ipyparallel.engine"]`, "engine_args": `["--a", "b c"]`, "controller_cmd": `["ipcontroller"]`, "controller_args": `["--ping=1"]`,
	})
	const place = " --profile-dir=/p --cluster-id=c"
	for name, c := range map[string]struct {
		command func() ([]string, error)
		want    string
	}{
		"ipcore engine":           {func() ([]string, error) { return o.engineCommand(use(nil)) }, " engine --log-level=info --python=/py"},
		"ipcore controller":       {func() ([]string, error) { return o.controllerCommand(use(nil), false) }, " controller --log-level=info --last"},
		"the engine's setting":    {func() ([]string, error) { return o.engineCommand(settings) }, "python3 -m ipyparallel.engine" + place + " --a b c"},
		"the controller's":        {func() ([]string, error) { return o.controllerCommand(settings, false) }, "ipcontroller" + place + " --ping=1 --last"},
		"the engine's option":     {func() ([]string, error) { return given.engineCommand(settings) }, "ipengine" + place + " --a b c"},
		"the controller's option": {func() ([]string, error) { return given.controllerCommand(settings, false) }, "mine --ping=1 --last"},
	} {
		words, err := c.command()
		if got := strings.Join(words, " "); err != nil || !strings.HasSuffix(got, c.want) || !strings.HasPrefix(c.want, " ") && got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, words, err, c.want)
		}
	}
}

func TestScriptsOfCluster(t *testing.T) {
	o, _ := queueOptions(t)
	o.Settings = []settings.Setting{{Class: "queue", Trait: "queue", Words: []string{"debug"}}}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Scripts(testContext(t), false, sdk.Controller, sdk.Engine)
	if err != nil || len(all) != 2 || all[0].Launcher != "local" || !strings.HasPrefix(all[0].Command, "/bin/sh -c ") ||
		all[1].Text != "#!/bin/sh\n#Q queue=debug n=2\n/bin/sh -c exec sleep 1000\n" || all[1].Command != "submit job" {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err = c.Scripts(testContext(t), true, sdk.Engine); err != nil || all[0].Answer != "it would start at once" {
		t.Errorf("checked: %+v, %v", all, err)
	}
	if _, err := c.Scripts(testContext(t), true, sdk.Controller); !errors.Is(err, sdk.ErrUnsupported) {
		t.Errorf("a check of local: %v", err)
	}
	if _, err := os.Stat(o.Profile.SecurityDir()); err == nil {
		t.Error("a folder was created")
	}
}

// Processes with the tag of a dead cluster are found and removed, with and without its
// file. Those of a live cluster are left alone.
func TestDeadClusters(t *testing.T) {
	o, _ := queueOptions(t)
	live := startCluster(t, o)
	lost := testOptions(t)
	lost.Engines = "queue"
	c := startCluster(t, lost)
	abandon(t, c)
	find := func() map[string]DeadCluster {
		t.Helper()
		dead, errs := FindDeadClusters(testContext(t), []profile.Profile{o.Profile, lost.Profile}, registry.Search{}, nil, o.Log)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		byTag := map[string]DeadCluster{}
		for _, s := range dead {
			byTag[s.Tag] = s
		}
		return byTag
	}
	all := find()
	if s, ok := all[c.tag]; !ok || s.File != c.file || !s.Known || !s.Status.Controller || s.Status.Alive != 2 || len(s.Orphans) != 3 {
		t.Errorf("a cluster without a supervisor: %+v", s)
	}
	if _, ok := all[live.tag]; ok {
		t.Error("a live cluster counts as dead")
	}
	if err := os.Remove(c.file); err != nil {
		t.Fatal(err)
	}
	dead, ok := find()[c.tag]
	if !ok || dead.File != "" || !dead.Known || len(dead.Orphans) != 3 {
		t.Fatalf("without its file: %+v", dead)
	}
	clusterfile.ForgetTag(c.tag)
	if s, ok := find()[c.tag]; !ok || s.Known {
		t.Errorf("with a tag that this account does not know: %+v", s)
	}
	if err := dead.Remove(testContext(t), o.Log); err != nil {
		t.Error(err)
	}
	if s, ok := find()[c.tag]; ok {
		t.Errorf("after its removal: %+v", s)
	}
	if got := len(processesOf(t, lost.Profile.Dir)); got != 0 {
		t.Errorf("%d processes are left", got)
	}
	if got := len(processesOf(t, o.Profile.Dir)); got != 3 {
		t.Errorf("%d processes of the live cluster, want 3", got)
	}
}
