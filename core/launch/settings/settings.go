package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/internal/nearest"
	"github.com/ipcore/ipcore/internal/pyliteral"
	"github.com/ipcore/ipcore/sdk"
)

// Setting is one value for launchers, from a configuration file or a command line:
// Class.Trait = value.
type Setting struct {
	Class string `json:"class"` // a configuration class, or a launcher's name
	Trait string `json:"trait"`

	// The value: JSON from a file, or words from a command line. The last word counts,
	// but all words for lists and maps.
	Value json.RawMessage `json:"value,omitempty"`
	Words []string        `json:"words,omitempty"`

	Source string `json:"source,omitempty"` // the file; "" means the command line
}

// Name returns the setting's name as the user writes it.
func (s Setting) Name() string {
	name := s.Class + "." + s.Trait
	if s.Source == "" {
		return "--" + name
	}
	return s.Source + ": " + name
}

// SettingError means that a setting is not valid: no launcher has it, or its value has the
// wrong type.
type SettingError struct {
	text, hint string
}

func (e *SettingError) Error() string { return e.text }

// Hint returns what to do next, or "".
func (e *SettingError) Hint() string { return e.hint }

// Selection is a launcher that was selected for a kind of workload, with the options that
// result from the settings.
type Selection struct {
	Executable *registry.Executable
	Kind       sdk.Kind

	Options json.RawMessage            // the launcher's own options; nil for none
	Common  map[string]json.RawMessage // values of CommonOptions
}

// CommonOptions can be set for every launcher, because ipcore itself implements them. A
// launcher's own option with the same name takes precedence.
var CommonOptions = []sdk.Option{
	{Name: "engine_cmd", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Engine, sdk.SingleEngine}, Help: "program and arguments of an engine, in place of ipcore's own"},
	{Name: "engine_args", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Engine, sdk.SingleEngine}, Help: "arguments added to an engine's command"},
	{Name: "controller_cmd", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Controller}, Help: "program and arguments of the controller, in place of ipcore's own"},
	{Name: "controller_args", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Controller}, Help: "arguments added to the controller's command"},
	{Name: "environment", Type: sdk.TypeMap, Help: "variables added to the environment; the values are strings"},
	{Name: "work_dir", Type: sdk.TypeString, Help: "folder in which the processes run (default: the one in which ipcore was started)"},
}

// noEffect are settings of IPython Parallel's launchers that have no effect in ipcore.
var noEffect = []string{
	"output_limit", "poll_seconds", "stop_timeout", "connection_info_timeout", "identifier", "cluster_id", "profile_dir", "launcher_class", "log_level",
}

// Configure assigns settings to the options of a cluster's launchers. Of two settings for
// the same option, the command line takes precedence over a file, then the more specific
// class over the less specific one, then the later setting over the earlier one. warnings
// are about settings without effect and about former names of classes. *SettingError: a
// setting is not valid.
func Configure(selections []*Selection, settings []Setting) (warnings []string, err error) {
	chosen := make([]map[string]choice, len(selections))
	for i := range selections {
		chosen[i] = make(map[string]choice)
	}
	for order, s := range settings {
		given := s.Name()
		s.Class = registry.CurrentClass(s.Class)
		reached, has := false, false
		for i, sel := range selections {
			specificity, ok := sel.specificity(s.Class)
			if !ok {
				continue
			}
			reached = true
			o, ok := sel.option(s.Trait)
			has = has || ok || sel.otherKindHas(s)
			if !ok {
				continue
			}
			c := choice{s, o, !sel.declares(o), [3]int{0, specificity, order}}
			if s.Source == "" {
				c.rank[0] = 1
			}
			if slices.Compare(c.rank[:], rankOf(chosen[i], o.Name)) >= 0 {
				chosen[i][o.Name] = c
			}
		}
		if reached && given != s.Name() {
			warnings = append(warnings, given+" is an old name; use "+s.Class+"."+s.Trait)
		}
		switch {
		case has:
		case reached && slices.Contains(noEffect, s.Trait):
			warnings = append(warnings, s.Name()+" has no effect here")
		case reached:
			return nil, unknownTrait(selections, s)
		case s.Source == "":
			return nil, unknownClass(selections, s)
		}
	}
	for i, sel := range selections {
		if err := sel.apply(chosen[i]); err != nil {
			return nil, err
		}
	}
	return warnings, nil
}

// choice is the setting for an option that has the highest precedence so far.
type choice struct {
	setting Setting
	option  sdk.Option
	common  bool   // one of CommonOptions
	rank    [3]int // command line, specificity, order: the greatest wins
}

func rankOf(chosen map[string]choice, name string) []int {
	if c, ok := chosen[name]; ok {
		return c.rank[:]
	}
	return nil
}

// specificity reports whether settings of a class apply to the launcher, and how specific
// the class is: a greater number is more specific.
func (sel *Selection) specificity(class string) (specificity int, ok bool) {
	classes := sel.Executable.Info.Classes[sel.Kind]
	if i := slices.Index(classes, class); i >= 0 {
		return len(classes) - i, true
	}
	return 0, class == sel.Executable.Info.Name
}

// option returns the option with a name, if the kind of workload has it.
func (sel *Selection) option(name string) (sdk.Option, bool) {
	if o, ok := sel.Executable.Info.Option(name); ok {
		return o, o.For(sel.Kind)
	}
	for _, o := range CommonOptions {
		if o.Name == name && o.For(sel.Kind) {
			return o, true
		}
	}
	return sdk.Option{}, false
}

// declares reports whether an option is one of the launcher's own.
func (sel *Selection) declares(o sdk.Option) bool {
	_, ok := sel.Executable.Info.Option(o.Name)
	return ok
}

