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

// Dialect is how a system is told in a script what a job needs.
type Dialect struct {
	Shebang string   // first line; "" for none
	Prefix  string   // of each directive: "#SBATCH "
	Always  []string // directives of every default script

	// Directives are the directives by the option that asks for them; a system's own
	// options too. An option that has none is refused.
	Directives map[string]Directive

	// Combine makes directives of several options at once. It answers them, and takes
	// the options out of the Needs that it has seen to. nil: nothing is combined.
	Combine func(n *Needs) ([]string, error)

	// Index is the shell's expression for an element's index, which counts from 1.
	Index string

	// FirstIndex is the index of the first element; nil: 1.
	FirstIndex *int

	// OutputIndex stands for an element's index in the name of the output file: "%a".
	OutputIndex string

	// Spools tells that output arrives only after the end: the script then sends it
	// to the output file by itself, and the directive is about the rest.
	SpoolsOutput bool

	// EscapeOutput makes a path fit for the output directive. nil: it is as it is.
	EscapeOutput func(path string) string

	// TaskRunner starts the engines of a set that is one job: "srun". nil: there is
	// none. The directive "tasks" says how many.
	TaskRunner []string

	// NameLength is how long a job's name may be; 0: 200.
	NameLength int

	// Time and Memory write amounts. nil: "1:30:00", and whole MiB with "M".
	Time   func(time.Duration) string
	Memory func(bytes int64) string

	// Compose makes the default script, for a system whose scripts are no shell
	// scripts. nil: the usual one.
	Compose func(j *Job) (string, error)

	// Runs tells that what Compose makes runs a shell script, the usual one without
	// directives: Job.ShellPath.
	RunsShellScript bool

	// Inherits are variables of this process that a job gets as well, where the
	// system gives it none.
	InheritedEnv []string

	// Body makes the lines of the default script that run the command. nil: the
	// usual ones.
	Body func(j *Job) ([]string, error)
}

// The names of directives that are no options.
const (
	DirectiveArray = "array"
	DirectiveTasks = "tasks"
	DirectiveTag   = "tag" // a comment of the job
)

// Directive is one directive. Fields are {value}, {n} and {name}.
type Directive struct {
	Form  string
	Match *regexp.Regexp // finds it in a user's template; nil: it can't be there
	Lines []string       // written in front, such as "-j oe"
}

// Needs are what a job needs, as text where the system takes text.
type Needs struct {
	N      int    // engines
	Layout string // LayoutArray when N are elements of an array, LayoutTasks, or "" for one process

	Nodes, Processes, Cores, GPUs int
	Memory                        string // as Dialect.Memory writes it
	Time                          string
	Exclusive                     bool

	Name, Queue, Account, Reservation, Output string
	Tag                                       string // of the cluster, for a comment

	// Own are the system's own options that have a directive.
	SystemOptions map[string]string
}

// order is the order of the directives in a script.
var directiveOrder = []string{"account", "time_limit", "nodes", "processes", "cores", "gpus", "memory", "exclusive", "reservation", "queue", "output_file"}

// value answers what a directive says, "" when it is not needed.
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

// line is one directive of a script, with the option that it is for.
type directiveLine struct{ option, text string }

// lines answers the directives for what is needed, without the prefix.
// sdk.ErrBadOption: the dialect has no directive for something.
func (s *System) lines(n Needs) ([]directiveLine, error) {
	d := &s.Dialect
	var all []directiveLine
	add := func(option string, value string) error {
		directive, ok := d.Directives[option]
		if !ok || directive.Form == "" && len(directive.Lines) == 0 {
			return fmt.Errorf("%w: %s has no directive for %s; leave %s out, or say it with directives=[...] in the system's own words",
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
			continue // the script does it alone
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

// fill puts values into a directive's form.
func fill(form, value string, n Needs) string {
	return strings.NewReplacer("{value}", value, "{n}", strconv.Itoa(n.N), "{name}", n.Name).Replace(form)
}

// oneLine refuses what would be more than one directive.
func checkOneLine(option, text string) error {
	if i := strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }); i >= 0 {
		return fmt.Errorf("%w: %s has a line end or another control character in %q; a directive is one line", sdk.ErrBadOption, option, text)
	}
	return nil
}

var plainValue = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./^$\[\]{}~*#!-]*$`)

// quoteValue quotes a directive's value that has blanks or the like.
func quoteValue(s string) string {
	if plainValue.MatchString(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// arguments answers the same directives as words for the submit command, less
// what a user's template says itself. Arrays are the template's own business.
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
