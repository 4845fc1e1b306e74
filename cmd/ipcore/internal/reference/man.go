package reference

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
)

// ManPages returns the man pages of all commands by file name. ipcore.1 is about the
// program as a whole.
func ManPages(a *cli.App, version string) map[string]string {
	pages := map[string]string{}
	var b strings.Builder
	manHeader(&b, "ipcore", "controller and engines of IPython Parallel", version)
	b.WriteString(".SH SYNOPSIS\n.B ipcore\n[start] \\-n \\fIN\\fR [options]\n.br\n.B ipcore\n\\fICOMMAND\\fR [options]\n")
	b.WriteString(".SH DESCRIPTION\nipcore runs Python code in parallel: a controller, engines, and the commands for both.\n")
	b.WriteString(".SH COMMANDS\n")
	var also []string
	for _, c := range a.Commands() {
		if c.Hidden {
			continue
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(c.Name()), roff(c.Short))
		also = append(also, fileName(c))
		pages[fileName(c)+".1"] = manPage(c, version)
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", e.code, roff(e.meaning))
	}
	seeAlso(&b, also...)
	pages["ipcore.1"] = b.String()
	return pages
}

func manPage(c *cli.Command, version string) string {
	var b strings.Builder
	manHeader(&b, fileName(c), c.Short, version)
	arguments := strings.TrimPrefix(c.UseLine(), "ipcore "+c.Name())
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B ipcore %s\n%s\n", roff(c.Name()), roff(strings.TrimSpace(arguments)))
	b.WriteString(".SH DESCRIPTION\n")
	for i, paragraph := range strings.Split(strings.TrimSpace(c.Long), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(paragraph) + "\n")
	}
	shown, hidden, _ := options(c)
	b.WriteString(".SH OPTIONS\n" + manOptions(shown))
	if len(hidden) > 0 {
		b.WriteString(".SH OTHER OPTIONS\n\\-\\-help does not show these.\n" + manOptions(hidden))
	}
	b.WriteString(".SH EXAMPLES\n.nf\n")
	for _, line := range cli.Examples(c.Command) {
		b.WriteString(roff(line) + "\n")
	}
	b.WriteString(".fi\n")
	seeAlso(&b, "ipcore")
	return b.String()
}

func manHeader(b *strings.Builder, name, short, version string) {
	fmt.Fprintf(b, ".TH %q 1 \"\" \"ipcore %s\" \"ipcore\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(name), version, roff(name), roff(short))
}

func seeAlso(b *strings.Builder, pages ...string) {
	b.WriteString(".SH SEE ALSO\n")
	for i, p := range pages {
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		fmt.Fprintf(b, ".BR %s (1)%s\n", roff(p), end)
	}
}

func manOptions(flags []*pflag.Flag) string {
	var b strings.Builder
	for _, f := range flags {
		names, meaning := option(f)
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(names), roff(meaning))
	}
	return b.String()
}

// roff returns a text in which no character is a command to the formatter.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	var b strings.Builder
	for _, r := range strings.Join(lines, "\n") {
		if r > 127 {
			fmt.Fprintf(&b, `\[u%04X]`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
