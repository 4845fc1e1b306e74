package cli

import (
	"errors"
	"strconv"
	"time"
)

// Seconds is a duration flag that takes Go's form ("90s", "2m") or a number of
// seconds, as Python's programs do.
type Seconds time.Duration

func (s *Seconds) String() string { return time.Duration(*s).String() }

// Type implements pflag.Value.
func (s *Seconds) Type() string { return "SECONDS" }

// Set implements pflag.Value.
func (s *Seconds) Set(text string) error {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		text = strconv.FormatFloat(f, 'f', -1, 64) + "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("use a number of seconds, or 90s, 2m, 1h")
	}
	*s = Seconds(d)
	return nil
}
