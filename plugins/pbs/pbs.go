package pbs

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// Main is the program ipcore-launcher-pbs. It does not return.
func Main() { sdk.Serve(System.Info(""), System.New()) }

// The dialects. The wrappers that come with Slurm take Torque's options, but ignore the
// job name that a script gives.
const (
	openPBS = "openpbs"
	torque  = "torque"
	wrapper = "slurm"
)

// directive finds a directive in a script.
func directive(option string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^#PBS\s+(?:.*\s)?` + option)
}

// index is an array element's index in every dialect.
const index = "${PBS_ARRAY_INDEX:-${PBS_ARRAYID:-$SLURM_ARRAY_TASK_ID}}"

// list prints the user's jobs in full. It leaves out other users' jobs where qselect
// exists.
const list = `if command -v qselect >/dev/null; then jobs=$(qselect -u "$1") || exit; [ -z "$jobs" ] || exec qstat -f $jobs; else exec qstat -f; fi`

// System is OpenPBS; Adapt changes it for Torque and Slurm's wrappers.
var System = batch.System{
	Name: "pbs", Title: "PBS", Class: "PBS", Package: "the client package of PBS or Torque",

	ShowJobs: []string{"qstat", "-f"},

	Submit: []string{"qsub", "{script}"},
	Delete: []string{"qdel", "{id}"},
	Signal: []string{"qsig", "-s", "{signal}", "{id}"},
	Query:  []string{"qstat", "-x", "-t", "-f", "{ids}"},
	List:   []string{"sh", "-c", list, "sh", "{user}"},
	Lookup: [][]string{{"qstat", "-x", "-t", "-f", "{id}"}},

	// "8.server", "8[].server", Slurm's wrappers "8".
	JobID:    regexp.MustCompile(`(?m)^(\d+(?:\[\])?(?:\.[A-Za-z0-9][A-Za-z0-9._-]*)?)\s*$`),
	Gone:     regexp.MustCompile(`(?i)Unknown Job Id`),
	GoneCode: 153,
	Ended:    regexp.MustCompile(`(?i)Job has finished`),
	Down:     regexp.MustCompile(`(?i)cannot connect to|Couldn't connect|Connection refused|Connection timed out|No Permission\. pbs_iff|Communication failure|errno=15010`),

	Parse:       parse,
	ParseLookup: func(_ int, _ string, out []byte) ([]batch.Record, error) { return parse(out) },
	ListedID:    number,
	Element:     element,

	Dialect: batch.Dialect{
		Shebang: "#!/bin/sh", Prefix: "#PBS ",
		Always: []string{"-V", "-S /bin/sh"},
		Directives: map[string]batch.Directive{
			batch.DirectiveArray: {Form: "-J 1-{n}", Match: directive("-[Jt]")},
			batch.DirectiveTag:   {Form: "-v IPCORE_CLUSTER_TAG={value}", Match: directive("-v")},
			"name":               {Form: "-N {value}", Match: directive("-N")},
			"queue":              {Form: "-q {value}", Match: directive("-q")},
			"account":            {Form: "-A {value}", Match: directive("-A")},
			"time_limit":         {Form: "-l walltime={value}", Match: directive(`-l\s*\S*walltime=`)},
			"output_file":        {Lines: []string{"-j oe"}, Form: "-o {value}", Match: directive("-o")},
		},
		Combine:      combineSelect,
		Index:        index,
		SpoolsOutput: true,
		Memory:       func(bytes int64) string { return strconv.FormatInt((bytes+1<<20-1)>>20, 10) + "mb" },
	},
	Options: []sdk.Option{
		{Name: "dialect", Type: sdk.TypeString, Help: "openpbs, torque, or slurm for the wrappers that come with Slurm; found out with qsub --version when it is not given"},
	},
	Adapt: adapt,
}

