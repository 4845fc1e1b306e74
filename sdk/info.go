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

// Info describes a launcher. The executable prints it as JSON when its only argument
// is "describe".
type Info struct {
	Name    string `json:"name"`    // the executable is ipcore-launcher-<name>
	Version string `json:"version"` // the launcher's version, for people; "" means that of the executable (buildinfo.Read)
	Kinds   []Kind `json:"kinds"`   // the kinds of workload that it starts

	// Options are the launcher's own options. A request with an option that is not
	// listed, or with a value of the wrong type, is refused before the launcher sees it.
	Options []Option `json:"options,omitempty"`

	// Classes are the class names, for each kind, by which configuration sets options,
	// as in IPython Parallel, from the most specific to the least. {"SlurmLauncher":
	// {"queue": "debug"}} in a configuration file, or --SlurmLauncher.queue=debug, sets
	// the option queue of every kind that has SlurmLauncher among its classes. When two
	// classes set the same option, the more specific one takes precedence. The
	// launcher's name reaches every kind, with classes or without: --slurm.queue=debug.
	Classes map[Kind][]string `json:"classes,omitempty"`

	// Remote says that workloads may run on other machines, so that a controller has
	// to listen on an address that engines of this launcher can reach.
	Remote bool `json:"remote,omitempty"`

	// PrivateEnv says that other users can't read the environment of a workload, so
	// that it may contain the controller's key. A batch system shows the environment
	// to everybody. Without PrivateEnv, engines read the key from the profile's files.
	PrivateEnv bool `json:"private_env,omitempty"`

	// PollEvery is the interval at which the sdk checks whether a workload has ended
	// when the launcher is not a Waiter; 0 means 5 s. A launcher that queries a
	// scheduler should use at least 1 s.
	PollEvery time.Duration `json:"-"`

	// Conformance is what the conformance checks need to know of the launcher; nil
	// means nothing.
	Conformance *ConformanceHints `json:"conformance,omitempty"`

	// Serve fills in the remaining fields.

	Protocol     []int        `json:"protocol"`           // versions of the contract that it serves
	Speaks       string       `json:"speaks,omitempty"`   // SpeaksGRPC or SpeaksScript
	Security     []string     `json:"security,omitempty"` // in order of preference: "mtls", "peer"
	Capabilities []Capability `json:"capabilities,omitempty"`
}

// ConformanceHints is what the checks of "ipcore launchers test" and of package
// plugintest need to know of a launcher. It changes nothing else.
type ConformanceHints struct {
	// Skip are the checks that do not apply to the launcher, by name, each with the
	// reason, which the report shows.
	Skip map[string]string `json:"skip,omitempty"`

	// ShowJobs is the command, program and arguments, that prints everything that the
	// batch system shows of its jobs. A check looks for secrets in its output.
	ShowJobs []string `json:"show_jobs,omitempty"`
}

// Option is one option of a launcher.
type Option struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"` // TypeString, TypeInt, …
	Default json.RawMessage `json:"default,omitempty"`
	Help    string          `json:"help"`             // one sentence without a full stop
	Secret  bool            `json:"secret,omitempty"` // its value is never shown or written to a file
	Kinds   []Kind          `json:"kinds,omitempty"`  // the kinds that have the option; none means all
}

// The types of an option, each a type of JSON values.
const (
	TypeString = "string"
	TypeInt    = "int"
	TypeFloat  = "float"
	TypeBool   = "bool"
	TypeList   = "list" // an array of anything
	TypeMap    = "map"  // an object of anything
)

// For reports whether workloads of kind k have the option.
func (o Option) For(k Kind) bool { return len(o.Kinds) == 0 || slices.Contains(o.Kinds, k) }

