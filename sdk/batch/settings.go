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

// Settings are the options that every batch launcher has, with the names that
// upstream's have where there are such. The zero value of each is its default.
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

	// Own are the system's own options as they were given.
	Own map[string]json.RawMessage `json:"-"`

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

// Words is a command: a list of words, or one text that is split at blanks.
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
		return errors.New("want a list of words")
	}
	*w = list
	return nil
}

// Lines are lines of a script: a list, or one text.
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
		return errors.New("want a list of lines, or a text")
	}
	*l = list
	return nil
}

// commonOptions describes Settings. Defaults that depend on the system are added
// by System.Info.
var commonOptions = []sdk.Option{
	{Name: "queue", Type: "string", Help: "queue or partition"},
	{Name: "account", Type: "string", Help: "account or project that is charged"},
	{Name: "reservation", Type: "string", Help: "advance reservation to run in"},
	{Name: "time_limit", Type: "string", Help: "longest run time: 90m, 1h30m, 2d, 1:30:00 or 1-12:00:00"},
	{Name: "nodes", Type: "int", Help: "nodes of each job or array element"},
	{Name: "processes", Type: "int", Help: "processes of each job or array element that the system makes room for"},
	{Name: "cores", Type: "int", Help: "cores of each process"},
	{Name: "gpus", Type: "int", Help: "GPUs of each process"},
	{Name: "memory", Type: "string", Help: "memory of each job or array element, with a unit: 512M, 4G"},
	{Name: "exclusive", Type: "bool", Default: json.RawMessage("false"), Help: "whether the nodes are shared with nobody"},
	{Name: "name", Type: "string", Help: "name of the job; it names the cluster when it is not given"},
	{Name: "directives", Type: "list", Help: "further directives, without the prefix"},
	{Name: "drop_directives", Type: "list", Help: "directives of the default script to leave out: an option's name, or how the directive begins"},
	{Name: "prologue", Type: "list", Help: "lines of the script that run before the engine or controller, such as \"module load python\""},
	{Name: "environment", Type: "map", Help: "environment variables to set in the job"},
	{Name: "batch_template", Type: "string", Help: "template of the whole script, used byte for byte; fields such as {n}, {queue}, {program_and_args}, {n//4}"},
	{Name: "batch_template_file", Type: "string", Help: "file that holds the template"},
	{Name: "batch_file_name", Type: "string", Help: "name of the script that is written"},
	{Name: "namespace", Type: "map", Help: "further variables of the template"},
	{Name: "work_dir", Type: "string", Help: "folder in which the job is submitted and runs; the current one when it is not given"},
	{Name: "output_file", Type: "string", Help: "file of the job's output; the index of an array's element is put before its extension"},
	{Name: "submit_command", Type: "list", Help: "command that submits the script"},
	{Name: "delete_command", Type: "list", Help: "command that ends a job"},
	{Name: "signal_command", Type: "list", Help: "command that signals a job"},
	{Name: "status_command", Type: "list", Help: "command that answers the status of all jobs at once, in the form of the default one"},
	{Name: "job_id_regexp", Type: "string", Help: "finds the job's id in what submit_command printed"},
	{Name: "job_id_regexp_group", Type: "int", Default: json.RawMessage("0"), Help: "group of job_id_regexp that is the id"},
	{Name: "poll_interval", Type: "float", Default: json.RawMessage("3"), Help: "seconds between two status commands, which ask about all jobs at once"},
	{Name: "command_timeout", Type: "float", Default: json.RawMessage("30"), Help: "seconds that a command of the system may take"},
}

// Info describes the plugin of the system. version is the plugin's, "" means the
// executable's.
func (s System) Info(version string) sdk.Info {
	info := sdk.Info{Name: s.Name, Version: version, Kinds: s.kinds(), Remote: true, Classes: map[sdk.Kind][]string{}}
	for _, k := range info.Kinds {
		classes := []string{s.Class + "EngineSetLauncher", s.Class + "Launcher", "BatchEngineSetLauncher", "BatchSystemLauncher", "EngineLauncher", "BaseLauncher"}
		if k == sdk.Controller {
			classes = []string{s.Class + "ControllerLauncher", s.Class + "Launcher", "BatchControllerLauncher", "BatchSystemLauncher", "ControllerLauncher", "BaseLauncher"}
		}
		for _, class := range classes { // the generic launcher's own class is one of the last
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
			o.Default, _ = json.Marshal(words) // strings: it can't fail
		}
		if o.Name == "job_id_regexp" && s.JobID != nil {
			o.Default, _ = json.Marshal(s.JobID.String())
		}
		info.Options = append(info.Options, o)
	}
	if len(s.Dialect.TaskRunner) > 0 {
		info.Options = append(info.Options, sdk.Option{
			Name: "layout", Type: "string", Default: json.RawMessage(`"` + LayoutArray + `"`),
			Help: fmt.Sprintf("how engines become jobs: %q, each an element of one array, or %q, all in one job with %s",
				LayoutArray, LayoutTasks, s.Dialect.TaskRunner[0]),
		})
	}
	info.Options = append(info.Options, s.Options...)
	return info
}

