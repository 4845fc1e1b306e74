package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

var describeChecks = []Check{{
	Name: "describe", Once: true, Executable: true, run: checkDescribe,
	Want: "with the argument \"describe\", and without ipcore's cookie, it prints one JSON object within 5 s and exits with 0",
}, {
	Name: "describe-fields", Once: true, run: checkFields,
	Want: "name, version, kinds and protocol are set and valid",
}, {
	Name: "describe-name", Once: true, Executable: true, run: checkName,
	Want: "the executable ipcore-launcher-NAME describes itself as NAME",
}, {
	Name: "describe-options", Once: true, run: checkOptions,
	Want: "each option has a unique name, a known type, a help text, and a default of that type",
}, {
	Name: "describe-capabilities", Once: true, run: checkCapabilities,
	Want: "each capability that it declares is one of the contract, and is declared once",
}, {
	Name: "cookie", Once: true, Executable: true, run: checkCookie,
	Want: "without ipcore's cookie it prints nothing to stdout, prints on stderr that ipcore starts it, and exits with a code other than 0",
}}

func checkDescribe(b *fixture) {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	out, errs, err := b.runOnce(ctx, b.Describe, "describe")
	if err != nil {
		b.fatalf("%v; stderr: %.200q", err, errs)
	}
	var object map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader([]byte(out)))
	if err := d.Decode(&object); err != nil {
		b.fatalf("stdout is %.200q: %v", out, err)
	}
	if rest := strings.TrimSpace(out[d.InputOffset():]); rest != "" {
		b.errorf("after the object it printed %.200q", rest)
	}
	if _, err := sdk.ParseInfo([]byte(out)); err != nil {
		b.errorf("%v", err)
	}
}

// runOnce runs an executable without the cookie until it ends.
func (b *fixture) runOnce(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = process.Environ(nil)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	process.SetGroup(cmd)
	cmd.Cancel = func() error { return process.KillGroup(cmd.Process) }
	err = cmd.Run()
	if ctx.Err() != nil {
		err = errors.New("it did not end in time")
	}
	return out.String(), errs.String(), err
}

func checkFields(b *fixture) {
	b.noError("description", b.Info.Check())
	if b.Info.Version == "" {
		b.errorf("the version is empty")
	}
	for _, k := range b.Info.Kinds {
		if !slices.Contains([]sdk.Kind{sdk.Controller, sdk.Engine, sdk.SingleEngine}, k) {
			b.errorf("kind %q is not known", k)
		}
	}
	if !slices.Contains(b.Info.Protocol, sdk.Protocol) {
		b.errorf("protocol is %v, which does not contain %d", b.Info.Protocol, sdk.Protocol)
	}
}

func checkName(b *fixture) {
	base := strings.TrimSuffix(filepath.Base(b.Describe), ".exe")
	name, ok := strings.CutPrefix(base, "ipcore-launcher-")
	if !ok {
		b.errorf("the executable is called %q", base)
	} else if name != b.Info.Name {
		b.errorf("the executable %s describes itself as %q", base, b.Info.Name)
	}
}

// otherTypes maps each type of option to a value of another type.
var otherTypes = map[string]string{
	sdk.TypeString: `{}`, sdk.TypeInt: `{}`, sdk.TypeFloat: `{}`, sdk.TypeBool: `[]`, sdk.TypeList: `17`, sdk.TypeMap: `17`,
}

func checkOptions(b *fixture) {
	seen := map[string]bool{}
	for _, o := range b.Info.Options {
		if o.Name == "" || seen[o.Name] || strings.ContainsAny(o.Name, " .=") {
			b.errorf("option %q: its name is empty, not unique or not one word", o.Name)
		}
		seen[o.Name] = true
		if o.Help == "" {
			b.errorf("option %s has no help", o.Name)
		}
		value := o.Default
		if len(value) == 0 {
			value = json.RawMessage("null")
		}
		b.noError("the default", o.Check(value))
	}
}

func checkCapabilities(b *fixture) {
	known := []sdk.Capability{
		sdk.CapabilityWait, sdk.CapabilitySignal, sdk.CapabilityOutput, sdk.CapabilityConnectionInfo,
		sdk.CapabilityStatus, sdk.CapabilityScript, sdk.CapabilityOrphans,
	}
	for i, c := range b.Info.Capabilities {
		if !slices.Contains(known, c) {
			b.errorf("capability %q is not one of the contract", c)
		}
		if slices.Contains(b.Info.Capabilities[:i], c) {
			b.errorf("capability %q is declared twice", c)
		}
	}
}

func checkCookie(b *fixture) {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	out, errs, err := b.runOnce(ctx, b.Command...)
	if _, ended := errors.AsType[*exec.ExitError](err); !ended {
		b.errorf("run without the cookie it did not exit with an error: %v", err)
	}
	if out != "" {
		b.errorf("it printed %.200q to stdout", out)
	}
	if errs == "" {
		b.errorf("it printed nothing to stderr")
	}
}
