package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

var requestChecks = []Check{
	refused("kind-unknown", "a kind that it does not describe", func(r *sdk.StartRequest) { r.Kind = "teapot" }),
	refused("command-empty", "an empty command", func(r *sdk.StartRequest) { r.Command = nil }),
	refused("program-empty", "a program without a name", func(r *sdk.StartRequest) { r.Command = []string{""} }),
	refused("id-empty", "an empty id", func(r *sdk.StartRequest) { r.ID = "" }),
	refused("n-zero", "n of 0", func(r *sdk.StartRequest) { r.N = new(0) }),
	refused("n-negative", "n of -1", func(r *sdk.StartRequest) { r.N = new(-1) }),
	// With a program that is not there, so that a launcher without a limit starts
	// nothing all the same.
	refused("n-huge", "n of 2147483647", func(r *sdk.StartRequest) {
		r.N, r.Command = new(math.MaxInt32), []string{"/nonexistent/program"}
	}),
	{
		Name: "n-of-one", run: checkOfOne,
		Want: "Start of a controller with n, or of a single engine with n of 2, is INVALID_ARGUMENT and starts nothing",
	},
	refused("option-unknown", "an option that it does not describe", func(r *sdk.StartRequest) { r.Options = []byte(`{"kit_unknown": 1}`) }),
	refused("options-no-json", "options that are no JSON", func(r *sdk.StartRequest) { r.Options = []byte(`{`) }),
	refused("options-no-object", "options that are a list", func(r *sdk.StartRequest) { r.Options = []byte(`[1]`) }),
	{
		Name: "option-type", run: checkOptionType,
		Want: "an option with a value of another type is INVALID_ARGUMENT",
	}, {
		Name: "options-big", run: checkBigOptions,
		Want: "options of 10 MiB are INVALID_ARGUMENT or taken, and the plugin goes on",
	}, {
		Name: "id-hostile", run: checkHostileID,
		Want: "an id with control characters, slashes or dots is INVALID_ARGUMENT or works; no file appears outside of the log's folder",
	}, {
		Name: "environment-hostile", run: checkHostileEnvironment,
		Want: "names and values that no environment can hold are INVALID_ARGUMENT, and start nothing",
	}, {
		Name: "unknown-id", run: checkUnknownID,
		Want: "ToDict, Stop and Events of an unknown id are NOT_FOUND; Detach of one succeeds",
	},
}

// refused is a check that one change of a request makes Start refuse it.
func refused(name, what string, change func(*sdk.StartRequest)) Check {
	return Check{
		Name: name, Want: "Start with " + what + " is INVALID_ARGUMENT and starts nothing",
		run: func(b *bed) { b.refuse(what, change) },
	}
}

func (b *bed) refuse(what string, change func(*sdk.StartRequest)) {
	r := b.request("w", 1, sleeper)
	change(&r)
	_, err := b.Start(b.ctx, r)
	b.is("Start with "+what, err, sdk.ErrBadOption)
	if err == nil {
		b.no("Stop", b.Stop(b.ctx, r.ID))
	}
	if all, _ := b.pids(); len(all) > 0 {
		b.errorf("it started processes %v", all)
	}
}

func checkOfOne(b *bed) {
	switch b.kind {
	case sdk.Controller:
		b.refuse("n of 1", func(r *sdk.StartRequest) { r.N = new(1) })
	case sdk.SingleEngine:
		b.refuse("n of 2", func(r *sdk.StartRequest) { r.N = new(2) })
	case sdk.Engine:
		b.na("it is not about sets of engines")
	}
}

func checkOptionType(b *bed) {
	if len(b.Info.Options) == 0 {
		b.na("it has no options")
	}
	checked := 0
	for _, o := range b.Info.Options {
		bad, known := otherTypes[o.Type]
		if !known || !o.For(b.kind) {
			continue
		}
		checked++
		b.refuse(fmt.Sprintf("%s: %s, which is no %s", o.Name, bad, o.Type), func(r *sdk.StartRequest) {
			r.Options = withOption(r.Options, o.Name, bad)
		})
	}
	if checked == 0 {
		b.na("it has no option of a known type")
	}
}

// withOption puts one more option into a JSON object.
func withOption(options []byte, name, value string) []byte {
	object := bytes.TrimSpace(options)
	if len(object) < 2 || string(object) == "{}" {
		return fmt.Appendf(nil, "{%q: %s}", name, value)
	}
	// Of a key that comes twice the last one counts.
	return fmt.Appendf(nil, "%s, %q: %s}", object[:len(object)-1], name, value)
}

func checkBigOptions(b *bed) {
	r := b.request("w", 1, sleeper)
	r.Options = fmt.Appendf(nil, `{"kit_big": %q}`, bytes.Repeat([]byte("x"), 10<<20))
	_, err := b.Start(b.ctx, r)
	if err != nil {
		b.is("Start", err, sdk.ErrBadOption)
	} else {
		b.no("Stop", b.Stop(b.ctx, "w"))
	}
	b.no("afterwards, health", b.Ping(b.ctx))
}

func checkHostileID(b *bed) {
	before := b.outside()
	for _, id := range []string{"../../kit-outside", "/kit-outside", "a\nb", "a\x1b[2Jb", "..", "-rf", "a b;c", strings.Repeat("x", 5000)} {
		r := b.request("w", 1, sleeper)
		r.ID = id
		_, err := b.Start(b.ctx, r)
		if err == nil {
			err = b.Stop(b.ctx, id)
		}
		if err != nil && !errors.Is(err, sdk.ErrBadOption) {
			b.errorf("id %.20q: %v", id, err)
		}
	}
	if after := b.outside(); after != before {
		b.errorf("outside of the log's folder appeared %s", strings.TrimPrefix(after, before))
	}
	b.noneAlive("afterwards")
	b.no("afterwards, health", b.Ping(b.ctx))
}

// outside lists what an id that leaves its folder would make.
func (b *bed) outside() string {
	var found []string
	for _, dir := range []string{b.dir, filepath.Dir(b.dir), "/"} {
		files, err := filepath.Glob(filepath.Join(dir, "*kit-outside*"))
		if err != nil {
			b.fatalf("%v", err)
		}
		found = append(found, files...)
	}
	return strings.Join(found, " ")
}

func checkHostileEnvironment(b *bed) {
	for name, value := range map[string]string{"A=B": "x", "": "x", "KIT_NUL": "a\x00b"} {
		b.refuse(fmt.Sprintf("the variable %q of value %q", name, value), func(r *sdk.StartRequest) { r.Env[name] = value })
	}
}

func checkUnknownID(b *bed) {
	_, err := b.ToDict(b.ctx, "nobody")
	b.is("ToDict", err, sdk.ErrNotRunning)
	b.is("Stop", b.Stop(b.ctx, "nobody"), sdk.ErrNotRunning)
	b.is("Events", b.Events(b.ctx, "nobody", 0, func(sdk.Event) error { return nil }), sdk.ErrNotRunning)
	b.no("Detach", b.Detach(b.ctx, "nobody"))
}

func (b *bed) mkdir(dir string) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.fatalf("make a folder: %v", err)
	}
}

func sameFile(a, b string) bool {
	i, err := os.Stat(a)
	j, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(i, j)
}

// splitRecords splits at the separators that end each word.
func splitRecords(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\x1e"), "\x1e")
}

// variables answers the names in the output of env.
func variables(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, "="); ok {
			names = append(names, name)
		}
	}
	return names
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
