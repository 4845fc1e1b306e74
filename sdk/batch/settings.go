package batch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// Settings are the options that every batch launcher has. Options that IPython
// Parallel has too have its names. The zero value of each means its default.
type Settings struct {
	SubmitCommand    Words  `json:"submit_command"`
	DeleteCommand    Words  `json:"delete_command"`
	SignalCommand    Words  `json:"signal_command"`
	StatusCommand    Words  `json:"status_command"`
	JobIDRegexp      string `json:"job_id_regexp"`
	JobIDRegexpGroup int    `json:"job_id_regexp_group"`

	BatchTemplate     string         `json:"batch_template"`
	BatchTemplateFile string         `json:"batch_template_file"`
	BatchFileName     string         `json:"batch_file_name"`
	WorkDir           string         `json:"work_dir"`
	OutputFile        string         `json:"output_file"`
	Namespace         map[string]any `json:"namespace"`

	Queue       string `json:"queue"`
	Account     string `json:"account"`
	Reservation string `json:"reservation"`
	Name        string `json:"name"`
	TimeLimit   string `json:"time_limit"`
	Memory      string `json:"memory"`
	Nodes       int    `json:"nodes"`
	Processes   int    `json:"processes"`
	Cores       int    `json:"cores"`
	GPUs        int    `json:"gpus"`
	Exclusive   bool   `json:"exclusive"`

	Directives     []string          `json:"directives"`
	DropDirectives []string          `json:"drop_directives"`
	Prologue       Lines             `json:"prologue"`
	Environment    map[string]string `json:"environment"`
	Layout         string            `json:"layout"`

	PollInterval   float64 `json:"poll_interval"`
	CommandTimeout float64 `json:"command_timeout"`

	// SystemOptions are all options as they were given, the system's own included.
	SystemOptions map[string]json.RawMessage `json:"-"`

	time   time.Duration
	memory int64
	jobID  *regexp.Regexp
}

// The layouts of an engine set.
const (
	LayoutArray = "array" // one element of an array for each engine
	LayoutTasks = "tasks" // one job that runs all engines
)

const (
	defaultInterval = 3 * time.Second
	defaultCommand  = 30 * time.Second
)

// Words is a command. In JSON it is a list of words, or a string that is split at
// blanks.
type Words []string

// UnmarshalJSON reads either form.
func (w *Words) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*w = strings.Fields(text)
		return nil
	}
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return errors.New("must be a list of words")
	}
	*w = list
	return nil
}

// Lines are lines of a script. In JSON they are a list, or one string.
type Lines []string

// UnmarshalJSON reads either form.
func (l *Lines) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		if text = strings.TrimRight(text, "\n"); text != "" {
			*l = strings.Split(text, "\n")
		}
		return nil
	}
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return errors.New("must be a list of lines, or a string")
	}
	*l = list
	return nil
}

// commonOptions describes the options in Settings. System.Info adds the defaults that
// depend on the system.
var commonOptions = []sdk.Option{
	{Name: "queue", Type: "string", Help: "queue or partition"},
	{Name: "account", Type: "string", Help: "account or project that is charged"},
	{Name: "reservation", Type: "string", Help: "advance reservation to run in"},
	{Name: "time_limit", Type: "string", Help: "longest run time: 90m, 1h30m, 2d, 1:30:00 or 1-12:00:00"},
	{Name: "nodes", Type: "int", Help: "nodes of each job or array element"},
	{Name: "processes", Type: "int", Help: "processes of each job or array element for which the system reserves resources"},
	{Name: "cores", Type: "int", Help: "cores of each process"},
	{Name: "gpus", Type: "int", Help: "GPUs of each process"},
	{Name: "memory", Type: "string", Help: "memory of each job or array element, with a unit: 512M, 4G"},
	{Name: "exclusive", Type: "bool", Default: json.RawMessage("false"), Help: "whether the job has its nodes for itself"},
	{Name: "name", Type: "string", Help: "name of the job (default: the cluster's tag and the id)"},
	{Name: "directives", Type: "list", Help: "further directives, without the prefix"},
	{Name: "drop_directives", Type: "list", Help: "directives of the default script to leave out: an option's name, or the beginning of the directive"},
	{Name: "prologue", Type: "list", Help: "lines of the script that run before the engine or controller, such as \"module load python\""},
	{Name: "environment", Type: "map", Help: "environment variables to set in the job"},
	{Name: "batch_template", Type: "string", Help: "template of the whole script, used byte for byte except for fields such as {n}, {queue}, {program_and_args}, {n//4}"},
	{Name: "batch_template_file", Type: "string", Help: "file that contains the template"},
	{Name: "batch_file_name", Type: "string", Help: "name of the script that is written"},
	{Name: "namespace", Type: "map", Help: "further variables of the template"},
	{Name: "work_dir", Type: "string", Help: "folder in which the job is submitted and runs (default: the current one)"},
	{Name: "output_file", Type: "string", Help: "file for the job's output; for an array, the element's index is inserted before the extension"},
	{Name: "submit_command", Type: "list", Help: "command that submits the script"},
	{Name: "delete_command", Type: "list", Help: "command that ends a job"},
	{Name: "signal_command", Type: "list", Help: "command that signals a job"},
	{Name: "status_command", Type: "list", Help: "command that prints the status of all jobs at once, in the format of the default command"},
	{Name: "job_id_regexp", Type: "string", Help: "matches the job's id in the output of submit_command"},
	{Name: "job_id_regexp_group", Type: "int", Default: json.RawMessage("0"), Help: "number of the group of job_id_regexp that is the id"},
	{Name: "poll_interval", Type: "float", Default: json.RawMessage("3"), Help: "seconds between two runs of the status command"},
	{Name: "command_timeout", Type: "float", Default: json.RawMessage("30"), Help: "seconds that a command of the system may take"},
}

