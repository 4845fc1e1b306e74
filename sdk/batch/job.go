package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch/template"
	"github.com/ipcore/ipcore/sdk/process"
)

// Job is a job that Start is about to submit.
type Job struct {
	System   *System
	Settings *Settings
	Request  sdk.StartRequest

	N       int    // number of engines; 1 for a controller
	Layout  string // LayoutArray, LayoutTasks, or "" for one process
	Name    string
	WorkDir string // absolute path
	Output  string // output file, without the index of an array element
	Env     map[string]string

	Template      string   // the user's template; "" when the default script is used
	Script        string   // the text that is submitted
	Shell         string   // the shell script that Script runs; "": Script runs no other
	Path          string   // the file for Script
	SubmitCommand []string // the submit command
	Warnings      []string
}

// maxTemplate bounds a template file, in bytes.
const maxTemplate = 1 << 20

// plan returns the job for a request. It changes nothing on disk.
func (s *System) plan(r sdk.StartRequest, o *Settings) (*Job, error) {
	j := &Job{System: s, Settings: o, Request: r, N: 1, Env: map[string]string{}}
	if r.Kind == sdk.Engine {
		j.N = r.Count(runtime.NumCPU())
	}
	if j.N > 1 {
		if j.Layout = o.Layout; j.Layout == "" {
			j.Layout = LayoutArray
		}
	}
	for _, name := range s.Dialect.InheritedEnv {
		if value := process.Getenv(name); value != "" {
			j.Env[name] = value
		}
	}
	for name, value := range r.Env {
		if !secret(name) { // engines read the key from the connection file
			j.Env[name] = value
		}
	}
	maps.Copy(j.Env, o.Environment)
	for name, value := range j.Env {
		if !variableName.MatchString(name) || strings.Contains(value, "\x00") {
			return nil, fmt.Errorf("%w: environment variable %q is not valid", sdk.ErrBadOption, name)
		}
	}
	if err := j.setPaths(); err != nil {
		return nil, err
	}
	if err := j.setName(); err != nil {
		return nil, err
	}
	return j, j.compose()
}

// setPaths sets WorkDir, Output and Path.
func (j *Job) setPaths() (err error) {
	r, o := j.Request, j.Settings
	j.WorkDir = o.WorkDir
	if j.WorkDir == "" {
		j.WorkDir = r.WorkDir
	}
	if j.WorkDir, err = filepath.Abs(j.WorkDir); err != nil {
		return fmt.Errorf("%w: work_dir: %w", sdk.ErrBadOption, err)
	}
	stem := "ipengine-" + r.ClusterID + "-" + r.ID
	if r.Kind == sdk.Controller {
		stem = strings.TrimSuffix("ipcontroller-"+r.ClusterID, "-") + "-" + fmt.Sprint(os.Getpid())
	}
	if !filepath.IsLocal(stem) || filepath.Base(stem) != stem {
		return fmt.Errorf("%w: %q is not a valid file name; the cluster id and the id must not contain slashes", sdk.ErrBadOption, stem)
	}
	logs := r.LogDir
	if logs == "" {
		logs = j.WorkDir
	}
	if j.Output = o.OutputFile; j.Output == "" {
		j.Output = filepath.Join(logs, stem+".log")
	} else if !filepath.IsAbs(j.Output) {
		j.Output = filepath.Join(j.WorkDir, j.Output)
	}
	folder, name := logs, stem+"."+j.System.Name
	if o.WorkDir != "" || o.BatchFileName != "" {
		folder = j.WorkDir
	}
	if o.BatchFileName != "" {
		name = o.BatchFileName
	}
	j.Path = name
	if !filepath.IsAbs(j.Path) {
		j.Path = filepath.Join(folder, name)
	}
	return nil
}

