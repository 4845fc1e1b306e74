package arguments

import (
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	for _, test := range []struct {
		args          string
		address, keep bool
	}{
		{args: ""},
		{args: "ipcontroller --ping=1000 --scheme=lru"},
		{args: "ipcore controller --ip=*", address: true},
		{args: "-ip 10.0.0.1", address: true},
		{args: "--HubFactory.ip=10.0.0.1", address: true},
		{args: "--IPController.engine_ip=10.0.0.1 --reuse", address: true, keep: true},
		{args: "ip reuse"}, // not arguments
		{args: "python3 -m ipyparallel.controller --restore", keep: true},
		{args: "--IPController.reuse_files=True", keep: true},
		{args: "--IPController.reuse_files=False"},
		{args: "--reuse=false --restore", keep: true},
	} {
		words := strings.Fields(test.args)
		if SetAddress(words) != test.address || KeepFiles(words) != test.keep {
			t.Errorf("%q: sets an address: %t, keeps files: %t", test.args, SetAddress(words), KeepFiles(words))
		}
	}
}
