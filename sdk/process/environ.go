package process

import (
	"os"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

// Environ returns this process's environment with the variables of extra added, and
// without the variables that are between ipcore and a plugin. extra takes precedence.
// Everything that starts a process must take its environment from here.
func Environ(extra map[string]string) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if _, replaced := extra[name]; !replaced && !sdk.HandshakeVariable(name) {
			env = append(env, kv)
		}
	}
	for name, value := range extra {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// Getenv returns a variable of this process's environment, or "" if it is not set.
func Getenv(name string) string { return os.Getenv(name) }

// validVariable reports whether an environment can contain a name and value.
func validVariable(name, value string) bool {
	return name != "" && !strings.ContainsAny(name, "=\x00") && !strings.Contains(value, "\x00")
}