// setName sets the name of the job.
func (j *Job) setName() error {
	d := &j.System.Dialect
	limit := d.NameLength
	if limit == 0 {
		limit = 200
	}
	if j.Name = j.Settings.Name; j.Name != "" {
		if len(j.Name) > limit {
			return fmt.Errorf("%w: name is %q, and %s accepts at most %d characters", sdk.ErrBadOption, j.Name, j.System.Title, limit)
		}
		return checkOneLine("name", j.Name)
	}
	j.Name = nameOf(j.Request)
	if len(j.Name) > limit { // the tag is then in a comment
		sum := sha256.Sum256([]byte(j.Name))
		j.Name = ("ip" + hex.EncodeToString(sum[:]))[:min(limit, 14)]
	}
	return nil
}

// Needs returns what the job's directives have to state.
func (j *Job) Needs() Needs {
	o, d := j.Settings, &j.System.Dialect
	n := Needs{
		N: j.N, Layout: j.Layout,
		Nodes: o.Nodes, Processes: o.Processes, Cores: o.Cores, GPUs: o.GPUs, Exclusive: o.Exclusive,
		Memory: d.memory(o.memory), Time: d.time(o.time),
		Name: j.Name, Queue: o.Queue, Account: o.Account, Reservation: o.Reservation,
		Output: j.outputDirective(), Tag: j.Request.Tag, SystemOptions: map[string]string{},
	}
	for name := range o.SystemOptions {
		if _, ok := d.Directives[name]; ok {
			n.SystemOptions[name] = o.StringOption(name)
		}
	}
	return n
}

// outputDirective returns the output file in the form of the directive.
func (j *Job) outputDirective() string {
	d := &j.System.Dialect
	path := j.Output
	if d.SpoolsOutput && j.Settings.BatchTemplate == "" && j.Settings.BatchTemplateFile == "" {
		path = spoolFile(path)
	}
	if d.EscapeOutput != nil {
		path = d.EscapeOutput(path)
	}
	if j.Layout == LayoutArray && d.OutputIndex != "" {
		ext := filepath.Ext(path)
		path = strings.TrimSuffix(path, ext) + "-" + d.OutputIndex + ext
	}
	return path
}

// ElementOutput returns the output file of an array element; index is its index, or a
// text that stands for it.
func (j *Job) ElementOutput(index string) string {
	ext := filepath.Ext(j.Output)
	return strings.TrimSuffix(j.Output, ext) + "-" + index + ext
}

// compose sets the script and the submit command.
func (j *Job) compose() (err error) {
	s, o := j.System, j.Settings
	text := o.BatchTemplate
	if text == "" && o.BatchTemplateFile != "" {
		if text, err = readTemplate(filepath.Join(j.WorkDir, o.BatchTemplateFile), o.BatchTemplateFile); err != nil {
			return err
		}
	}
	j.SubmitCommand = j.command(s.Submit)
	if len(j.SubmitCommand) == 0 {
		return fmt.Errorf("%w: --%sLauncher.submit_command is not set: %s has no default for it", sdk.ErrBadOption, s.Class, s.Title)
	}
	var extra []string
	if text == "" {
		if len(o.DropDirectives) == 0 && len(o.Namespace) > 0 {
			return fmt.Errorf("%w: namespace needs a batch_template or a batch_template_file, and neither is set", sdk.ErrBadOption)
		}
		if s.Dialect.Compose != nil {
			j.Script, err = s.Dialect.Compose(j)
		} else {
			j.Script, err = j.defaultScript()
		}
		if err == nil && s.Dialect.RunsShellScript {
			j.Shell, err = j.shellScript("#!/bin/sh", nil)
		}
	} else {
		j.Template = text
		j.Script, j.Warnings, err = template.Render(text, j.variables())
		if err != nil {
			err = fmt.Errorf("%w: %w", sdk.ErrBadOption, err)
		} else if err = j.checkTemplate(); err == nil {
			extra, err = s.arguments(j.Needs(), j.Script)
		}
		for _, directive := range o.Directives {
			extra = append(extra, strings.Fields(directive)...)
		}
	}
	if err != nil {
		return err
	}
	j.SubmitCommand = slices.Concat(j.SubmitCommand[:1], extra, j.SubmitCommand[1:])
	if !s.Stdin && !slices.ContainsFunc(s.Submit, func(w string) bool { return strings.Contains(w, "{script}") }) {
		j.SubmitCommand = append(j.SubmitCommand, j.Path)
	}
	return nil
}