// Check returns an error that wraps ErrBadOption unless a JSON value has the option's
// type. null is valid for every type and stands for the default.
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
	return fmt.Errorf("%w: option %q: %.80s is not of type %s", ErrBadOption, o.Name, shown, o.Type)
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// ValidName reports whether name may be the name of a launcher: 1 to 64 lower-case
// letters, digits, "-" and "_", and the first is a letter or a digit.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// Offers reports whether the launcher starts workloads of kind k.
func (i Info) Offers(k Kind) bool { return slices.Contains(i.Kinds, k) }

// Has reports whether the launcher declares the capability.
func (i Info) Has(p Capability) bool { return slices.Contains(i.Capabilities, p) }

// Check returns an error that says what is wrong with the description, or nil.
func (i Info) Check() error {
	switch {
	case !ValidName(i.Name):
		return fmt.Errorf("name %q: must be lower-case letters, digits, - and _", i.Name)
	case len(i.Kinds) == 0:
		return errors.New("kinds is empty: a launcher starts controllers, engines or both")
	case len(i.Protocol) == 0:
		return errors.New("protocol is empty: list the versions of the contract that the launcher serves")
	}
	seen := make(map[string]bool)
	for _, o := range i.Options {
		switch {
		case seen[o.Name]:
			return fmt.Errorf("option %q is declared twice", o.Name)
		case o.Name == "":
			return errors.New("an option has no name")
		}
		seen[o.Name] = true
		if err := o.Check(json.RawMessage("null")); err != nil {
			return err
		}
	}
	return nil
}

// ParseInfo reads and checks what a plugin printed for "describe". It ignores
// unknown keys, and accepts the words that early launchers used: the key
// "optional" for "capabilities", the capability "sweep" for "orphans", and
// "verbs" for "script" under "speaks".
func ParseInfo(text []byte) (Info, error) {
	var read struct {
		Info
		Optional []Capability `json:"optional"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return Info{}, fmt.Errorf("the description is not valid JSON: %w", err)
	}
	i := read.Info
	if i.Capabilities == nil {
		i.Capabilities = read.Optional
	}
	for at, c := range i.Capabilities {
		if c == "sweep" {
			i.Capabilities[at] = CapabilityOrphans
		}
	}
	if i.Speaks == "verbs" {
		i.Speaks = SpeaksScript
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

// The values of Info.Speaks: how a host talks to the executable.
const (
	SpeaksGRPC   = "grpc"   // it is a plugin that serves the contract
	SpeaksScript = "script" // it is a script, for which ipcore-launcher-exec serves the contract
)

// The values of Info.Security: how host and plugin authenticate each other.
const (
	SecurityMTLS = "mtls" // each presents a certificate that the host issued
	SecurityPeer = "peer" // the system names the peer of the unix socket
)

// complete fills in the fields that Serve determines.
func (i Info) complete(launcher Factory) Info {
	if i.Version == "" {
		i.Version = buildinfo.Read().Version
	}
	i.Protocol = []int{Protocol}
	i.Speaks = SpeaksGRPC
	i.Security = []string{SecurityMTLS}
	for _, k := range i.Kinds {
		for _, p := range capabilities(launcher(k, Host{}.withDefaults())) {
			if !i.Has(p) {
				i.Capabilities = append(i.Capabilities, p)
			}
		}
	}
	return i
}

// Option returns the declared option with a name.
func (i Info) Option(name string) (Option, bool) {
	for _, o := range i.Options {
		if o.Name == name {
			return o, true
		}
	}
	return Option{}, false
}

// CheckOptions returns an error that wraps ErrBadOption unless options, a JSON object
// or empty, holds only options that workloads of that kind have, each with a value
// of the right type.
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
			return fmt.Errorf("%w: option %q does not apply to kind %s", ErrBadOption, name, kind)
		case len(known) == 0:
			return fmt.Errorf("%w: option %q: the launcher has no options", ErrBadOption, name)
		default:
			return fmt.Errorf("%w: option %q does not exist; the options are %s", ErrBadOption, name, strings.Join(known, ", "))
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
