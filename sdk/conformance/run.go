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

// Plugin is a plugin that the kit has opened.
type Plugin interface {
	Client() *sdk.Client
	// Close ends the plugin in order; its workloads run on.
	Close()
}

// Config says what to check.
type Config struct {
	// Info is how the launcher describes itself.
	Info sdk.Info
	// Open opens one more plugin, as a later start of ipcore would.
	Open func(context.Context) (Plugin, error)

	// Describe is the executable that answers "describe", and Command how a host
	// starts the plugin; they differ for a script behind a bridge. Without them
	// the checks that need an executable are not applicable.
	Describe string
	Command  []string

	// Kinds are what to check; nil means all that Info lists.
	Kinds []sdk.Kind
	// Patience bounds every wait; 0 means DefaultPatience. A launcher without Wait
	// needs more than its Info.PollEvery.
	Patience time.Duration
	// Prepare changes a request before it is sent, for example to add the options
	// without which the launcher does not start. May be nil.
	Prepare func(*sdk.StartRequest)
	// DefaultN is how many engines a set gets when nobody says; 0 means not known.
	DefaultN int
	// Dir is where the workloads leave their files; their hosts have to see it. ""
	// means the system's temporary folder.
	Dir string
}

// Outcome is what became of a check.
type Outcome string

// The outcomes. NotApplicable is no failure.
const (
	Pass          Outcome = "pass"
	Fail          Outcome = "FAIL"
	NotApplicable Outcome = "N/A"
)

// Result is one line of the report.
type Result struct {
	Check   string   `json:"check"`          // its name, "stop-twice"
	Kind    sdk.Kind `json:"kind,omitempty"` // of the workload; "" when the check is not about one
	Want    string   `json:"want"`           // what is expected, a sentence
	Outcome Outcome  `json:"outcome"`
	Seen    string   `json:"seen,omitempty"` // what was seen instead, or why it is not applicable
	Seconds float64  `json:"seconds"`
}

// Case is a check of one kind of workload, ready to run.
type Case struct {
	Check Check
	Kind  sdk.Kind // "" when the check is not about one

	run *run
}

// Name is "kind/check", or "check".
func (c Case) Name() string {
	if c.Kind == "" {
		return c.Check.Name
	}
	return string(c.Kind) + "/" + c.Check.Name
}

// run is what all cases of one report share.
type run struct {
	Config
	mark string // in the environment of every workload of the report
}

// Cases answers what there is to check, in the order of the report.
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
		return nil, fmt.Errorf("the workloads' folder: %w", err)
	}
	c.Dir = dir
	for _, k := range c.Kinds {
		if !c.Info.Offers(k) {
			return nil, fmt.Errorf("%w: the launcher starts no %s", sdk.ErrBadOption, k)
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

// Run runs the check and cleans up behind it.
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
	go func() { // ends with the check, by its return or its stop
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

// RunAll runs cases, so many at the same time, and calls report with each result
// in the order of the cases.
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
				<-before // and none of the others is left
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
