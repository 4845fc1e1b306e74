package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// LogOptions choose what a command logs, and in which form.
type LogOptions struct {
	Level string
	Debug bool
	Quiet bool
	form  string // of lines: formText or formJSON
}

// Forms of log lines.
const (
	formText = "text"
	formJSON = "json"
)

// AddFlags adds the flags of the log level, of which level is the default.
func (o *LogOptions) AddFlags(c *Command, level string) {
	fs := c.Flags()
	fs.StringVar(&o.Level, "log-level", level, "log `LEVEL`: a name, or Python's number (10 debug, 20 info, 30 warn, 40 error)")
	fs.BoolVar(&o.Debug, "debug", false, "the same as --log-level=debug")
	fs.BoolVar(&o.Quiet, "quiet", false, "log errors only")
	c.Complete("log-level", Choices("trace", "debug", "info", "warn", "error"))
}

// AddFormFlag adds the choice of the form of log lines.
func (o *LogOptions) AddFormFlag(c *Command) {
	c.Flags().StringVar(&o.form, "log-format", formText, "`FORM` of log lines: text or json")
	c.Complete("log-format", Choices(formText, formJSON))
}

// level returns hclog's level.
func (o *LogOptions) level() (hclog.Level, error) {
	switch {
	case o.Debug:
		return hclog.Debug, nil
	case o.Quiet:
		return hclog.Error, nil
	}
	if n, err := strconv.Atoi(o.Level); err == nil {
		switch {
		case n < 10:
			return hclog.Trace, nil
		case n >= 40:
			return hclog.Error, nil
		}
		return []hclog.Level{hclog.Debug, hclog.Info, hclog.Warn}[n/10-1], nil
	}
	name := strings.ToLower(o.Level)
	switch name {
	case "warning":
		name = "warn"
	case "critical", "fatal":
		name = "error"
	}
	level := hclog.LevelFromString(name)
	if level == hclog.NoLevel {
		return level, UsageError(fmt.Sprintf("--log-level: unknown level %q", o.Level), "use trace, debug, info, warn, error, or one of Python's numbers")
	}
	return level, nil
}

// Logger returns the program's logger. It writes lines to s.Err, in IPython
// Parallel's form when the program was called by one of its names.
func (o *LogOptions) Logger(s *Streams, name string) (hclog.Logger, error) {
	level, err := o.level()
	if err != nil {
		return nil, err
	}
	switch o.form {
	case "", formText, formJSON:
	default:
		return nil, UsageError(fmt.Sprintf("--log-format: unknown form %q", o.form), "use text or json")
	}
	if s.LogName != "" && o.form != formJSON {
		return pythonLogger(s, level), nil
	}
	options := &hclog.LoggerOptions{Name: name, Level: level, Output: s.Err, TimeFormat: logTime}
	if o.form == formJSON {
		options.JSONFormat, options.TimeFormat = true, time.RFC3339Nano
	}
	return hclog.New(options), nil
}
