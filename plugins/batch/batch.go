package batch

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// Main is the program ipcore-launcher-batch. It does not return.
func Main() { sdk.Serve(System.Info(""), System.New()) }

// System is what the options make of it.
var System = batch.System{
	Name: "batch", Title: "the batch system", Class: "Batch", Package: "the batch system's client package",
	JobID:   regexp.MustCompile(`\d+`),
	Signal:  []string{}, // there may be one
	Adapt:   adapt,
	Dialect: batch.Dialect{Shebang: "#!/bin/sh"},
	Options: []sdk.Option{
		{Name: "title", Type: sdk.TypeString, Help: "the system's name, for messages"},
		{Name: "script_on_stdin", Type: sdk.TypeBool, Help: "submit_command reads the script from its standard input, not from a file"},
		{Name: "directive_prefix", Type: sdk.TypeString, Help: "how a directive begins in a script: \"#OAR \""},
		{Name: "directive_forms", Type: sdk.TypeMap, Help: "directives by what they say: {\"array\": \"--array {n}\", \"queue\": \"-q {value}\"}; array, name, tag, queue, output_file, time_limit, nodes, processes, cores, gpus, memory, account, reservation, exclusive"},
		{Name: "array_index", Type: sdk.TypeString, Help: "shell's expression for an array element's index: \"$OAR_ARRAY_INDEX\""},
		{Name: "first_index", Type: sdk.TypeInt, Help: "index of the first element of an array; 1 when it is not given"},
		{Name: "output_index", Type: sdk.TypeString, Help: "what stands for an element's index in the name of the output file: \"%a\"; without it the script sends output to its file by itself"},
		{Name: "status_regexp", Type: sdk.TypeString, Help: "reads one job of status_command's answer; groups id and state, and optionally index, name, tag, reason, code, signal: \"(?m)^(?P<id>\\\\d+) (?P<state>\\\\w+)\""},
		{Name: "empty_regexp", Type: sdk.TypeString, Help: "finds that an answer of status_command that is not empty lists no job: \"^no jobs\", or its heading"},
		{Name: "states", Type: sdk.TypeMap, Help: "the system's words for states: {\"R\": \"running\", \"W\": \"queued\", \"T\": \"completed\", \"E\": \"failed\", \"D\": \"cancelled\"}"},
		{Name: "ids_separator", Type: sdk.TypeString, Help: "between the ids where a command has {ids}; without it each is a word"},
		{Name: "list_command", Type: sdk.TypeList, Help: "lists all jobs of {user}, in status_command's form; status_command when it is not given"},
		{Name: "lookup_command", Type: sdk.TypeList, Help: "tells how the job {id} ended that status_command no longer lists, in the same form"},
		{Name: "gone_regexp", Type: sdk.TypeString, Help: "finds in what a failed command said that there is no such job"},
		{Name: "down_regexp", Type: sdk.TypeString, Help: "finds in what a failed command said that the system can't be reached"},
		{Name: "check_command", Type: sdk.TypeList, Help: "command that checks whether the script on its standard input would be accepted"},
	},
}

// options are the launcher's own options.
type options struct {
	Title     string            `json:"title"`
	Stdin     bool              `json:"script_on_stdin"`
	Prefix    string            `json:"directive_prefix"`
	Forms     map[string]string `json:"directive_forms"`
	Index     string            `json:"array_index"`
	First     *int              `json:"first_index"`
	OutIndex  string            `json:"output_index"`
	Status    string            `json:"status_regexp"`
	Empty     string            `json:"empty_regexp"`
	States    map[string]string `json:"states"`
	Separator string            `json:"ids_separator"`
	List      batch.Words       `json:"list_command"`
	Lookup    batch.Words       `json:"lookup_command"`
	Gone      string            `json:"gone_regexp"`
	Down      string            `json:"down_regexp"`
	Check     batch.Words       `json:"check_command"`
}

// directiveNames are the directives that a form can be given for.
var directiveNames = []string{
	batch.DirectiveArray, batch.DirectiveTag, "name", "queue", "output_file", "time_limit", "nodes", "processes", "cores",
	"gpus", "memory", "account", "reservation", "exclusive",
}

// adapt makes the system that the options describe.
func adapt(s *batch.System, o *batch.Settings, _ batch.Runner) error {
	var own options
	if err := o.Decode(&own); err != nil {
		return err
	}
	if own.Title != "" {
		s.Title = own.Title
	}
	s.Stdin, s.IDSeparator, s.List, s.Check = own.Stdin, own.Separator, own.List, own.Check
	if len(own.Lookup) > 0 {
		s.Lookup = [][]string{own.Lookup}
	}
	for _, e := range []struct {
		name, text string
		to         **regexp.Regexp
	}{{"gone_regexp", own.Gone, &s.Gone}, {"down_regexp", own.Down, &s.Down}} {
		if e.text == "" {
			continue
		}
		compiled, err := regexp.Compile(e.text)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", sdk.ErrBadOption, e.name, err)
		}
		*e.to = compiled
	}
	if err := dialect(&s.Dialect, &own); err != nil {
		return err
	}
	if len(o.StatusCommand) == 0 {
		return nil
	}
	read, err := reader(&own)
	if err != nil {
		return err
	}
	s.Parse = read
	s.ParseLookup = func(_ int, _ string, out []byte) ([]batch.Record, error) { return read(out) }
	return nil
}

