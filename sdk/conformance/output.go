package conformance

import (
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

var outputChecks = []Check{{
	Name: "output", Capability: sdk.CapabilityOutput, run: checkOutput,
	Want: "while the workload runs, Output returns what it wrote to stdout and stderr",
}, {
	Name: "output-ended", Capability: sdk.CapabilityOutput, run: checkOutputEnded,
	Want: "Output is available after the end, until it is called with remove",
}, {
	Name: "output-binary", Capability: sdk.CapabilityOutput, run: checkOutputBinary,
	Want: "long output that is not UTF-8 does no harm",
}}

// waitForOutput waits until the workload's output contains the words.
func (b *fixture) waitForOutput(words ...string) {
	var text string
	var err error
	b.waitFor(func() bool {
		text, err = b.Output(b.ctx, "w", false)
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return err == nil
	}, func() string { return "Output is " + quoteEnd(text) + errText(err) })
}

// quoteEnd returns the last 200 bytes of a text in quotes.
func quoteEnd(text string) string {
	if len(text) > 200 {
		text = text[len(text)-200:]
	}
	return "\"" + strings.ToValidUTF8(text, "\uFFFD") + "\""
}

// errText returns ", " and the error, or "" for nil.
func errText(err error) string {
	if err == nil {
		return ""
	}
	return ", " + err.Error()
}

func checkOutput(b *fixture) {
	b.start(2, `echo on stdout; echo on stderr >&2; `+sleeper)
	b.waitForOutput("on stdout", "on stderr")
	b.stop()
}

func checkOutputEnded(b *fixture) {
	b.start(1, `echo on stdout; `+waitForGo)
	b.writeGoFile()
	b.eventLog(b.Client)
	b.waitForOutput("on stdout")
	if text, err := b.Output(b.ctx, "w", true); err != nil || !strings.Contains(text, "on stdout") {
		b.errorf("Output with remove: %s%s", quoteEnd(text), errText(err))
	}
	if text, err := b.Output(b.ctx, "w", false); err != nil || text != "" {
		b.errorf("Output after it was removed: %s%s", quoteEnd(text), errText(err))
	}
}

func checkOutputBinary(b *fixture) {
	b.start(1, `head -c 3000000 /dev/zero | tr '\0' '\377'; echo; echo the end; `+sleeper)
	b.waitForOutput("the end")
	b.stop()
	b.eventLog(b.Client)
}
