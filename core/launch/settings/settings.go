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

// Setting is one value for a launcher, from a configuration file or a command
// line: Class.Trait = value.
type Setting struct {
	Class string `json:"class"` // a configuration class, or a launcher's name
	Trait string `json:"trait"`

	// The value: JSON from a file, or words from a command line, of which the last
	// counts, and for lists and maps all.
	Value json.RawMessage `json:"value,omitempty"`
	Words []string        `json:"words,omitempty"`

	Source string `json:"source,omitempty"` // the file; "" is the command line
}

// Name is the setting as a user writes it.
func (s Setting) Name() string {
	name := s.Class + "." + s.Trait
	if s.Source == "" {
		return "--" + name
	}
	return s.Source + ": " + name
}

// SettingError is a setting that makes no sense.
type SettingError struct {
	text, hint string
}

func (e *SettingError) Error() string { return e.text }

// Hint is the next step.
func (e *SettingError) Hint() string { return e.hint }

// Use is a launcher that a cluster uses for a kind, and what settings make of it.
type Selection struct {
	Executable *registry.Executable
	Kind       sdk.Kind

	Options json.RawMessage            // the launcher's own options; nil for none
	Common  map[string]json.RawMessage // values of HostOptions
}

// HostOptions are what every launcher can be set because ipcore itself does it;
// a launcher's own option of the same name goes before.
var CommonOptions = []sdk.Option{
	{Name: "engine_cmd", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Engine, sdk.SingleEngine}, Help: "program and arguments of an engine, in place of ipcore's own"},
	{Name: "engine_args", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Engine, sdk.SingleEngine}, Help: "arguments added to an engine's command"},
	{Name: "controller_cmd", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Controller}, Help: "program and arguments of the controller, in place of ipcore's own"},
	{Name: "controller_args", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Controller}, Help: "arguments added to the controller's command"},
	{Name: "environment", Type: sdk.TypeMap, Help: "variables added to the environment, as texts"},
	{Name: "work_dir", Type: sdk.TypeString, Help: "where the processes run; default where ipcore was started"},
}

// noEffect are settings of upstream's launchers that mean nothing here.
var noEffect = []string{
	"output_limit", "poll_seconds", "stop_timeout", "connection_info_timeout", "identifier", "cluster_id", "profile_dir", "launcher_class", "log_level",
}

// Configure shares settings out among the launchers of a cluster. Of two for the
// same option the command line goes before a file, then the more specific class
// before the less specific, then the later one. warnings are about settings
// without effect and former names of classes. A *SettingError tells of one that no launcher has.
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
			warnings = append(warnings, given+": an old name; it is "+s.Class+"."+s.Trait+" now")
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

// choice is the best setting so far for an option.
type choice struct {
	setting Setting
	option  sdk.Option
	common  bool   // one of HostOptions
	rank    [3]int // command line, specificity, order: the greatest wins
}

func rankOf(chosen map[string]choice, name string) []int {
	if c, ok := chosen[name]; ok {
		return c.rank[:]
	}
	return nil
}

// reach tells whether settings of a class reach the launcher, and how specific
// the class is: greater is more.
func (sel *Selection) specificity(class string) (specificity int, ok bool) {
	classes := sel.Executable.Info.Classes[sel.Kind]
	if i := slices.Index(classes, class); i >= 0 {
		return len(classes) - i, true
	}
	return 0, class == sel.Executable.Info.Name
}

// option answers the option of a name that the kind has.
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

// declares tells whether an option is the launcher's own.
func (sel *Selection) declares(o sdk.Option) bool {
	_, ok := sel.Executable.Info.Option(o.Name)
	return ok
}

// elsewhere tells whether another kind of the launcher has the option and is
// reached by the class: then the setting is good, though it does nothing here.
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

// set takes the chosen settings over.
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

// value answers the setting as JSON of the option's type.
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

// wrong says that a value is not of the option's type.
func (c choice) typeError(shown string) error {
	shown = fmt.Sprintf("%.80q", shown)
	if c.option.Secret {
		shown = "the value"
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
	return &SettingError{fmt.Sprintf("%s: %s is no %s", c.setting.Name(), shown, c.option.Type), hint}
}

// fromWords makes a value of what a command line says.
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
				_ = err // a word that is no literal is a text, and so are numbers and such
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
				return nil, fmt.Errorf("%q is no name=value", w)
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

// unknownTrait says which options there are instead.
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

// unknownClass says which classes there are instead.
func unknownClass(selections []*Selection, s Setting) error {
	var names, used []string
	for _, sel := range selections {
		names = append(names, sel.Executable.Info.Name)
		names = append(names, sel.Executable.Info.Classes[sel.Kind]...)
		used = append(used, fmt.Sprintf("%s for the %s", sel.Executable.Name, sel.Kind))
	}
	e := &SettingError{text: fmt.Sprintf("%s: no launcher of this cluster is reached by %s; they are %s", s.Name(), s.Class, strings.Join(used, ", "))}
	if near := nearest.Match(s.Class, names); near != "" {
		e.hint = fmt.Sprintf("did you mean --%s.%s?", near, s.Trait)
	}
	return e
}

// Public answers options without those that are secret.
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