// otherKindHas reports whether the class applies to another kind of workload of the
// launcher that has the option. The setting is then valid, but has no effect here.
func (sel *Selection) otherKindHas(s Setting) bool {
	for _, k := range sel.Executable.Info.Kinds {
		other := Selection{Executable: sel.Executable, Kind: k}
		if _, ok := other.specificity(s.Class); !ok {
			continue
		}
		if _, ok := other.option(s.Trait); ok {
			return true
		}
	}
	return false
}

// apply sets the options to the chosen settings.
func (sel *Selection) apply(chosen map[string]choice) error {
	own := map[string]json.RawMessage{}
	sel.Common = map[string]json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		c := chosen[name]
		value, err := c.value()
		if err != nil {
			return err
		}
		if bytes.Equal(value, []byte("null")) {
			continue // the default
		}
		if c.common {
			sel.Common[name] = value
		} else {
			own[name] = value
		}
	}
	sel.Options = nil
	if len(own) > 0 {
		text, err := json.Marshal(own)
		if err != nil {
			return fmt.Errorf("write the options of launcher %q: %w", sel.Executable.Name, err)
		}
		sel.Options = text
	}
	return nil
}

// value returns the setting's value as JSON of the option's type.
func (c choice) value() (json.RawMessage, error) {
	value := c.setting.Value
	if value == nil {
		v, err := parseWords(c.option.Type, c.setting.Words)
		if err == nil {
			value, err = json.Marshal(v)
		}
		if err != nil {
			return nil, c.typeError(strings.Join(c.setting.Words, " "))
		}
	}
	if err := c.option.Check(value); err != nil {
		return nil, c.typeError(string(value))
	}
	return value, nil
}

// typeError returns the error that a value does not have the option's type.
func (c choice) typeError(shown string) error {
	text := fmt.Sprintf("%s: must be of type %s", c.setting.Name(), c.option.Type)
	if !c.option.Secret {
		text += fmt.Sprintf(", got %.80q", shown)
	}
	forms := map[string]string{
		sdk.TypeList: `a list: ["a", "b"], or the option once for each item`,
		sdk.TypeMap:  `a dictionary: {"a": 1}, or the option once for each a=1`,
		sdk.TypeBool: "true or false",
	}
	hint := forms[c.option.Type]
	if hint != "" {
		hint = "write " + hint
	}
	return &SettingError{text, hint}
}

// parseWords returns the value that the words of a command line stand for.
func parseWords(kind string, words []string) (any, error) {
	last := words[len(words)-1]
	switch kind {
	case sdk.TypeString:
		return last, nil
	case sdk.TypeBool:
		return strconv.ParseBool(last)
	case sdk.TypeList:
		items := []any{}
		for _, w := range words {
			switch v, err := pyliteral.Parse(w); list := v.(type) {
			case []any:
				items = append(items, list...)
			case string:
				items = append(items, list)
			default:
				_ = err // words that are not list or string literals are strings, numbers too
				items = append(items, w)
			}
		}
		return items, nil
	case sdk.TypeMap:
		items := map[string]any{}
		for _, w := range words {
			v, err := pyliteral.Parse(w)
			if one, ok := v.(map[string]any); ok && err == nil {
				maps.Copy(items, one)
				continue
			}
			name, text, ok := strings.Cut(w, "=")
			if !ok || name == "" {
				return nil, fmt.Errorf("%q is not of the form name=value", w)
			}
			if v, err = pyliteral.Parse(text); err != nil {
				v = text
			}
			items[name] = v
		}
		return items, nil
	}
	return pyliteral.Parse(last) // numbers
}

// unknownTrait returns the error that no launcher has an option, with the existing ones.
func unknownTrait(selections []*Selection, s Setting) error {
	var names []string
	for _, sel := range selections {
		if _, ok := sel.specificity(s.Class); !ok {
			continue
		}
		for _, o := range slices.Concat(sel.Executable.Info.Options, CommonOptions) {
			if o.For(sel.Kind) && !slices.Contains(names, o.Name) {
				names = append(names, o.Name)
			}
		}
	}
	e := &SettingError{text: fmt.Sprintf("%s: there is no such option", s.Name())}
	if near := nearest.Match(s.Trait, names); near != "" {
		e.hint = fmt.Sprintf("did you mean %s.%s?", s.Class, near)
	} else {
		e.hint = "options: " + strings.Join(names, ", ")
	}
	return e
}

// unknownClass returns the error that a class applies to no launcher.
func unknownClass(selections []*Selection, s Setting) error {
	var names, used []string
	for _, sel := range selections {
		names = append(names, sel.Executable.Info.Name)
		names = append(names, sel.Executable.Info.Classes[sel.Kind]...)
		used = append(used, fmt.Sprintf("%s for the %s", sel.Executable.Name, sel.Kind))
	}
	e := &SettingError{text: fmt.Sprintf("%s: %s applies to no launcher of this cluster; they are %s", s.Name(), s.Class, strings.Join(used, ", "))}
	if near := nearest.Match(s.Class, names); near != "" {
		e.hint = fmt.Sprintf("did you mean --%s.%s?", near, s.Trait)
	}
	return e
}

// WithoutSecrets returns the options without those that are secret or unknown.
func WithoutSecrets(info sdk.Info, options json.RawMessage) json.RawMessage {
	var given map[string]json.RawMessage
	if json.Unmarshal(options, &given) != nil {
		return nil
	}
	for name := range given {
		if o, ok := info.Option(name); !ok || o.Secret {
			delete(given, name)
		}
	}
	if len(given) == 0 {
		return nil
	}
	text, err := json.Marshal(given)
	if err != nil {
		return nil
	}
	return text
}
