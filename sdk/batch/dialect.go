package batch

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ipcore/ipcore/sdk"
)

// Dialect describes how a script states the requirements of a job in directives.
type Dialect struct {
	Shebang string   // first line of the script; "" for none
	Prefix  string   // of each directive: "#SBATCH "
	Always  []string // directives that every default script has, without the prefix

	// Directives maps an option, common or of the system, to the directive that states
	// it. A request with an option that has no directive is refused.
	Directives map[string]Directive

	// Combine returns directives that each state several options, without the prefix.
	// It sets the fields of n that these directives state to their zero values, so that
	// no other directive states them. nil means that no options are combined.
	Combine func(n *Needs) ([]string, error)

	// Index is the shell expression for the index of an array element: "$TASK_ID".
	Index string

	// FirstIndex is the index of the first array element; nil means 1.
	FirstIndex *int

	// OutputIndex stands for the index of an array element in the name of the output
	// file: "%a".
	OutputIndex string

	// SpoolsOutput says that the system delivers output only after the end of the job.
	// The script then writes its output to the output file itself, and the directive
	// names the file for what the script does not catch.
	SpoolsOutput bool

	// EscapeOutput converts a path for use in the output directive; nil means that
	// paths are used unchanged.
	EscapeOutput func(path string) string

	// TaskRunner is the command that starts all engines of a set within one job:
	// "srun". The directive "tasks" states how many. nil means that there is no such
	// command.
	TaskRunner []string

	// NameLength is the maximum length of a job's name, in bytes; 0 means 200.
	NameLength int

	// Time and Memory format a time limit and an amount of memory. nil means "1:30:00"
	// and whole MiB with the suffix "M".
	Time   func(time.Duration) string
	Memory func(bytes int64) string

	// Compose returns the text to submit, for a system that does not take shell scripts.
	// nil means the default shell script.
	Compose func(j *Job) (string, error)

	// RunsShellScript says that the text of Compose runs the file Job.ShellPath, to
	// which the default shell script, without directives, is written.
	RunsShellScript bool

	// InheritedEnv names variables of this process that a job gets too, for a system
	// that does not set them itself.
	InheritedEnv []string

	// Body returns the lines of the default script that run the command; nil means the
	// default ones.
	Body func(j *Job) ([]string, error)
}

// The names of directives that do not belong to an option.
const (
	DirectiveArray = "array"
	DirectiveTasks = "tasks"
	DirectiveTag   = "tag" // a comment of the job
)

// Directive is one directive, without the prefix. Form may contain the fields
// {value}, {n} and {name}.
type Directive struct {
	Form  string
	Match *regexp.Regexp // matches the directive in a user's template; nil: a template can't contain it
	Lines []string       // further directives, written before Form: "-j oe"
}

// Needs are the requirements of a job, as the directives state them.
type Needs struct {
	N      int    // number of engines
	Layout string // LayoutArray when the N engines are elements of an array, LayoutTasks when one job runs them, "" for one process

	Nodes, Processes, Cores, GPUs int    // 0: not required
	Memory                        string // as Dialect.Memory formats it; "": not required
	Time                          string // as Dialect.Time formats it; "": not required
	Exclusive                     bool

	Name, Queue, Account, Reservation, Output string
	Tag                                       string // of the cluster, for a comment of the job

	// SystemOptions are the values of the system's own options that have a directive.
	SystemOptions map[string]string
}

// directiveOrder is the order of the directives in a script.
var directiveOrder = []string{"account", "time_limit", "nodes", "processes", "cores", "gpus", "memory", "exclusive", "reservation", "queue", "output_file"}

// value returns the value of a directive, or "" when the job does not need it.
func (n *Needs) value(name string) string {
	count := func(i int) string {
		if i == 0 {
			return ""
		}
		return strconv.Itoa(i)
	}
	switch name {
	case "account":
		return n.Account
	case "time_limit":
		return n.Time
	case "nodes":
		return count(n.Nodes)
	case "processes":
		return count(n.Processes)
	case "cores":
		return count(n.Cores)
	case "gpus":
		return count(n.GPUs)
	case "memory":
		return n.Memory
	case "reservation":
		return n.Reservation
	case "queue":
		return n.Queue
	case "output_file":
		return n.Output
	case "name":
		return n.Name
	case DirectiveTag:
		return n.Tag
	case "exclusive":
		if n.Exclusive {
			return "true"
		}
		return ""
	}
	return n.SystemOptions[name]
}

// directiveLine is one directive of a script, with the option that it states.
type directiveLine struct{ option, text string }

