package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk/buildinfo"
)

// Info describes a plugin. It is what the executable prints when its one
// argument is "describe".
type Info struct {
	Name    string `json:"name"`    // the executable is ipcore-launcher-<name>
	Version string `json:"version"` // of the plugin, for people; "" means the executable's (buildinfo.Read)
	Kinds   []Kind `json:"kinds"`

	// Options are the launcher's own options. A request with another, or with a
	// value of another type, is refused before the launcher sees it.
	Options []Option `json:"options,omitempty"`

	// Classes are the names by which configuration reaches each kind: upstream's
	// classes, from the most specific to the least. {"SlurmLauncher": {"queue":
	// "debug"}} of a configuration file and --SlurmLauncher.queue=debug set the option
	// queue of every kind that has SlurmLauncher among its classes; of two, the more
	// specific wins. A kind without classes is reached by the launcher's name only,
	// as all are: --slurm.queue=debug.
	Classes map[Kind][]string `json:"classes,omitempty"`

	// Remote tells that workloads may run on other machines: a controller has to
	// listen where engines of this launcher reach it.
	Remote bool `json:"remote,omitempty"`

	// PrivateEnv tells that nobody else can read the environment of a workload, so
	// that the controller's key may be in it. A batch system shows it to everybody;
	// without PrivateEnv engines find the key in the profile's files.
	PrivateEnv bool `json:"private_env,omitempty"`

	// PollEvery is how often the end of a workload is looked for when the launcher
	// has no Wait; 0 means 5 s. Nothing shorter than 1 s against a scheduler.
	PollEvery time.Duration `json:"-"`

	// The rest is filled in by Serve.

	Protocol     []int        `json:"protocol"`           // versions of the contract
	Speaks       string       `json:"speaks,omitempty"`   // SpeaksGRPC or SpeaksVerbs
	Security     []string     `json:"security,omitempty"` // in order of preference: "mtls", "peer"
	Capabilities []Capability `json:"optional,omitempty"`
}

// Option is one option of a launcher.
type Option struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"` // one of the Types
	Default json.RawMessage `json:"default,omitempty"`
	Help    string          `json:"help"`
	Secret  bool            `json:"secret,omitempty"` // shown nowhere, written to no file
	Kinds   []Kind          `json:"kinds,omitempty"`  // that have it; none means all
}

// The types of an option, which are those of its value in JSON.
const (
	TypeString = "string"
	TypeInt    = "int"
	TypeFloat  = "float"
	TypeBool   = "bool"
	TypeList   = "list" // an array of anything
	TypeMap    = "map"  // an object of anything
)

// For tells whether the option belongs to a kind.
func (o Option) For(k Kind) bool { return len(o.Kinds) == 0 || slices.Contains(o.Kinds, k) }

