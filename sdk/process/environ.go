package process

import (
	"os"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

// Environ answers this process's environment less what is between ipcore and a
// plugin, and with extra, which wins. Everything that starts a process takes its
// environment from here.
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

// Getenv answers one variable of this process's environment, "" if it is not
// set.
func Getenv(name string) string { return os.Getenv(name) }

// goodEnv tells whether name and value can be put into an environment.
func validVariable(name, value string) bool {
	return name != "" && !strings.ContainsAny(name, "=\x00") && !strings.Contains(value, "\x00")
}
