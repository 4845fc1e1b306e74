package main

import (
	"slices"
	"testing"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
)

func TestCalledByUpstreamsNames(t *testing.T) {
	for _, test := range []struct {
		argv, want []string
		log        string
	}{
		{argv: []string{"/usr/bin/ipcore", "list"}, want: []string{"list"}},
		{argv: []string{"/opt/bin/ipcontroller", "--ping=250"}, want: []string{"controller", "--ping=250"}, log: "IPControllerApp"},
		{argv: []string{"ipengine.exe"}, want: []string{"engine"}, log: "IPEngineApp"},
		{argv: []string{"ipcluster", "start", "-n", "4"}, want: []string{"start", "-n", "4"}, log: "IPClusterStart"},
		{argv: []string{"ipcontroller", "--version"}, want: []string{"--version"}, log: "IPControllerApp"},
		{argv: nil},
	} {
		s := &cli.Streams{}
		if got := arguments(s, test.argv); !slices.Equal(got, test.want) || s.LogName != test.log {
			t.Errorf("%q becomes %q with %q", test.argv, got, s.LogName)
		}
	}
}