// Check tells whether a JSON value is of the option's type. null is of every
// type and stands for the default.
func (o Option) Check(value json.RawMessage) error {
	var to any
	switch o.Type {
	case TypeString:
		to = new(string)
	case TypeInt:
		to = new(int64)
	case TypeFloat:
		to = new(float64)
	case TypeBool:
		to = new(bool)
	case TypeList:
		to = new([]any)
	case TypeMap:
		to = new(map[string]any)
	default:
		return fmt.Errorf("option %q has the unknown type %q", o.Name, o.Type)
	}
	if json.Unmarshal(value, to) == nil {
		return nil
	}
	shown := string(value)
	if o.Secret {
		shown = "its value"
	}
	return fmt.Errorf("%w: option %q: %.80s is no %s", ErrBadOption, o.Name, shown, o.Type)
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// ValidName tells whether a launcher may be called so: lower-case letters,
// digits, "-" and "_".
func ValidName(name string) bool { return nameForm.MatchString(name) }

// Offers tells whether the plugin starts workloads of that kind.
func (i Info) Offers(k Kind) bool { return slices.Contains(i.Kinds, k) }

// Has tells whether the plugin announced the power.
func (i Info) Has(p Capability) bool { return slices.Contains(i.Capabilities, p) }

// Check tells what is wrong with a description.
func (i Info) Check() error {
	switch {
	case !ValidName(i.Name):
		return fmt.Errorf("name %q: want lower-case letters, digits, - and _", i.Name)
	case len(i.Kinds) == 0:
		return errors.New("no kinds: a launcher starts at least one of controller, engine")
	case len(i.Protocol) == 0:
		return errors.New("no protocol version")
	}
	seen := make(map[string]bool)
	for _, o := range i.Options {
		switch {
		case seen[o.Name]:
			return fmt.Errorf("option %q is declared twice", o.Name)
		case o.Name == "":
			return errors.New("an option without a name")
		}
		seen[o.Name] = true
		if err := o.Check(json.RawMessage("null")); err != nil {
			return err
		}
	}
	return nil
}

// ParseInfo reads what a plugin printed for "describe". Unknown keys are passed
// over.
func ParseInfo(text []byte) (Info, error) {
	var i Info
	if err := json.Unmarshal(text, &i); err != nil {
		return Info{}, fmt.Errorf("not a description in JSON: %w", err)
	}
	if err := i.Check(); err != nil {
		return Info{}, fmt.Errorf("description: %w", err)
	}
	if i.Speaks == "" {
		i.Speaks = SpeaksGRPC
	}
	if len(i.Security) == 0 {
		i.Security = []string{SecurityMTLS}
	}
	return i, nil
}

// What a launcher speaks: the contract's gRPC, or the verbs of a script, which
// ipcore-launcher-exec serves.
const (
	SpeaksGRPC   = "grpc"
	SpeaksScript = "verbs"
)

// The ways in which host and plugin make sure of each other.
const (
	SecurityMTLS = "mtls" // both show a certificate that the host made
	SecurityPeer = "peer" // a unix socket whose peer the system vouches for
)

// complete fills in what Serve knows.
func (i Info) complete(launcher New) Info {
	if i.Version == "" {
		i.Version = buildinfo.Read().Version
	}
	i.Protocol = []int{Protocol}
	i.Speaks = SpeaksGRPC
	i.Security = []string{SecurityMTLS}
	for _, k := range i.Kinds {
		for _, p := range powers(launcher(k, Host{}.withDefaults())) {
			if !i.Has(p) {
				i.Capabilities = append(i.Capabilities, p)
			}
		}
	}
	return i
}

// Option answers the declared option of a name.
func (i Info) Option(name string) (Option, bool) {
	for _, o := range i.Options {
		if o.Name == name {
			return o, true
		}
	}
	return Option{}, false
}

// CheckOptions refuses options that a kind of the launcher does not have, and
// values of another type.
func (i Info) CheckOptions(kind Kind, options json.RawMessage) error {
	if len(bytes.TrimSpace(options)) == 0 {
		return nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(options, &given); err != nil || given == nil {
		return fmt.Errorf("%w: options are not a JSON object", ErrBadOption)
	}
	var known []string
	for _, o := range i.Options {
		if o.For(kind) {
			known = append(known, o.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		o, declared := i.Option(name)
		switch {
		case declared && o.For(kind):
			if err := o.Check(given[name]); err != nil {
				return err
			}
		case declared:
			return fmt.Errorf("%w: option %q is not one of a %s", ErrBadOption, name, kind)
		case len(known) == 0:
			return fmt.Errorf("%w: option %q: the launcher has no options", ErrBadOption, name)
		default:
			return fmt.Errorf("%w: option %q is not one of %s", ErrBadOption, name, strings.Join(known, ", "))
		}
	}
	return nil
}

// print writes the description as one line of JSON.
func (i Info) print(w io.Writer) error {
	if err := i.Check(); err != nil {
		return fmt.Errorf("sdk.Info: %w", err)
	}
	return json.NewEncoder(w).Encode(i)
}