// lines returns the directives that state the needs, without the prefix. The error
// wraps sdk.ErrBadOption when the dialect has no directive for one of them.
func (s *System) lines(n Needs) ([]directiveLine, error) {
	d := &s.Dialect
	var all []directiveLine
	add := func(option string, value string) error {
		directive, ok := d.Directives[option]
		if !ok || directive.Form == "" && len(directive.Lines) == 0 {
			return fmt.Errorf("%w: %s has no directive for %s; leave %s out, or write the directive yourself with directives=[...]",
				sdk.ErrBadOption, s.Title, option, option)
		}
		for _, l := range directive.Lines {
			all = append(all, directiveLine{option, l})
		}
		if directive.Form != "" {
			all = append(all, directiveLine{option, fill(directive.Form, quoteValue(value), n)})
		}
		return nil
	}
	switch n.Layout {
	case LayoutArray:
		if err := add(DirectiveArray, ""); err != nil {
			return nil, err
		}
	case LayoutTasks:
		if err := add(DirectiveTasks, ""); err != nil {
			return nil, err
		}
	}
	for _, o := range s.Options {
		if _, ok := d.Directives[o.Name]; ok && n.SystemOptions[o.Name] != "" {
			if err := add(o.Name, n.SystemOptions[o.Name]); err != nil {
				return nil, err
			}
		}
	}
	if d.Combine != nil {
		combined, err := d.Combine(&n)
		if err != nil {
			return nil, err
		}
		for _, text := range combined {
			all = append(all, directiveLine{"resources", text})
		}
	}
	for _, option := range directiveOrder {
		if _, has := d.Directives[option]; option == "output_file" && !has && d.SpoolsOutput {
			continue // the script redirects its output itself
		}
		if v := n.value(option); v != "" {
			if err := add(option, v); err != nil {
				return nil, err
			}
		}
	}
	for _, text := range d.Always {
		all = append(all, directiveLine{"", text})
	}
	for _, option := range []string{"name", DirectiveTag} {
		if _, ok := d.Directives[option]; ok && n.value(option) != "" {
			if err := add(option, n.value(option)); err != nil {
				return nil, err
			}
		}
	}
	for _, l := range all {
		if err := checkOneLine(l.option, l.text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// fill replaces the fields of a directive's form.
func fill(form, value string, n Needs) string {
	return strings.NewReplacer("{value}", value, "{n}", strconv.Itoa(n.N), "{name}", n.Name).Replace(form)
}

// checkOneLine returns an error if a text would be more than one directive.
func checkOneLine(option, text string) error {
	if i := strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }); i >= 0 {
		return fmt.Errorf("%w: %s contains a line end or another control character: %q; a directive is one line", sdk.ErrBadOption, option, text)
	}
	return nil
}

var plainValue = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./^$\[\]{}~*#!-]*$`)

// quoteValue quotes a directive's value if it contains blanks or special characters.
func quoteValue(s string) string {
	if plainValue.MatchString(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// arguments returns the directives that a user's template, rendered as script, does
// not contain, as arguments of the submit command. It leaves arrays to the template.
func (s *System) arguments(n Needs, script string) ([]string, error) {
	n.Layout = ""
	var words []string
	names := append([]string{"name", DirectiveTag}, directiveOrder...)
	for _, o := range s.Options {
		names = append(names, o.Name)
	}
	for _, option := range names {
		directive, ok := s.Dialect.Directives[option]
		value := n.value(option)
		if !ok || value == "" || directive.Form == "" || directive.Match != nil && directive.Match.MatchString(script) {
			continue
		}
		if err := checkOneLine(option, value); err != nil {
			return nil, err
		}
		for _, l := range directive.Lines {
			words = append(words, strings.Fields(l)...)
		}
		flag, operand, two := strings.Cut(directive.Form, " ")
		words = append(words, fill(flag, value, n))
		if two {
			words = append(words, fill(operand, value, n))
		}
	}
	return words, nil
}

func (d *Dialect) time(t time.Duration) string {
	switch {
	case t == 0:
		return ""
	case d.Time != nil:
		return d.Time(t)
	}
	t = (t + time.Second - 1).Truncate(time.Second)
	return fmt.Sprintf("%d:%02d:%02d", int(t.Hours()), int(t.Minutes())%60, int(t.Seconds())%60)
}

func (d *Dialect) memory(bytes int64) string {
	switch {
	case bytes == 0:
		return ""
	case d.Memory != nil:
		return d.Memory(bytes)
	}
	return strconv.FormatInt((bytes+1<<20-1)>>20, 10) + "M"
}
