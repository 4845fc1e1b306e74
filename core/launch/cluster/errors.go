package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// ErrLeftover means that Stop could not end everything. A part of the cluster may still be
// running, and the cluster file still exists.
var ErrLeftover = errors.New("a part of the cluster may still be running")

// OptionError means that a field of Options has a value that is not valid.
type OptionError struct {
	Field  string // "N", "Wait", "ID" or "Profile"
	Value  any
	Reason string // what is valid: "must be at least 1"
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("option %s: %s, got %v", e.Field, e.Reason, quoted(e.Value))
}

// quoted returns strings with quotes and other values unchanged.
func quoted(v any) any {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return v
}

// LauncherError means that the launcher of a workload can't be used.
type LauncherError struct {
	Kind sdk.Kind // sdk.Controller or sdk.Engine
	Err  error
}

func (e *LauncherError) Error() string { return fmt.Sprintf("launcher of the %s: %v", e.Kind, e.Err) }

// Unwrap returns the cause.
func (e *LauncherError) Unwrap() error { return e.Err }

// ElsewhereError means that a cluster can't be stopped from this machine, because its
// supervisor runs on another one.
type ElsewhereError struct {
	PID  int
	Host string
}

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("the cluster's supervisor is process %d on host %s", e.PID, e.Host)
}

// ControllerTimeoutError means that the controller wrote no connection files in time.
type ControllerTimeoutError struct {
	Timeout time.Duration
	Status  string // the launcher's status of the controller, or ""
	LogDir  string
}

func (e *ControllerTimeoutError) Error() string {
	return fmt.Sprintf("the controller wrote no connection files within %v%s; its log is in %s", e.Timeout, e.Status, e.LogDir)
}

// RunningError means that a cluster can't be started because it is already running.
type RunningError struct {
	ID         string
	File       string         // the cluster file
	Supervisor *process.State // nil if the supervisor is gone and only its processes are left
}

func (e *RunningError) Error() string {
	name := "the cluster"
	if e.ID != "" {
		name = fmt.Sprintf("cluster %q", e.ID)
	}
	switch {
	case e.Supervisor == nil:
		return fmt.Sprintf("%s is running already, but its supervisor is gone (%s)", name, e.File)
	case onOtherMachine(e.Supervisor):
		return fmt.Sprintf("%s is running already: process %d on host %s (%s)", name, e.Supervisor.PID, e.Supervisor.Host, e.File)
	}
	return fmt.Sprintf("%s is running already: process %d (%s)", name, e.Supervisor.PID, e.File)
}

// NotFoundError means that there is no cluster with an id.
type NotFoundError struct {
	ID   string
	File string // the cluster file, which does not exist
}

func (e *NotFoundError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("no cluster is running: there is no %s", e.File)
	}
	return fmt.Sprintf("no cluster %q is running: there is no %s", e.ID, e.File)
}

// NoControllerError means that there is no controller that engines could join, or that it
// does not reply.
type NoControllerError struct {
	ID   string // of the cluster
	File string // the connection file
	Err  error
}

func (e *NoControllerError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "there is no controller to join: there is no " + e.File
	}
	return fmt.Sprintf("can't join the controller of %s: %v", e.File, e.Err)
}

// Unwrap returns the cause.
func (e *NoControllerError) Unwrap() error { return e.Err }

// EndedError means that the controller, or all engines, ended unexpectedly.
type EndedError struct {
	What   string // "the controller", "all 4 engines"
	When   string // "before it was ready", or ""
	Exit   Exit
	Output string // the last lines of output
}

func (e *EndedError) Error() string {
	text := e.What + " ended"
	if e.When != "" {
		text += " " + e.When
	}
	text += ": " + e.Exit.String()
	if e.Output != "" {
		text += "; the last output was\n" + indent(e.Output)
	}
	return text
}

// Exit is how a process ended.
type Exit struct {
	Code   int    // -1 if it is not known or the process was killed by a signal
	Signal string // "SIGKILL", or ""
	Reason string // the launcher's system's own words, or ""
}

// exitOf converts a launcher's Exit.
func exitOf(e sdk.Exit) Exit { return Exit{Code: e.Code, Signal: e.Signal, Reason: e.Reason} }

func (e Exit) String() string {
	switch {
	case e.Reason != "" && e.Code > 0:
		return fmt.Sprintf("%s (exit code %d)", e.Reason, e.Code)
	case e.Reason != "" && e.Signal != "" && !strings.Contains(e.Reason, e.Signal):
		return fmt.Sprintf("%s (killed by %s)", e.Reason, e.Signal)
	case e.Reason != "":
		return e.Reason
	case e.Signal != "":
		return "killed by " + e.Signal
	case e.Code == -1:
		return "exit code unknown"
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// RegistrationTimeoutError means that no engine registered in time.
type RegistrationTimeoutError struct {
	N       int
	Timeout time.Duration
	Output  string // the last lines of the engines' output
	LogDir  string
}

func (e *RegistrationTimeoutError) Error() string {
	text := fmt.Sprintf("none of %d engines has registered within %v (logs: %s)", e.N, e.Timeout, e.LogDir)
	if e.Output != "" {
		text += "; their last output was\n" + indent(e.Output)
	}
	return text
}
