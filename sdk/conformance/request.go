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
	refusedRequest("kind-unknown", "a kind that it does not describe", func(r *sdk.StartRequest) { r.Kind = "teapot" }),
	refusedRequest("command-empty", "an empty command", func(r *sdk.StartRequest) { r.Command = nil }),
	refusedRequest("program-empty", "a program without a name", func(r *sdk.StartRequest) { r.Command = []string{""} }),
	refusedRequest("id-empty", "an empty id", func(r *sdk.StartRequest) { r.ID = "" }),
	refusedRequest("n-zero", "n of 0", func(r *sdk.StartRequest) { r.N = new(0) }),
	refusedRequest("n-negative", "n of -1", func(r *sdk.StartRequest) { r.N = new(-1) }),
	// The program does not exist, so that a launcher without a limit starts nothing.
	refusedRequest("n-huge", "n of 2147483647", func(r *sdk.StartRequest) {
		r.N, r.Command = new(math.MaxInt32), []string{"/nonexistent/program"}
	}),
	{
		Name: "n-single", run: checkSingle,
		Want: "Start of a controller with n, or of a single engine with n of 2, is INVALID_ARGUMENT and starts nothing",
	},
	refusedRequest("option-unknown", "an option that it does not describe", func(r *sdk.StartRequest) { r.Options = []byte(`{"check_unknown": 1}`) }),
	refusedRequest("options-not-json", "options that are not JSON", func(r *sdk.StartRequest) { r.Options = []byte(`{`) }),
	refusedRequest("options-not-object", "options that are a list", func(r *sdk.StartRequest) { r.Options = []byte(`[1]`) }),
	{
		Name: "option-type", run: checkOptionType,
		Want: "an option with a value of the wrong type is INVALID_ARGUMENT",
	}, {
		Name: "options-large", run: checkLargeOptions,
		Want: "options of 10 MiB are INVALID_ARGUMENT or accepted, and the plugin continues to serve",
	}, {
		Name: "id-unsafe", run: checkUnsafeID,
		Want: "an id with control characters, slashes or dots is INVALID_ARGUMENT or works; no file appears outside of the log folder",
	}, {
		Name: "environment-invalid", run: checkInvalidEnvironment,
		Want: "variables that no environment can contain are INVALID_ARGUMENT and start nothing",
	}, {
		Name: "unknown-id", run: checkUnknownID,
		Want: "ToDict, Stop and Events of an unknown id are NOT_FOUND; Detach of one succeeds",
	},
}

// refusedRequest returns the check that Start refuses a request with one change.
func refusedRequest(name, what string, change func(*sdk.StartRequest)) Check {
	return Check{
		Name: name, Want: "Start with " + what + " is INVALID_ARGUMENT and starts nothing",
		run: func(b *fixture) { b.wantRefused(what, change) },
	}
}

func (b *fixture) wantRefused(what string, change func(*sdk.StartRequest)) {
	r := b.request("w", 1, sleeper)
	change(&r)
	_, err := b.Start(b.ctx, r)
	b.wantError("Start with "+what, err, sdk.ErrBadOption)
	if err == nil {
		b.noError("Stop", b.Stop(b.ctx, r.ID))
	}
	if all, _ := b.pids(); len(all) > 0 {
		b.errorf("it started processes %v", all)
	}
}

func checkSingle(b *fixture) {
	switch b.kind {
	case sdk.Controller:
		b.wantRefused("n of 1", func(r *sdk.StartRequest) { r.N = new(1) })
	case sdk.SingleEngine:
		b.wantRefused("n of 2", func(r *sdk.StartRequest) { r.N = new(2) })
	case sdk.Engine:
		b.skip("the check does not apply to sets of engines")
	}
}

func checkOptionType(b *fixture) {
	if len(b.Info.Options) == 0 {
		b.skip("the launcher has no options")
	}
	checked := 0
	for _, o := range b.Info.Options {
		bad, known := otherTypes[o.Type]
		if !known || !o.For(b.kind) {
			continue
		}
		checked++
		b.wantRefused(fmt.Sprintf("%s: %s, which is not of type %s", o.Name, bad, o.Type), func(r *sdk.StartRequest) {
			r.Options = withOption(r.Options, o.Name, bad)
		})
	}
	if checked == 0 {
		b.skip("the launcher has no option of a known type")
	}
}

// withOption adds an option to a JSON object.
func withOption(options []byte, name, value string) []byte {
	object := bytes.TrimSpace(options)
	if len(object) < 2 || string(object) == "{}" {
		return fmt.Appendf(nil, "{%q: %s}", name, value)
	}
	// When a key occurs twice, the last one counts.
	return fmt.Appendf(nil, "%s, %q: %s}", object[:len(object)-1], name, value)
}

func checkLargeOptions(b *fixture) {
	r := b.request("w", 1, sleeper)
	r.Options = fmt.Appendf(nil, `{"check_big": %q}`, bytes.Repeat([]byte("x"), 10<<20))
	_, err := b.Start(b.ctx, r)
	if err != nil {
		b.wantError("Start", err, sdk.ErrBadOption)
	} else {
		b.noError("Stop", b.Stop(b.ctx, "w"))
	}
	b.noError("afterwards, health", b.Ping(b.ctx))
}

func checkUnsafeID(b *fixture) {
	before := b.escapedFiles()
	for _, id := range []string{"../../check-outside", "/check-outside", "a\nb", "a\x1b[2Jb", "..", "-rf", "a b;c", strings.Repeat("x", 5000)} {
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
	if after := b.escapedFiles(); after != before {
		b.errorf("these files appeared outside of the log folder: %s", strings.TrimPrefix(after, before))
	}
	b.noneAlive("afterwards")
	b.noError("afterwards, health", b.Ping(b.ctx))
}

// escapedFiles returns the files that a workload creates if its id leads out of the log
// folder.
func (b *fixture) escapedFiles() string {
	var found []string
	for _, dir := range []string{b.dir, filepath.Dir(b.dir), "/"} {
		files, err := filepath.Glob(filepath.Join(dir, "*check-outside*"))
		if err != nil {
			b.fatalf("%v", err)
		}
		found = append(found, files...)
	}
	return strings.Join(found, " ")
}

func checkInvalidEnvironment(b *fixture) {
	for name, value := range map[string]string{"A=B": "x", "": "x", "CHECK_NUL": "a\x00b"} {
		b.wantRefused(fmt.Sprintf("the variable %q with the value %q", name, value), func(r *sdk.StartRequest) { r.Env[name] = value })
	}
}

func checkUnknownID(b *fixture) {
	_, err := b.ToDict(b.ctx, "nobody")
	b.wantError("ToDict", err, sdk.ErrNotRunning)
	b.wantError("Stop", b.Stop(b.ctx, "nobody"), sdk.ErrNotRunning)
	b.wantError("Events", b.Events(b.ctx, "nobody", 0, func(sdk.Event) error { return nil }), sdk.ErrNotRunning)
	b.noError("Detach", b.Detach(b.ctx, "nobody"))
}

func (b *fixture) mkdir(dir string) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.fatalf("create a folder: %v", err)
	}
}

func sameFile(a, b string) bool {
	i, err := os.Stat(a)
	j, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(i, j)
}

// splitRecords splits at the separator that follows each word.
func splitRecords(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\x1e"), "\x1e")
}

// variables returns the names in the output of env.
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