// Info describes the launcher of the system. version is the launcher's; "" means that of
// its executable.
func (s System) Info(version string) sdk.Info {
	info := sdk.Info{Name: s.Name, Version: version, Kinds: s.kinds(), Remote: true, Classes: map[sdk.Kind][]string{}}
	if len(s.ShowJobs) > 0 {
		info.Conformance = &sdk.ConformanceHints{ShowJobs: s.ShowJobs}
	}
	for _, k := range info.Kinds {
		classes := []string{s.Class + "EngineSetLauncher", s.Class + "Launcher", "BatchEngineSetLauncher", "BatchSystemLauncher", "EngineLauncher", "BaseLauncher"}
		if k == sdk.Controller {
			classes = []string{s.Class + "ControllerLauncher", s.Class + "Launcher", "BatchControllerLauncher", "BatchSystemLauncher", "ControllerLauncher", "BaseLauncher"}
		}
		for _, class := range classes { // the generic launcher's own classes are among the last
			if !slices.Contains(info.Classes[k], class) {
				info.Classes[k] = append(info.Classes[k], class)
			}
		}
	}
	defaults := map[string][]string{
		"submit_command": s.Submit, "delete_command": s.Delete, "signal_command": s.Signal, "status_command": s.Query,
	}
	for _, o := range commonOptions {
		if o.Name == "signal_command" && s.Signal == nil {
			continue
		}
		if words := defaults[o.Name]; len(words) > 0 {
			o.Default, _ = json.Marshal(words) // strings: Marshal can't fail
		}
		if o.Name == "job_id_regexp" && s.JobID != nil {
			o.Default, _ = json.Marshal(s.JobID.String()) // a string: Marshal can't fail
		}
		info.Options = append(info.Options, o)
	}
	if len(s.Dialect.TaskRunner) > 0 {
		info.Options = append(info.Options, sdk.Option{
			Name: "layout", Type: "string", Default: json.RawMessage(`"` + LayoutArray + `"`),
			Help: fmt.Sprintf("how engines become jobs: %q for one array element each, or %q for one job that starts all of them with %s",
				LayoutArray, LayoutTasks, s.Dialect.TaskRunner[0]),
		})
	}
	info.Options = append(info.Options, s.Options...)
	return info
}

