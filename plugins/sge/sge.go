package sge

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// Main is the program ipcore-launcher-sge. It does not return.
func Main() { sdk.Serve(System.Info(""), System.New()) }

// directive finds a directive in a script.
func directive(option string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^#\$\s+(?:.*\s)?` + option)
}

// System is Grid Engine.
var System = batch.System{
	Name: "sge", Title: "SGE", Class: "SGE", Package: "Grid Engine's client package",

	ShowJobs: []string{"qstat", "-j", "*"},

	Submit: []string{"qsub", "-terse", "{script}"},
	Delete: []string{"qdel", "{id}"},
	Query:  []string{"qstat", "-xml", "-u", "{user}"},
	Lookup: [][]string{
		{"qacct", "-j", "{id}"},
		{"qstat", "-j", "{id}"},
	},
	Check: []string{"qsub", "-w", "v"},

	// "1", "1.1-4:1", or without -terse "Your job-array 1.1-4:1 ("n") has been submitted".
	JobID: regexp.MustCompile(`(?m)^(?:Your job(?:-array)? )?(\d+)(?:\.\d+-\d+:\d+)?(?: \(".*"\) has been submitted)?\s*$`),
	Gone:  regexp.MustCompile(`do not exist|does not exist|job id \d+ not found`),
	Ended: regexp.MustCompile(`is already in deletion`),
	Down:  regexp.MustCompile(`(?i)unable to (?:send message to|contact) qmaster|got send error|commlib error|can't (?:connect|resolve)`),

	Parse:       parseQueue,
	ParseLookup: parseLookup,
	Element:     func(id string, index int) string { return fmt.Sprintf("%s.%d", id, index) },

	Dialect: batch.Dialect{
		Shebang: "#!/bin/sh", Prefix: "#$ ",
		Always: []string{"-V", "-S /bin/sh", "-cwd"},
		Directives: map[string]batch.Directive{
			batch.DirectiveArray: {Form: "-t 1-{n}", Match: directive("-t")},
			"name":               {Form: "-N {value}", Match: directive("-N")},
			"queue":              {Form: "-q {value}", Match: directive("-q")},
			"account":            {Form: "-A {value}", Match: directive("-A")},
			"project":            {Form: "-P {value}", Match: directive("-P")},
			"time_limit":         {Form: "-l h_rt={value}", Match: directive(`-l\s+\S*h_rt=`)},
			"memory":             {Form: "-l h_vmem={value}", Match: directive(`-l\s+\S*h_vmem=`)},
			"gpus":               {Form: "-l gpu={value}", Match: directive(`-l\s+\S*gpu=`)},
			"reservation":        {Form: "-ar {value}", Match: directive("-ar")},
			"output_file":        {Lines: []string{"-j y"}, Form: "-o {value}", Match: directive("-o")},
		},
		Combine: combine,
		Index:   "$SGE_TASK_ID", OutputIndex: "$TASK_ID",
	},
	Options: []sdk.Option{
		{Name: "project", Type: sdk.TypeString, Help: "project that the job belongs to"},
		{Name: "parallel_environment", Type: sdk.TypeString, Help: "parallel environment that cores and processes are asked of; the site has named it, often smp"},
	},
	SettleTime: 2 * time.Second, // sites write accounting late, some seconds to a minute
	UnknownEnd: "it has left the queue; qacct -j {id} tells how, when its accounting is written",
	Adapt: func(s *batch.System, o *batch.Settings, _ batch.Runner) error {
		environment := o.StringOption("parallel_environment")
		s.Dialect.Combine = func(n *batch.Needs) ([]string, error) { return combineIn(environment, n) }
		return nil
	},
}

func combine(n *batch.Needs) ([]string, error) { return combineIn("", n) }

// combineIn makes one request for slots of cores and processes.
func combineIn(environment string, n *batch.Needs) ([]string, error) {
	if n.Exclusive {
		n.Exclusive = false
		return nil, fmt.Errorf("%w: exclusive: every site of SGE has its own resource for that; say it with directives=[\"-l exclusive=true\"] or the like", sdk.ErrBadOption)
	}
	slots := max(1, n.Cores) * max(1, n.Processes)
	n.Cores, n.Processes = 0, 0
	if slots == 1 && environment == "" {
		return nil, nil
	}
	if environment == "" {
		return nil, fmt.Errorf("%w: cores and processes need a parallel environment; name one of qconf -spl: parallel_environment=smp", sdk.ErrBadOption)
	}
	if strings.ContainsAny(environment, " \t") {
		return nil, fmt.Errorf("%w: parallel_environment is %q", sdk.ErrBadOption, environment)
	}
	return []string{"-pe " + environment + " " + strconv.Itoa(slots)}, nil
}