// dialect makes the directives.
func dialect(d *batch.Dialect, own *options) error {
	d.Prefix, d.Index, d.FirstIndex, d.OutputIndex = own.Prefix, own.Index, own.First, own.OutIndex
	d.Directives = map[string]batch.Directive{}
	for _, name := range slices.Sorted(maps.Keys(own.Forms)) {
		if !slices.Contains(directiveNames, name) {
			return fmt.Errorf("%w: directive_forms has %q, want some of %s", sdk.ErrBadOption, name, strings.Join(directiveNames, ", "))
		}
		form := own.Forms[name]
		flag, _, _ := strings.Cut(strings.ReplaceAll(form, "{", " {"), " ")
		d.Directives[name] = batch.Directive{
			Form:  form,
			Match: regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(own.Prefix) + `.*` + regexp.QuoteMeta(flag)),
		}
	}
	if _, ok := d.Directives[batch.DirectiveArray]; ok && d.Index == "" && d.OutputIndex == "" {
		return fmt.Errorf("%w: with an array directive either array_index or output_index has to say which element it is", sdk.ErrBadOption)
	}
	// Without a directive for it the script sends its output to the file by itself.
	_, output := d.Directives["output_file"]
	d.SpoolsOutput = own.OutIndex == "" || !output
	return nil
}

// stateWords are the states that options name.
var stateWords = []batch.JobState{batch.Queued, batch.Running, batch.Completed, batch.Failed, batch.Cancelled, batch.Unknown}

// reader makes what reads the answer of the status command.
func reader(own *options) (func([]byte) ([]batch.Record, error), error) {
	if own.Status == "" {
		return nil, fmt.Errorf("%w: status_command is given, and status_regexp is not: nothing reads its answer", sdk.ErrBadOption)
	}
	e, err := regexp.Compile(own.Status)
	if err != nil {
		return nil, fmt.Errorf("%w: status_regexp: %w", sdk.ErrBadOption, err)
	}
	var empty *regexp.Regexp
	if own.Empty != "" {
		if empty, err = regexp.Compile(own.Empty); err != nil {
			return nil, fmt.Errorf("%w: empty_regexp: %w", sdk.ErrBadOption, err)
		}
	}
	if e.SubexpIndex("id") < 0 || e.SubexpIndex("state") < 0 {
		return nil, fmt.Errorf("%w: status_regexp has no group (?P<id>...) or no (?P<state>...)", sdk.ErrBadOption)
	}
	if len(own.States) == 0 {
		return nil, fmt.Errorf("%w: states is not given: nothing tells what the system's words mean", sdk.ErrBadOption)
	}
	for word, state := range own.States {
		if !slices.Contains(stateWords, batch.JobState(state)) {
			return nil, fmt.Errorf("%w: states has %q for %q, want queued, running, completed, failed, cancelled or unknown", sdk.ErrBadOption, state, word)
		}
	}
	return func(out []byte) ([]batch.Record, error) {
		var all []batch.Record
		matches := e.FindAllStringSubmatch(string(out), -1)
		if len(matches) == 0 && len(strings.TrimSpace(string(out))) > 0 && (empty == nil || !empty.Match(out)) {
			return nil, fmt.Errorf("status_regexp finds nothing in %.60q", out)
		}
		for _, m := range matches {
			r, err := own.record(e, m)
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
		return all, nil
	}, nil
}

// record makes a record of one match.
func (o *options) record(e *regexp.Regexp, m []string) (batch.Record, error) {
	group := func(name string) string {
		if i := e.SubexpIndex(name); i >= 0 {
			return strings.TrimSpace(m[i])
		}
		return ""
	}
	r := batch.Record{ID: group("id"), Index: -1, Name: group("name"), Comment: group("tag"), Reason: group("reason"), Signal: group("signal"), State: batch.Unknown, Code: -1}
	if r.ID == "" {
		return r, errors.New("a job without an id")
	}
	if i, err := strconv.Atoi(group("index")); err == nil {
		r.Index = i
	}
	word := group("state")
	if s, ok := o.States[word]; ok {
		r.State = batch.JobState(s)
	} else {
		r.Reason = strings.TrimSuffix(word+", "+r.Reason, ", ")
	}
	if code, err := strconv.Atoi(group("code")); err == nil && r.State.Ended() {
		r.Code = code
	}
	if r.State == batch.Completed && r.Code < 0 {
		r.Code = 0
	}
	return r, nil
}