// checkTemplate determines from the user's script whether the job is an array.
func (j *Job) checkTemplate() error {
	if strings.ContainsRune(j.Script, 0) {
		return fmt.Errorf("%w: the script contains a NUL character", sdk.ErrBadOption)
	}
	if j.Layout == "" {
		return nil
	}
	// One job runs all engines unless the template declares an array.
	j.Layout = LayoutTasks
	if m := j.System.Dialect.Directives[DirectiveArray].Match; m != nil && m.MatchString(j.Script) {
		j.Layout = LayoutArray
	}
	return nil
}

// command replaces the fields of the submit command.
func (j *Job) command(words []string) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = strings.NewReplacer("{script}", j.Path, "{name}", j.Name).Replace(w)
	}
	return all
}

func readTemplate(path, given string) (string, error) {
	if filepath.IsAbs(given) {
		path = given
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxTemplate {
		err = fmt.Errorf("the file has %d bytes, and at most %d are allowed", info.Size(), maxTemplate)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err == nil && len(text) == 0 {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return "", fmt.Errorf("%w: batch_template_file %s: %w", sdk.ErrBadOption, given, err)
	}
	return string(text), nil
}

// variables returns the variables of a template.
func (j *Job) variables() map[string]any {
	o, r := j.Settings, j.Request
	program, args := splitCommand(r.Command)
	environment, _ := json.Marshal(j.Env) // strings: Marshal can't fail
	vars := map[string]any{
		"n": j.N, "queue": o.Queue, "profile_dir": r.ProfileDir, "cluster_id": r.ClusterID,
		"program": sdk.ShellQuote(program...), "program_args": sdk.ShellQuote(args...), "program_and_args": sdk.ShellQuote(r.Command...),
		"output_file": j.Output, "environment_json": string(environment),
		"job_name": j.Name, "account": o.Account, "reservation": o.Reservation, "time_limit": j.Needs().Time,
		"nodes": o.Nodes, "processes": o.Processes, "cores": o.Cores, "gpus": o.GPUs, "memory": j.Needs().Memory,
		"exclusive": o.Exclusive, "prologue": strings.Join(o.Prologue, "\n"), "work_dir": j.WorkDir,
	}
	for _, own := range j.System.Options {
		if own.Type == "string" {
			vars[own.Name] = o.StringOption(own.Name)
		}
	}
	maps.Copy(vars, o.Namespace)
	return vars
}

// splitCommand splits a command into the program, with the words that select what it
// runs ("-m MODULE", "engine", "controller"), and its arguments.
func splitCommand(command []string) (program, args []string) {
	at := 1
	switch {
	case len(command) > 2 && command[1] == "-m":
		at = 3
	case len(command) > 1 && (command[1] == "engine" || command[1] == "controller"):
		at = 2
	}
	return command[:at], command[at:]
}

// Directives returns the directives of the default script, without the prefix: those
// that state the job's needs, then those of the option directives, without those of
// the option drop_directives.
func (j *Job) Directives() ([]string, error) {
	lines, err := j.System.lines(j.Needs())
	if err != nil {
		return nil, err
	}
	for _, text := range j.Settings.Directives {
		if err := checkOneLine("directives", text); err != nil {
			return nil, err
		}
		lines = append(lines, directiveLine{"directives", text})
	}
	var all []string
	for _, l := range lines {
		if !j.dropped(l) {
			all = append(all, l.text)
		}
	}
	return all, nil
}

// defaultScript returns the default shell script with directives.
func (j *Job) defaultScript() (string, error) {
	directives, err := j.Directives()
	if err != nil {
		return "", err
	}
	return j.shellScript(j.System.Dialect.Shebang, directives)
}

// ShellPath returns the file for Shell, the shell script that Script runs.
func (j *Job) ShellPath() string { return shellFile(j.Path) }

// shellFile returns the file of the shell script that a submitted file runs.
func shellFile(submitted string) string { return submitted + ".sh" }

// shellScript returns a shell script that runs the command.
func (j *Job) shellScript(shebang string, directives []string) (string, error) {
	d := &j.System.Dialect
	var b strings.Builder
	if shebang != "" {
		b.WriteString(shebang + "\n")
	}
	for _, text := range directives {
		b.WriteString(d.Prefix + text + "\n")
	}
	body := j.body
	if d.Body != nil {
		body = func() ([]string, error) { return d.Body(j) }
	}
	lines, err := body()
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	return b.String(), err
}

// dropped reports whether drop_directives names a directive.
func (j *Job) dropped(l directiveLine) bool {
	return slices.ContainsFunc(j.Settings.DropDirectives, func(drop string) bool {
		return drop != "" && (drop == l.option || strings.HasPrefix(l.text, drop) || strings.HasPrefix(j.System.Dialect.Prefix+l.text, drop))
	})
}

// body returns the lines of the default script that run the command.
func (j *Job) body() ([]string, error) {
	d := &j.System.Dialect
	var lines []string
	if d.SpoolsOutput {
		file := sdk.ShellQuote(j.Output)
		if j.Layout == LayoutArray {
			ext := filepath.Ext(j.Output)
			file = sdk.ShellQuote(strings.TrimSuffix(j.Output, ext)+"-") + `"` + d.Index + `"` + sdk.ShellQuote(ext)
		}
		lines = append(lines,
			"ipcore_output="+file,
			`if (umask 077; : >>"$ipcore_output"); then exec >>"$ipcore_output" 2>&1; fi`)
	}
	for _, name := range slices.Sorted(maps.Keys(j.Env)) {
		if isPublic(name) {
			lines = append(lines, j.export(name))
		}
	}
	if j.privateEnv() != "" {
		lines = append(lines, ". "+sdk.ShellQuote(privateFile(j.Path)))
	}
	folder := sdk.ShellQuote(j.WorkDir)
	lines = append(lines, "cd "+folder+" || echo 'ipcore: the folder does not exist on this node, continuing in' \"$PWD\" >&2")
	lines = append(lines, j.Settings.Prologue...)
	command := j.Request.Command
	if j.Layout == LayoutTasks {
		if len(d.TaskRunner) == 0 {
			return nil, fmt.Errorf("%w: layout is %q, but %s has no command that starts tasks", sdk.ErrBadOption, j.Layout, j.System.Title)
		}
		command = slices.Concat(d.TaskRunner, command)
	}
	return append(lines, "exec "+sdk.ShellQuote(command...)), nil
}

// isPublic reports whether a variable may be set in the script, which batch systems
// show to more people than its file's mode allows.
func isPublic(name string) bool {
	return name == "IPP_CLUSTER_ID" || name == "IPP_PROFILE_DIR" || name == sdk.EnvTag
}

func (j *Job) export(name string) string { return "export " + name + "=" + sdk.ShellQuote(j.Env[name]) }

// privateEnv returns the lines that set the other variables, for a file with mode 0600
// that the default script reads. It is "" when there are none, or when the script
// does not read the file.
func (j *Job) privateEnv() string {
	var b strings.Builder
	d := &j.System.Dialect
	if j.Template != "" || d.Compose != nil && !d.RunsShellScript || d.Body != nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(j.Env)) {
		if !isPublic(name) {
			b.WriteString(j.export(name) + "\n")
		}
	}
	return b.String()
}

// submitEnv returns the variables for the submit command, which systems show with the
// job: the public ones if the script reads the others from the file of privateEnv,
// else all.
func (j *Job) submitEnv() map[string]string {
	env := maps.Clone(j.Env)
	if j.privateEnv() != "" {
		maps.DeleteFunc(env, func(name, _ string) bool { return !isPublic(name) })
	}
	return env
}

// privateFile returns the file for the variables that are not set in the script.
func privateFile(script string) string { return script + ".env" }
