package winhpc

import (
	"encoding/xml"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// namespace is that of the scheduler's schema.
const namespace = "http://schemas.microsoft.com/HPCS2008/scheduler/"

// The job file. Attributes that are "" are left out.
type jobXML struct {
	XMLName          xml.Name `xml:"Job"`
	Version          string   `xml:",attr"`
	Name             string   `xml:",attr"`
	UnitType         string   `xml:",attr"`
	MinNodes         string   `xml:",attr,omitempty"`
	MaxNodes         string   `xml:",attr,omitempty"`
	RunUntilCanceled bool     `xml:",attr"`
	IsExclusive      bool     `xml:",attr"`
	UserName         string   `xml:",attr,omitempty"`
	JobType          string   `xml:",attr"`
	Priority         string   `xml:",attr"`
	RequestedNodes   string   `xml:",attr,omitempty"`
	AutoCalculateMax bool     `xml:",attr"`
	AutoCalculateMin bool     `xml:",attr"`
	JobTemplate      string   `xml:",attr,omitempty"`
	Project          string   `xml:",attr"`
	Owner            string   `xml:",attr,omitempty"`
	RuntimeSeconds   string   `xml:",attr,omitempty"`
	MinMemory        string   `xml:",attr,omitempty"`
	MinCoresPerNode  string   `xml:",attr,omitempty"`
	Namespace        string   `xml:"xmlns,attr"`

	Dependencies struct{}  `xml:"Dependencies"`
	Tasks        []taskXML `xml:"Tasks>Task"`
}

type taskXML struct {
	Version        string `xml:",attr"`
	Name           string `xml:",attr"`
	MinCores       string `xml:",attr,omitempty"`
	MaxCores       string `xml:",attr,omitempty"`
	MinNodes       string `xml:",attr,omitempty"`
	MaxNodes       string `xml:",attr,omitempty"`
	CommandLine    string `xml:",attr"`
	WorkDirectory  string `xml:",attr"`
	IsRerunnable   bool   `xml:",attr"`
	StdOutFilePath string `xml:",attr"`
	StdErrFilePath string `xml:",attr"`
	IsParametric   bool   `xml:",attr"`
	UnitType       string `xml:",attr"`

	Variables []variableXML `xml:"EnvironmentVariables>Variable"`
}

type variableXML struct {
	Name  string
	Value string
}

var priorities = []string{"Lowest", "BelowNormal", "Normal", "AboveNormal", "Highest"}

// compose writes the job file.
func compose(j *batch.Job) (string, error) {
	o, n := j.Settings, j.Needs()
	for option, given := range map[string]bool{
		"gpus": n.GPUs > 0, "processes": n.Processes > 0, "reservation": n.Reservation != "",
		"prologue": len(o.Prologue) > 0, "directives": len(o.Directives) > 0, "drop_directives": len(o.DropDirectives) > 0,
	} {
		if given {
			return "", fmt.Errorf("%w: %s can't be said to Windows HPC; leave it out, or write a batch_template", sdk.ErrBadOption, option)
		}
	}
	priority := o.StringOption("priority")
	if priority == "" {
		priority = "Highest"
	} else if !slices.Contains(priorities, priority) {
		return "", fmt.Errorf("%w: priority is %q, want one of %s", sdk.ErrBadOption, priority, strings.Join(priorities, ", "))
	}
	owner := o.StringOption("username")
	if owner == "" {
		owner = whoami()
	}
	project := n.Account
	if project == "" {
		project = "IPython"
	}
	job := jobXML{
		Version: "2.000", Name: n.Name, UnitType: "Core", UserName: owner, JobType: "Batch", Priority: priority,
		RequestedNodes: o.StringOption("requested_nodes"), AutoCalculateMax: true, AutoCalculateMin: true,
		IsExclusive: n.Exclusive, JobTemplate: n.Queue, Project: project, Owner: owner,
		RuntimeSeconds: n.Time, MinMemory: n.Memory, Namespace: namespace,
	}
	task := taskXML{
		Version: "2.000", Name: "IPEngine", UnitType: "Core",
		CommandLine: commandLine(j.Request.Command), WorkDirectory: j.WorkDir, IsRerunnable: true,
	}
	if j.Request.Kind == sdk.Controller {
		task.Name = "IPController"
	}
	switch {
	case n.Nodes > 0:
		job.UnitType, task.UnitType = "Node", "Node"
		task.MinNodes, task.MaxNodes = strconv.Itoa(n.Nodes), strconv.Itoa(n.Nodes)
		if n.Cores > 0 {
			job.MinCoresPerNode = strconv.Itoa(n.Cores)
		}
	default:
		cores := strconv.Itoa(max(1, n.Cores))
		task.MinCores, task.MaxCores = cores, cores
	}
	for _, name := range slices.Sorted(maps.Keys(j.Env)) {
		task.Variables = append(task.Variables, variableXML{name, j.Env[name]})
	}
	for i := range j.N {
		t := task
		t.StdOutFilePath = j.Output
		if j.Layout == batch.LayoutArray {
			t.StdOutFilePath = j.ElementOutput(strconv.Itoa(i + 1))
		}
		t.StdErrFilePath = t.StdOutFilePath
		job.Tasks = append(job.Tasks, t)
	}
	text, err := xml.MarshalIndent(job, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the job file: %w", err)
	}
	return `<?xml version="1.0" encoding="utf-8"?>` + "\n" + string(text) + "\n", nil
}

// whoami is the user with the domain.
func whoami() string {
	if name := os.Getenv("USERNAME"); name != "" {
		if domain := os.Getenv("USERDOMAIN"); domain != "" {
			return domain + `\` + name
		}
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// commandLine writes words as Windows' programs split them.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quoteArgument(w)
	}
	return strings.Join(quoted, " ")
}

func quoteArgument(w string) string {
	if w != "" && !strings.ContainsAny(w, " \t\n\v\"") {
		return w
	}
	var b strings.Builder
	b.WriteByte('"')
	slashes := 0
	for _, r := range w {
		switch r {
		case '\\':
			slashes++
			continue
		case '"':
			b.WriteString(strings.Repeat(`\`, 2*slashes+1))
		default:
			b.WriteString(strings.Repeat(`\`, slashes))
		}
		slashes = 0
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat(`\`, 2*slashes) + `"`)
	return b.String()
}