// adapt finds out which PBS this is.
func adapt(s *batch.System, o *batch.Settings, run batch.Runner) error {
	dialect := o.StringOption("dialect")
	if dialect == "" {
		program := "qsub"
		if len(o.SubmitCommand) > 0 {
			program = o.SubmitCommand[0]
		}
		out, said, err := run(program, "--version")
		if dialect = detect(out + said); dialect == "" {
			if err == nil {
				err = fmt.Errorf("it said %.100q", out+said)
			}
			return fmt.Errorf("%w: %s --version does not show if this is OpenPBS or Torque (%w); set dialect=openpbs or dialect=torque", sdk.ErrBadOption, program, err)
		}
	}
	switch dialect {
	case openPBS:
		s.Title = "OpenPBS"
	case torque:
		s.Title = "Torque"
		s.Query = []string{"qstat", "-t", "-f", "{ids}"}
		s.Lookup = [][]string{s.Query[:3:3]}
		s.Lookup[0] = append(s.Lookup[0], "{id}")
		torqueDirectives(s)
		s.Dialect.NameLength = 15
	case wrapper:
		s.Title = "PBS on Slurm"
		s.Query = []string{"squeue", "--noheader", "--array", "--states=all", "--Format=" + squeueColumns.Format(), "--jobs={ids}"}
		s.List = []string{"squeue", "--noheader", "--array", "--Format=" + squeueColumns.Format(), "--user={user}"}
		s.IDSeparator = ","
		s.Lookup = [][]string{{"scontrol", "--oneliner", "show", "job", "{id}"}}
		s.Signal = []string{"scancel", "--full", "--signal={signal}", "{id}"}
		s.Parse, s.ParseLookup = parseSqueue, nil
		s.Gone = regexp.MustCompile(`(?i)Unknown Job Id|Invalid job id specified`)
		s.Down = regexp.MustCompile(`(?i)Unable to contact slurm controller|Connection refused|Socket timed out`)
		s.Submit = []string{"qsub", "-N", "{name}", "{script}"} // the wrapper ignores the script's name
		torqueDirectives(s)
	default:
		return fmt.Errorf("%w: dialect is %q, want openpbs, torque or slurm", sdk.ErrBadOption, dialect)
	}
	return nil
}

// detect reads what qsub --version said.
func detect(said string) string {
	switch low := strings.ToLower(said); {
	case strings.Contains(low, "pbs_version"):
		return openPBS
	case strings.Contains(low, "unknown option: version") && strings.Contains(low, "usage"):
		return wrapper
	case strings.Contains(low, "version:"):
		return torque
	}
	return ""
}

func torqueDirectives(s *batch.System) {
	own := maps.Clone(s.Dialect.Directives)
	own[batch.DirectiveArray] = batch.Directive{Form: "-t 1-{n}", Match: directive("-[Jt]")}
	s.Dialect.Directives = own
	s.Dialect.Combine = combineNodes
}

// combineSelect returns OpenPBS's request for resources.
func combineSelect(n *batch.Needs) ([]string, error) {
	if err := reservation(n, func(name string) { n.Queue = name }); err != nil {
		return nil, err
	}
	var lines []string
	var parts []string
	if n.Nodes+n.Processes+n.Cores+n.GPUs > 0 || n.Memory != "" {
		parts = append(parts, strconv.Itoa(max(1, n.Nodes)), "ncpus="+strconv.Itoa(max(1, n.Cores)*max(1, n.Processes)))
		if n.Processes > 0 {
			parts = append(parts, "mpiprocs="+strconv.Itoa(n.Processes))
		}
		if n.GPUs > 0 {
			parts = append(parts, "ngpus="+strconv.Itoa(n.GPUs))
		}
		if n.Memory != "" {
			parts = append(parts, "mem="+n.Memory)
		}
		lines = append(lines, "-l select="+strings.Join(parts, ":"))
	}
	if n.Exclusive {
		lines = append(lines, "-l place=excl")
	}
	n.Nodes, n.Processes, n.Cores, n.GPUs, n.Memory, n.Exclusive = 0, 0, 0, 0, "", false
	return lines, nil
}

// combineNodes returns Torque's request for resources.
func combineNodes(n *batch.Needs) ([]string, error) {
	var lines []string
	if err := reservation(n, func(name string) { lines = append(lines, "-W x=FLAGS:ADVRES:"+name) }); err != nil {
		return nil, err
	}
	if n.Nodes+n.Processes+n.Cores+n.GPUs > 0 {
		text := "-l nodes=" + strconv.Itoa(max(1, n.Nodes)) + ":ppn=" + strconv.Itoa(max(1, n.Cores)*max(1, n.Processes))
		if n.GPUs > 0 {
			text += ":gpus=" + strconv.Itoa(n.GPUs)
		}
		lines = append(lines, text)
	}
	if n.Memory != "" {
		lines = append(lines, "-l mem="+n.Memory)
	}
	if n.Exclusive {
		lines = append(lines, "-l naccesspolicy=singlejob")
	}
	n.Nodes, n.Processes, n.Cores, n.GPUs, n.Memory, n.Exclusive = 0, 0, 0, 0, "", false
	return lines, nil
}

// reservation passes the name of a reservation to say, which writes it as the dialect
// does. OpenPBS has a queue for each reservation.
func reservation(n *batch.Needs, say func(name string)) error {
	name := n.Reservation
	if name == "" {
		return nil
	}
	if n.Queue != "" {
		return fmt.Errorf("%w: reservation and queue are both given, and a reservation has a queue of its own", sdk.ErrBadOption)
	}
	n.Reservation = ""
	say(name)
	return nil
}
