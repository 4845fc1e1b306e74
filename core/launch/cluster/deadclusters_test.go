package cluster

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/sdk"
)

// A launcher is asked for orphans once with each of the options of dead clusters and of
// the settings.
func TestOrphanQueryOptions(t *testing.T) {
	f := &registry.Executable{Name: "far", Info: sdk.Info{
		Name: "far", Kinds: []sdk.Kind{sdk.Controller, sdk.Engine},
		Classes: map[sdk.Kind][]string{sdk.Controller: {"FarControllerLauncher", "FarLauncher"}, sdk.Engine: {"FarEngineSetLauncher", "FarLauncher"}},
		Options: []sdk.Option{{Name: "host", Type: sdk.TypeString}, {Name: "key", Type: sdk.TypeString}},
	}}
	set := func(class, trait, value string) settings.Setting {
		return settings.Setting{Class: class, Trait: trait, Value: json.RawMessage(value), Source: "ipcluster_config.json"}
	}
	for _, c := range []struct {
		dead     []json.RawMessage
		settings []settings.Setting
		want     []string
	}{
		{want: []string{""}},
		{settings: []settings.Setting{set("OtherLauncher", "host", `"a"`)}, want: []string{""}},
		{settings: []settings.Setting{set("FarLauncher", "host", `"a"`)}, want: []string{`{"host":"a"}`}},
		{
			dead:     []json.RawMessage{json.RawMessage(`{"host":"d"}`), json.RawMessage(`{"host":"a"}`)},
			settings: []settings.Setting{set("FarControllerLauncher", "host", `"c"`), set("FarLauncher", "host", `"a"`)},
			want:     []string{`{"host":"a"}`, `{"host":"c"}`, `{"host":"d"}`},
		},
	} {
		options, err := settingOptions(f, c.settings)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range distinct(append(c.dead, options...)) {
			got = append(got, string(o))
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s and %v: %q, want %q", c.dead, c.settings, got, c.want)
		}
	}
	var bad *settings.SettingError
	if _, err := settingOptions(f, []settings.Setting{set("FarLauncher", "hots", `"a"`)}); !errors.As(err, &bad) {
		t.Errorf("an option that it does not have: %v", err)
	}
}
