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
)

// Info describes a plugin. It is what the executable prints when its one
// argument is "describe".
type Info struct {
	Name    string `json:"name"`    // the executable is ipcore-launcher-<name>
	Version string `json:"version"` // of the plugin, for people
	Kinds   []Kind `json:"kinds"`

	// Options are the launcher's own options. A request with another is refused
	// before the launcher sees it.
	Options []Option `json:"options,omitempty"`

	// PollEvery is how often the end of a workload is looked for when the launcher
	// has no Wait; 0 means 5 s. Nothing shorter than 1 s against a scheduler.
	PollEvery time.Duration `json:"-"`

	// The rest is filled in by Serve.

	Protocol []int    `json:"protocol"`           // versions of the contract
	Speaks   string   `json:"speaks,omitempty"`   // "grpc"
	Security []string `json:"security,omitempty"` // in order of preference: "mtls", "peer"
	Powers   []Power  `json:"optional,omitempty"`
}

// Option is one option of a launcher.
type Option struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"` // "string", "int", "float", "bool", "list", "map"
	Default json.RawMessage `json:"default,omitempty"`
	Help    string          `json:"help"`
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// ValidName tells whether a launcher may be called so: lower-case letters,
// digits, "-" and "_".
func ValidName(name string) bool { return nameForm.MatchString(name) }

// Offers tells whether the plugin starts workloads of that kind.
func (i Info) Offers(k Kind) bool { return slices.Contains(i.Kinds, k) }

// Has tells whether the plugin announced the power.
func (i Info) Has(p Power) bool { return slices.Contains(i.Powers, p) }

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
		i.Speaks = "grpc"
	}
	if len(i.Security) == 0 {
		i.Security = []string{SecurityMTLS}
	}
	return i, nil
}

// The ways in which host and plugin make sure of each other.
const (
	SecurityMTLS = "mtls" // both show a certificate that the host made
	SecurityPeer = "peer" // a unix socket whose peer the system vouches for
)

// complete fills in what Serve knows.
func (i Info) complete(launcher New) Info {
	i.Protocol = []int{Protocol}
	i.Speaks = "grpc"
	i.Security = []string{SecurityMTLS}
	for _, k := range i.Kinds {
		for _, p := range powers(launcher(k, Env{}.withDefaults())) {
			if !i.Has(p) {
				i.Powers = append(i.Powers, p)
			}
		}
	}
	return i
}

// checkOptions refuses options that the launcher does not have.
func (i Info) checkOptions(options json.RawMessage) error {
	if len(bytes.TrimSpace(options)) == 0 {
		return nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(options, &given); err != nil || given == nil {
		return fmt.Errorf("%w: options are not a JSON object", ErrBadOption)
	}
	known := make([]string, len(i.Options))
	for n, o := range i.Options {
		known[n] = o.Name
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case slices.Contains(known, name):
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
