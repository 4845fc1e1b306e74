package settings

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk"
)

// slurmLike is a launcher with classes, both kinds, and options of all types.
var slurmLike = &registry.Executable{Name: "slurm", Info: sdk.Info{
	Name: "slurm", Kinds: []sdk.Kind{sdk.Controller, sdk.Engine},
	Classes: map[sdk.Kind][]string{
		sdk.Controller: {"SlurmControllerLauncher", "SlurmLauncher", "BatchSystemLauncher"},
		sdk.Engine:     {"SlurmEngineSetLauncher", "SlurmLauncher", "BatchSystemLauncher"},
	},
	Options: []sdk.Option{
		{Name: "queue", Type: sdk.TypeString}, {Name: "nodes", Type: sdk.TypeInt, Kinds: []sdk.Kind{sdk.Engine}},
		{Name: "exclusive", Type: sdk.TypeBool}, {Name: "extra", Type: sdk.TypeList}, {Name: "namespace", Type: sdk.TypeMap},
		{Name: "token", Type: sdk.TypeString, Secret: true}, {Name: "share", Type: sdk.TypeFloat},
	},
}}

// cli returns a setting from the command line.
func cli(class, trait string, words ...string) Setting {
	return Setting{Class: class, Trait: trait, Words: words}
}

// file returns a setting from a file.
func file(class, trait, value string) Setting {
	return Setting{Class: class, Trait: trait, Value: json.RawMessage(value), Source: "f.json"}
}

func TestConfigure(t *testing.T) {
	for name, c := range map[string]struct {
		settings               []Setting
		controller, engine     string // options
		engineCommon, warnings string
	}{
		"nothing":   {},
		"inherited": {settings: []Setting{file("SlurmLauncher", "queue", `"a"`)}, controller: `{"queue":"a"}`, engine: `{"queue":"a"}`},
		"the more specific wins": {
			settings:   []Setting{file("SlurmEngineSetLauncher", "queue", `"e"`), file("BatchSystemLauncher", "queue", `"b"`), file("SlurmLauncher", "queue", `"s"`)},
			controller: `{"queue":"s"}`, engine: `{"queue":"e"}`,
		},
		"the command line before files": {
			settings:   []Setting{file("SlurmEngineSetLauncher", "queue", `"e"`), cli("slurm", "queue", "x")},
			controller: `{"queue":"x"}`, engine: `{"queue":"x"}`,
		},
		"a class before the name": {
			settings:   []Setting{cli("SlurmEngineSetLauncher", "queue", "e"), cli("slurm", "queue", "x")},
			controller: `{"queue":"x"}`, engine: `{"queue":"e"}`,
		},
		"the later of two files": {
			settings: []Setting{file("SlurmEngineSetLauncher", "queue", `"a"`), file("SlurmEngineSetLauncher", "queue", `"b"`)}, engine: `{"queue":"b"}`,
		},
		"null is the default": {settings: []Setting{file("SlurmEngineSetLauncher", "queue", `null`)}},
		"only the kind that has it": {
			settings: []Setting{cli("slurm", "nodes", "2")}, engine: `{"nodes":2}`,
		},
		"types": {
			settings: []Setting{cli("SlurmEngineSetLauncher", "exclusive", "True"), cli("SlurmEngineSetLauncher", "share", "0.5"), cli("SlurmEngineSetLauncher", "queue", "12")},
			engine:   `{"exclusive":true,"queue":"12","share":0.5}`,
		},
		"lists": {settings: []Setting{cli("SlurmEngineSetLauncher", "extra", "-x", "['a', 1]", "7")}, engine: `{"extra":["-x","a",1,"7"]}`},
		"maps": {
			settings: []Setting{cli("SlurmEngineSetLauncher", "namespace", "{'a': (1, 'b')}", "h=2", "t=x y")}, engine: `{"namespace":{"a":[1,"b"],"h":2,"t":"x y"}}`,
		},
		"common option": {
			settings:     []Setting{file("SlurmEngineSetLauncher", "engine_args", `["--debug"]`), file("SlurmLauncher", "environment", `{"A": "1"}`)},
			engineCommon: `{"engine_args":["--debug"],"environment":{"A":"1"}}`,
		},
		"another launcher's in a file": {settings: []Setting{file("PBSLauncher", "anything", `1`)}},
		"without effect":               {settings: []Setting{file("SlurmLauncher", "output_limit", `1`)}, warnings: "f.json: SlurmLauncher.output_limit has no effect here"},
	} {
		selections := []*Selection{{Executable: slurmLike, Kind: sdk.Controller}, {Executable: slurmLike, Kind: sdk.Engine}}
		warnings, err := Configure(selections, c.settings)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if string(selections[0].Options) != c.controller || string(selections[1].Options) != c.engine || strings.Join(warnings, "\n") != c.warnings {
			t.Errorf("%s: controller %s, engines %s, warnings %q", name, selections[0].Options, selections[1].Options, warnings)
		}
		if common, err := json.Marshal(selections[1].Common); c.engineCommon != "" && (err != nil || string(common) != c.engineCommon) {
			t.Errorf("%s: common options %s, %v", name, common, err)
		}
	}
}

func TestConfigureRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		setting    Setting
		text, hint string
	}{
		"a slip":           {cli("SlurmLauncher", "queu", "a"), "--SlurmLauncher.queu: there is no such option", "did you mean SlurmLauncher.queue?"},
		"a slip in a file": {file("SlurmLauncher", "queu", `"a"`), "f.json: SlurmLauncher.queu: there is no such option", "did you mean SlurmLauncher.queue?"},
		"an unknown one":   {cli("slurm", "zzzzzzzz", "a"), "no such option", "options: queue, exclusive,"},
		"another launcher": {cli("PBSLauncher", "queue", "a"), "PBSLauncher applies to no launcher of this cluster; they are slurm for the controller, slurm for the engine", ""},
		"a slip of the class": {
			cli("SlurmEngineLauncher", "queue", "a"), "no launcher of this cluster", "did you mean --SlurmEngineSetLauncher.queue?",
		},
		"a kind without":     {cli("SlurmControllerLauncher", "nodes", "2"), "no such option", ""},
		"a type":             {file("SlurmLauncher", "queue", `3`), `f.json: SlurmLauncher.queue: must be of type string, got "3"`, ""},
		"a word for a list":  {file("SlurmLauncher", "extra", `"a"`), "must be of type list", "write a list"},
		"a word for a map":   {cli("SlurmLauncher", "namespace", "a"), "must be of type map", "write a dictionary"},
		"a fraction":         {cli("SlurmEngineSetLauncher", "nodes", "1.5"), "must be of type int", ""},
		"a secret is hidden": {file("SlurmLauncher", "token", `4711`), "token: must be of type string", ""},
	} {
		selections := []*Selection{{Executable: slurmLike, Kind: sdk.Controller}, {Executable: slurmLike, Kind: sdk.Engine}}
		_, err := Configure(selections, []Setting{c.setting})
		e, ok := errors.AsType[*SettingError](err)
		if !ok || !strings.Contains(e.Error(), c.text) || !strings.Contains(e.Hint(), c.hint) || strings.Contains(e.Error(), "4711") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Settings with former names of classes work, with a warning. There is no warning for those
// of a file for launchers that are not used.
func TestOldClasses(t *testing.T) {
	mpi := &registry.Executable{Name: "mpi", Info: sdk.Info{
		Name: "mpi", Kinds: []sdk.Kind{sdk.Controller, sdk.Engine},
		Classes: map[sdk.Kind][]string{sdk.Controller: {"MPIControllerLauncher", "MPILauncher"}, sdk.Engine: {"MPIEngineSetLauncher", "MPILauncher"}},
		Options: []sdk.Option{{Name: "mpi_cmd", Type: sdk.TypeList}},
	}}
	selections := []*Selection{{Executable: mpi, Kind: sdk.Controller}, {Executable: mpi, Kind: sdk.Engine}}
	warnings, err := Configure(selections, []Setting{
		file("MPIExecLauncher", "mpi_cmd", `["a"]`), cli("MPIExecEngineSetLauncher", "mpi_cmd", "b"), file("MPIExecutiveLauncher", "x", `1`), file("WindowsHPCLauncher", "x", `1`),
	})
	want := "f.json: MPIExecLauncher.mpi_cmd is an old name; use MPILauncher.mpi_cmd\n" +
		"--MPIExecEngineSetLauncher.mpi_cmd is an old name; use MPIEngineSetLauncher.mpi_cmd"
	if err != nil || strings.Join(warnings, "\n") != want || string(selections[0].Options) != `{"mpi_cmd":["a"]}` || string(selections[1].Options) != `{"mpi_cmd":["b"]}` {
		t.Errorf("controller %s, engines %s, warnings %q, %v", selections[0].Options, selections[1].Options, warnings, err)
	}
	if _, err := Configure(selections, []Setting{cli("MPIExec", "mpi_cmd", "c")}); err != nil || string(selections[0].Options) != `{"mpi_cmd":["c"]}` {
		t.Errorf("by the launcher's old name: %s, %v", selections[0].Options, err)
	}
}

func TestWithoutSecrets(t *testing.T) {
	if got := WithoutSecrets(slurmLike.Info, json.RawMessage(`{"queue":"a","token":"s"}`)); string(got) != `{"queue":"a"}` {
		t.Errorf("%s", got)
	}
	if got := WithoutSecrets(slurmLike.Info, json.RawMessage(`{"token":"s"}`)); got != nil {
		t.Errorf("%s", got)
	}
}