// readSettings reads and checks the options of a request.
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
		if err := json.Unmarshal(options, &o.Own); err != nil {
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
			return bad(c.name, "%d, want 1 or more", c.value)
		}
	}
	if o.time, err = parseTime(o.TimeLimit); err != nil {
		return bad("time_limit", "%q, %v", o.TimeLimit, err)
	}
	if o.memory, err = parseMemory(o.Memory); err != nil {
		return bad("memory", "%q, %v", o.Memory, err)
	}
	if o.PollInterval != 0 && (o.PollInterval < 1 || o.PollInterval > 3600) {
		return bad("poll_interval", "%v, want 1 to 3600 seconds", o.PollInterval)
	}
	if o.CommandTimeout != 0 && (o.CommandTimeout < 1 || o.CommandTimeout > 3600) {
		return bad("command_timeout", "%v, want 1 to 3600 seconds", o.CommandTimeout)
	}
	if o.Layout != "" && o.Layout != LayoutArray && o.Layout != LayoutTasks {
		return bad("layout", "%q, want %q or %q", o.Layout, LayoutArray, LayoutTasks)
	}
	if o.JobIDRegexp != "" {
		if o.jobID, err = regexp.Compile(o.JobIDRegexp); err != nil {
			return bad("job_id_regexp", "%q: %v", o.JobIDRegexp, err)
		}
		if g := o.JobIDRegexpGroup; g < 0 || g > o.jobID.NumSubexp() {
			return bad("job_id_regexp_group", "%d, the expression has %d groups", g, o.jobID.NumSubexp())
		}
	}
	for name, value := range o.Environment {
		if !variableName.MatchString(name) || strings.Contains(value, "\x00") {
			return bad("environment", "not good: variable %q", name)
		}
		if secret(name) {
			return fmt.Errorf("%w: environment holds %s, a key that the batch system would show to everybody; engines read it from the connection file", sdk.ErrBadOption, name)
		}
	}
	for name := range o.Namespace {
		if !variableName.MatchString(name) {
			return bad("namespace", "not good: variable %q", name)
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

// Decode puts the options as they were given into v, a pointer to a struct with
// JSON tags.
func (o *Settings) Decode(v any) error {
	all, err := json.Marshal(o.Own)
	if err == nil {
		err = json.Unmarshal(all, v)
	}
	if err != nil {
		return fmt.Errorf("%w: options: %w", sdk.ErrBadOption, err)
	}
	return nil
}

// Text answers one of the system's own options that is a string, "" if it was
// not given.
func (o *Settings) Text(name string) string {
	var text string
	if raw, ok := o.Own[name]; ok {
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

// parseTime reads a time limit: "90m", "2d12h", "1:30:00", "1-12:00:00".
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
		return 0, errors.New("which says no unit; say 90m, 1h30m, 2d, 1:30:00 or 1-12:00:00")
	}
	var total time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.Atoi(m[i+1])
		if err != nil || n > 1_000_000 {
			return 0, errors.New("which is too long")
		}
		total += time.Duration(n) * unit
	}
	if total <= 0 || total > 10*365*24*time.Hour {
		return 0, errors.New("want more than nothing and less than ten years")
	}
	return total, nil
}

// parseMemory reads an amount of memory, in bytes.
func parseMemory(s string) (int64, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	m := memoryForm.FindStringSubmatch(s)
	if m == nil {
		return 0, errors.New("want a number with a unit: 512M, 4G")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	shift := map[string]uint{"K": 10, "M": 20, "G": 30, "T": 40}[strings.ToUpper(m[2])]
	if err != nil || n <= 0 || n > 1<<(62-shift) {
		return 0, errors.New("want more than nothing and less than all there is")
	}
	return n << shift, nil
}