// readSettings decodes and checks the options of a request.
func readSettings(options json.RawMessage) (*Settings, error) {
	o := &Settings{}
	if len(bytes.TrimSpace(options)) > 0 {
		d := json.NewDecoder(bytes.NewReader(options))
		if err := d.Decode(o); err != nil {
			return nil, fmt.Errorf("%w: options: %w", sdk.ErrBadOption, err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: options: more than one JSON object", sdk.ErrBadOption)
		}
		if err := json.Unmarshal(options, &o.SystemOptions); err != nil {
			return nil, fmt.Errorf("%w: options: %w", sdk.ErrBadOption, err)
		}
	}
	return o, o.check()
}

func (o *Settings) check() (err error) {
	bad := func(option, format string, args ...any) error {
		return fmt.Errorf("%w: %s is %s", sdk.ErrBadOption, option, fmt.Sprintf(format, args...))
	}
	for _, c := range []struct {
		name  string
		value int
	}{{"nodes", o.Nodes}, {"processes", o.Processes}, {"cores", o.Cores}, {"gpus", o.GPUs}} {
		if c.value < 0 {
			return bad(c.name, "%d, must be at least 1", c.value)
		}
	}
	if o.time, err = parseTime(o.TimeLimit); err != nil {
		return bad("time_limit", "%q, %v", o.TimeLimit, err)
	}
	if o.memory, err = parseMemory(o.Memory); err != nil {
		return bad("memory", "%q, %v", o.Memory, err)
	}
	if o.PollInterval != 0 && (o.PollInterval < 1 || o.PollInterval > 3600) {
		return bad("poll_interval", "%v, must be 1 to 3600 seconds", o.PollInterval)
	}
	if o.CommandTimeout != 0 && (o.CommandTimeout < 1 || o.CommandTimeout > 3600) {
		return bad("command_timeout", "%v, must be 1 to 3600 seconds", o.CommandTimeout)
	}
	if o.Layout != "" && o.Layout != LayoutArray && o.Layout != LayoutTasks {
		return bad("layout", "%q, must be %q or %q", o.Layout, LayoutArray, LayoutTasks)
	}
	if o.JobIDRegexp != "" {
		if o.jobID, err = regexp.Compile(o.JobIDRegexp); err != nil {
			return bad("job_id_regexp", "%q: %v", o.JobIDRegexp, err)
		}
		if g := o.JobIDRegexpGroup; g < 0 || g > o.jobID.NumSubexp() {
			return bad("job_id_regexp_group", "%d, and job_id_regexp has %d groups", g, o.jobID.NumSubexp())
		}
	}
	for name, value := range o.Environment {
		if !variableName.MatchString(name) || strings.Contains(value, "\x00") {
			return bad("environment", "not valid: variable %q", name)
		}
		if secret(name) {
			return fmt.Errorf("%w: environment contains %s, a key that the batch system would show to everybody; leave it out, engines read it from the connection file", sdk.ErrBadOption, name)
		}
	}
	for name := range o.Namespace {
		if !variableName.MatchString(name) {
			return bad("namespace", "not valid: variable %q", name)
		}
	}
	return nil
}

func (o *Settings) interval() time.Duration {
	if o.PollInterval == 0 {
		return defaultInterval
	}
	return time.Duration(o.PollInterval * float64(time.Second))
}

func (o *Settings) commandLimit() time.Duration {
	if o.CommandTimeout == 0 {
		return defaultCommand
	}
	return time.Duration(o.CommandTimeout * float64(time.Second))
}

// Decode stores the options as they were given in v, a pointer to a struct with JSON
// tags. It ignores options that v does not have. The error wraps sdk.ErrBadOption when
// a value does not fit.
func (o *Settings) Decode(v any) error {
	all, err := json.Marshal(o.SystemOptions)
	if err == nil {
		err = json.Unmarshal(all, v)
	}
	if err != nil {
		return fmt.Errorf("%w: options: %w", sdk.ErrBadOption, err)
	}
	return nil
}

// StringOption returns the value of an option of type string, or "" if it was not
// given.
func (o *Settings) StringOption(name string) string {
	var text string
	if raw, ok := o.SystemOptions[name]; ok {
		_ = json.Unmarshal(raw, &text) // the host has checked the type
	}
	return text
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	clockForm    = regexp.MustCompile(`^(?:(\d{1,5})-)?(\d{1,6}):(\d{1,2}):(\d{1,2})$`)
	unitsForm    = regexp.MustCompile(`^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$`)
	memoryForm   = regexp.MustCompile(`^(\d{1,12})\s*([KkMmGgTt])(?:i?[Bb])?$`)
)

// parseTime parses a time limit: "90m", "2d12h", "1:30:00", "1-12:00:00". "" is 0.
func parseTime(s string) (time.Duration, error) {
	s = strings.ReplaceAll(strings.TrimSpace(s), " ", "")
	if s == "" {
		return 0, nil
	}
	m := clockForm.FindStringSubmatch(s)
	if m == nil {
		m = unitsForm.FindStringSubmatch(s)
	}
	if m == nil {
		return 0, errors.New("not a time limit; write 90m, 1h30m, 2d, 1:30:00 or 1-12:00:00")
	}
	var total time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.Atoi(m[i+1])
		if err != nil || n > 1_000_000 {
			return 0, errors.New("too long")
		}
		total += time.Duration(n) * unit
	}
	if total <= 0 || total > 10*365*24*time.Hour {
		return 0, errors.New("must be more than 0 and at most ten years")
	}
	return total, nil
}

// parseMemory parses an amount of memory, and returns bytes. "" is 0.
func parseMemory(s string) (int64, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	m := memoryForm.FindStringSubmatch(s)
	if m == nil {
		return 0, errors.New("must be a number with a unit: 512M, 4G")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	shift := map[string]uint{"K": 10, "M": 20, "G": 30, "T": 40}[strings.ToUpper(m[2])]
	if err != nil || n <= 0 || n > 1<<(62-shift) {
		return 0, errors.New("must be more than 0 and less than 4 EiB")
	}
	return n << shift, nil
}
