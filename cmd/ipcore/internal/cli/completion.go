package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Choices completes a word to one of a few values.
func Choices(values ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return Beginning(word, values), cobra.ShellCompDirectiveNoFileComp
	}
}

// NoCompletion completes nothing, not even names of files.
func NoCompletion(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// Complete sets what the value of a flag is completed to. Without it that is names
// of files.
func (c *Command) Complete(flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag does not exist, or has a function already
	}
}

// Beginning returns those values that begin with a word.
func Beginning(word string, values []string) []cobra.Completion {
	var found []cobra.Completion
	for _, v := range values {
		if strings.HasPrefix(v, word) {
			found = append(found, v)
		}
	}
	return found
}

// bashFallback replaces the one function of cobra's script for bash that needs the
// bash-completion package; the script calls it when the package is not installed.
const bashFallback = `
# For a bash without the bash-completion package: split the line at blanks.
__ipcore_init_completion()
{
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    [[ $line != *[[:space:]] ]] || words+=("")
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=${words[cword > 0 ? cword - 1 : 0]}
    COMPREPLY=()
}
`

// Shells are the shells for which there is a script.
var Shells = []string{"bash", "zsh", "fish", "powershell"}

// WriteCompletion writes the script with which one of Shells completes command lines.
func (a *App) WriteCompletion(shell string) error {
	switch shell {
	case "bash":
		err := a.root.GenBashCompletionV2(a.Out, false)
		a.Outf("%s", bashFallback)
		return err
	case "zsh":
		return a.root.GenZshCompletion(a.Out)
	case "fish":
		return a.root.GenFishCompletion(a.Out, true)
	case "powershell":
		return a.root.GenPowerShellCompletionWithDesc(a.Out)
	}
	return fmt.Errorf("no completion for the shell %q", shell)
}

// FirstArgument completes the first argument to one of a few words, and no other.
func FirstArgument(words ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return Beginning(word, words), cobra.ShellCompDirectiveNoFileComp
	}
}
