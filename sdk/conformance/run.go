package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// DefaultPatience is the default of Config.Patience.
const DefaultPatience = 30 * time.Second

// Plugin is an opened plugin.
type Plugin interface {
	Client() *sdk.Client
	// Close ends the plugin; its workloads keep running.
	Close()
}

// Config describes what to check.
type Config struct {
	// Info is the launcher's description.
	Info sdk.Info
	// Open opens one more plugin, as a later start of ipcore would.
	Open func(context.Context) (Plugin, error)

	// Describe is the executable that answers "describe", and Command the command with
	// which a host starts the plugin. They differ for a script, whose plugin is
	// ipcore-launcher-exec. Without them the checks that need an executable are not
	// applicable.
	Describe string
	Command  []string

	// Kinds are the kinds of workload to check; nil means all that Info lists.
	Kinds []sdk.Kind
	// Patience bounds every wait; 0 means DefaultPatience. A launcher without Wait
	// needs more than its Info.PollEvery.
	Patience time.Duration
	// Prepare changes a request before it is sent, for example to add the options
	// without which the launcher does not start. May be nil.
	Prepare func(*sdk.StartRequest)
	// DefaultN is how many engines a set has when a request does not say; 0 means that
	// it is not known.
	DefaultN int
	// Dir is the folder in which workloads create files; the machines on which they run
	// have to share it. "" means the system's temporary folder.
	Dir string
}

// Outcome is the outcome of a check.
type Outcome string

// The outcomes. NotApplicable is not a failure.
const (
	Pass          Outcome = "pass"
	Fail          Outcome = "FAIL"
	NotApplicable Outcome = "N/A"
)

// Result is one line of the report.
type Result struct {
	Check   string   `json:"check"`          // its name, "stop-twice"
	Kind    sdk.Kind `json:"kind,omitempty"` // of the workload; "" when the check runs once for all kinds
	Want    string   `json:"want"`           // the requirement, a sentence
	Outcome Outcome  `json:"outcome"`
	Seen    string   `json:"seen,omitempty"` // what was seen instead, or why the check is not applicable
	Seconds float64  `json:"seconds"`
}

// Case is a check of one kind of workload, ready to run.
type Case struct {
	Check Check
	Kind  sdk.Kind // "" when the check runs once for all kinds

	run *run
}

// Name returns "kind/check", or "check" for a check that runs once.
func (c Case) Name() string {
	if c.Kind == "" {
		return c.Check.Name
	}
	return string(c.Kind) + "/" + c.Check.Name
}

// run is shared by all cases of one report.
type run struct {
	Config
	mark string // in the environment of every workload of the report
}

// Cases returns the checks to run, in the order of the report. The error wraps
// sdk.ErrBadOption when c.Kinds has a kind that the launcher does not start, or the
// launcher's description skips a check that does not exist.
func Cases(c Config) ([]Case, error) {
	if runtime.GOOS == "windows" {
		return nil, errors.New("the workloads of the conformance checks are shell scripts, which Windows does not run")
	}
	if c.Patience <= 0 {
		c.Patience = DefaultPatience
	}
	if c.Kinds == nil {
		c.Kinds = c.Info.Kinds
	}
	if c.Dir == "" {
		c.Dir = os.TempDir()
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("the folder for workloads: %w", err)
	}
	c.Dir = dir
	for _, k := range c.Kinds {
		if !c.Info.Offers(k) {
			return nil, fmt.Errorf("%w: the launcher does not start the kind %s", sdk.ErrBadOption, k)
		}
	}
	if hints := c.Info.Conformance; hints != nil {
		for name := range hints.Skip {
			if !slices.ContainsFunc(checks, func(check Check) bool { return check.Name == name }) {
				return nil, fmt.Errorf("%w: the launcher's description skips the check %q, which does not exist", sdk.ErrBadOption, name)
			}
		}
	}
	shared := &run{Config: c, mark: "check-secret-" + rand.Text()}
	var cases, last []Case
	for _, check := range checks {
		switch {
		case check.Last:
			last = append(last, Case{Check: check, run: shared})
		case check.Once:
			cases = append(cases, Case{Check: check, run: shared})
		}
	}
	for _, kind := range c.Kinds {
		for _, check := range checks {
			if !check.Once && !check.Last {
				cases = append(cases, Case{Check: check, Kind: kind, run: shared})
			}
		}
	}
	return append(cases, last...), nil
}

// Run runs the check and cleans up afterwards.
func (c Case) Run(ctx context.Context) Result {
	began := time.Now()
	b := &fixture{run: c.run, check: c.Check, kind: c.Kind, outcome: Pass}
	if b.kind == "" {
		b.kind = c.run.Kinds[0]
		if slices.Contains(c.run.Kinds, sdk.Engine) {
			b.kind = sdk.Engine
		}
	}
	limited, cancel := context.WithTimeout(ctx, 3*c.run.Patience)
	defer cancel()
	b.ctx = limited
	done := make(chan struct{})
	go func() { // ends with the check, which returns or calls Goexit
		defer close(done)
		defer b.cleanUp()
		defer func() {
			if v := recover(); v != nil {
				b.errorf("the check itself panicked: %v", v)
			}
		}()
		if why := b.notApplicable(); why != "" {
			b.skip("%s", why)
		}
		b.setUp()
		c.Check.run(b)
	}()
	<-done
	return Result{
		Check: c.Check.Name, Kind: c.Kind, Want: c.Check.Want, Outcome: b.outcome,
		Seen: strings.Join(b.seen, "; "), Seconds: time.Since(began).Round(time.Millisecond).Seconds(),
	}
}

// RunAll runs cases, at most together of them at the same time, and calls report with
// each result, in the order of the cases.
func RunAll(ctx context.Context, cases []Case, together int, report func(Result)) {
	results := make([]chan Result, len(cases))
	for i := range results {
		results[i] = make(chan Result, 1)
	}
	var group sync.WaitGroup
	next, before := make(chan int), make(chan struct{})
	for range max(together, 1) {
		group.Go(func() {
			for i := range next {
				results[i] <- cases[i].Run(ctx)
			}
		})
	}
	group.Go(func() {
		defer close(next)
		for i := range cases {
			if cases[i].Check.Last {
				<-before // all others have ended
			}
			next <- i
		}
	})
	first := slices.IndexFunc(cases, func(c Case) bool { return c.Check.Last })
	for i, r := range results {
		if i == first {
			close(before)
		}
		report(<-r)
	}
	group.Wait()
}
