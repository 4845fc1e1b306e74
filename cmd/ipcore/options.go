package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/core/profile"
)

// place says which cluster of which profile a command is about.
type place struct {
	profile.Options
	clusterID string
}

func (p *place) flags(fs *pflag.FlagSet) {
	fs.StringVar(&p.Name, "profile", "", "IPython profile `NAME` (default \"default\")")
	fs.StringVar(&p.Dir, "profile-dir", "", "profile directory `DIR` (default $IPP_PROFILE_DIR)")
	fs.StringVar(&p.IPythonDir, "ipython-dir", "", "`DIR` where profiles are (default $IPYTHONDIR, ~/.ipython)")
	fs.StringVar(&p.clusterID, "cluster-id", os.Getenv("IPP_CLUSTER_ID"), "`ID` of the cluster, for several in one profile (default $IPP_CLUSTER_ID)")
	fs.Lookup("cluster-id").DefValue = ""
}

// verbosity is the choice of log level.
type verbosity struct {
	level string
	debug bool
	quiet bool
	form  string // of lines: formText or formJSON
}

// Forms of log lines.
const (
	formText = "text"
	formJSON = "json"
)

func (v *verbosity) flags(fs *pflag.FlagSet, level string) {
	fs.StringVar(&v.level, "log-level", level, "log `LEVEL`: a name, or Python's number (10 debug, 20 info, 30 warn, 40 error)")
	fs.BoolVar(&v.debug, "debug", false, "the same as --log-level=debug")
	fs.BoolVar(&v.quiet, "quiet", false, "log errors only")
}

// resolve answers hclog's level.
func (v *verbosity) resolve() (hclog.Level, error) {
	switch {
	case v.debug:
		return hclog.Debug, nil
	case v.quiet:
		return hclog.Error, nil
	}
	if n, err := strconv.Atoi(v.level); err == nil {
		switch {
		case n < 10:
			return hclog.Trace, nil
		case n >= 40:
			return hclog.Error, nil
		}
		return []hclog.Level{hclog.Debug, hclog.Info, hclog.Warn}[n/10-1], nil
	}
	name := strings.ToLower(v.level)
	switch name {
	case "warning":
		name = "warn"
	case "critical", "fatal":
		name = "error"
	}
	level := hclog.LevelFromString(name)
	if level == hclog.NoLevel {
		return level, &usageError{text: fmt.Sprintf("--log-level: unknown level %q", v.level), hint: "use trace, debug, info, warn, error, or one of Python's numbers"}
	}
	return level, nil
}

// formFlag adds the choice of the form of log lines.
func (v *verbosity) formFlag(fs *pflag.FlagSet) {
	fs.StringVar(&v.form, "log-format", formText, "`FORM` of log lines: text or json")
}

// logger makes the program's logger: lines on Err, in upstream's form when the
// program was called by upstream's name.
func (v *verbosity) logger(s *streams, name string) (hclog.Logger, error) {
	level, err := v.resolve()
	if err != nil {
		return nil, err
	}
	switch v.form {
	case "", formText, formJSON:
	default:
		return nil, &usageError{text: fmt.Sprintf("--log-format: unknown form %q", v.form), hint: "use text or json"}
	}
	if s.LogName != "" && v.form != formJSON {
		return pythonLogger(s, level), nil
	}
	o := &hclog.LoggerOptions{Name: name, Level: level, Output: s.Err, TimeFormat: logTime}
	if v.form == formJSON {
		o.JSONFormat, o.TimeFormat = true, time.RFC3339Nano
	}
	return hclog.New(o), nil
}

// acceptCommon takes the options of upstream's programs that have no effect
// here, so that a command line written for them works.
func acceptCommon(fs *pflag.FlagSet) {
	fs.String("log-url", "", noEffect)
	for _, name := range []string{"log-to-file", "clean-logs", "show-config", "show-config-json"} {
		fs.Bool(name, false, noEffect)
	}
	fs.Bool("init", false, "make the profile, which is done anyway")
	hide(fs, "log-url", "log-to-file", "clean-logs", "init", "show-config", "show-config-json")
}

// seconds is a duration flag that takes Go's form ("90s", "2m") or a number of
// seconds, as Python's programs do.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }
func (s *seconds) Type() string   { return "SECONDS" }
func (s *seconds) Set(text string) error {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		text = strconv.FormatFloat(f, 'f', -1, 64) + "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("use a number of seconds, or 90s, 2m, 1h")
	}
	*s = seconds(d)
	return nil
}
