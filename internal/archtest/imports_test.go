package archtest

import (
	"slices"
	"strings"
	"testing"
)

// importRules lists which packages of this module a folder must not import. A rule
// applies to test files only if testsToo is true: the tests of some packages run them
// together with the packages that they work with.
var importRules = []struct {
	folder    string
	except    []string // folders below it to which the rule does not apply
	forbidden []string
	allowed   []string // exceptions to forbidden
	testsToo  bool
	reason    string
}{
	{
		folder: "sdk", forbidden: []string{"core", "plugins", "cmd", "internal"}, testsToo: true,
		reason: "authors of launchers build the sdk alone, without ipcore itself",
	},
	{
		folder: "plugins", forbidden: []string{"core", "cmd", "internal"}, testsToo: true,
		reason: "our launchers are built from the sdk, as a third party's are",
	},
	{
		folder: "examples/mine", forbidden: []string{"core", "plugins", "cmd", "internal"}, testsToo: true,
		reason: "the example shows what an author outside the repository can do",
	},
	{
		folder: "core", forbidden: []string{"cmd", "plugins"}, testsToo: true,
		reason: "the core must work without the command, and finds launchers at run time instead of linking them",
	},
	{
		folder: "cmd/ipcore", forbidden: []string{"plugins"}, testsToo: true,
		reason: "ipcore finds launchers at run time and must not link them; only cmd/ipcore-launchers does",
	},
	{
		folder: "core", except: []string{"core/launch"}, forbidden: []string{"sdk"}, allowed: []string{"sdk/process"},
		reason: "only packages that start clusters use launchers",
	},
	{
		folder: "core/wire", forbidden: []string{"core", "sdk"}, allowed: []string{"core/wire"},
		reason: "the message format does not depend on other packages",
	},
	{
		folder: "core/sockets", forbidden: []string{"core", "sdk"}, allowed: []string{"core/sockets"},
		reason: "the transport handles frames and does not depend on the message format",
	},
	{
		folder: "core/sockets/zmtp", forbidden: []string{"core", "sdk", "internal"}, testsToo: true,
		reason: "the format of frames does not depend on other packages, so that packages that use it can be tested against it",
	},
	{
		folder: "core/sockets/curve", forbidden: []string{"core", "sdk", "internal"}, allowed: []string{"core/sockets/zmtp"}, testsToo: true,
		reason: "encryption depends on the format of frames but not on connections, so that it can be reviewed by itself",
	},
	{
		folder: "internal", except: []string{"internal/archtest"}, forbidden: []string{"core", "sdk", "plugins", "cmd"}, testsToo: true,
		reason: "these packages do not depend on others, so that any package can use them",
	},
	{
		folder: "core/profile", forbidden: []string{"core", "sdk"}, allowed: []string{"core/profile"},
		reason: "folders are found before anything else runs, so this package depends on nothing",
	},
	{
		folder: "core/connfile", forbidden: []string{"core", "sdk"}, allowed: []string{"core/connfile"},
		reason: "the format of a file does not depend on other packages",
	},
	{
		folder: "core/controller", forbidden: []string{"core/client", "core/engine", "core/launch"},
		reason: "a controller serves every peer that speaks the protocol, and depends neither on how it was started nor on how clients and engines work",
	},
	{
		folder: "core/controller/monitor", forbidden: []string{"core", "sdk"}, allowed: []string{"core/controller/monitor"}, testsToo: true,
		reason: "reports to the hub are defined independently of the packages that send or record them",
	},
	{
		folder: "core/controller/hub", forbidden: []string{"core/controller"},
		allowed: []string{"core/controller/hub", "core/controller/db", "core/controller/monitor"},
		reason:  "the hub records what relays and the scheduler report, and does not depend on how they work",
	},
	{
		folder: "core/controller/relay", forbidden: []string{"core/controller", "core/engine"},
		allowed: []string{"core/controller/relay", "core/controller/scheduler", "core/controller/monitor"}, testsToo: true,
		reason: "relays report to a monitor and do not depend on what records the reports",
	},
	{
		folder: "core/controller/scheduler", forbidden: []string{"core/controller", "core/sockets"},
		allowed: []string{"core/controller/scheduler", "core/controller/monitor"},
		reason:  "the scheduler decides without sockets or records",
	},
	{
		folder: "core/controller/metrics", forbidden: []string{"core"}, allowed: []string{"core/controller", "core/sockets", "core/wire"},
		reason: "metrics are read from the other parts of the controller, which do not depend on this package",
	},
	{
		folder: "core/client", forbidden: []string{"core/controller", "core/engine", "core/launch"},
		reason: "a client depends on the wire protocol, not on how controllers and engines work",
	},
	{
		folder: "core/launch/registry", forbidden: []string{"core"}, allowed: []string{"core/launch/registry"},
		reason: "finding launchers does not depend on the programs that they start",
	},
	{
		folder: "core/engine", forbidden: []string{"core/controller", "core/client", "core/launch"},
		reason: "an engine depends on the wire protocol, not on how controllers and clients work",
	},
}

func TestImportRules(t *testing.T) {
	for _, f := range sources(t) {
		for _, rule := range importRules {
			if !within(f.folder(), rule.folder) || within(f.folder(), rule.except...) || f.test() && !rule.testsToo {
				continue
			}
			for _, i := range f.imports {
				own, ok := strings.CutPrefix(i, module+"/")
				if ok && within(own, rule.forbidden...) && !within(own, rule.allowed...) && own != f.folder() {
					t.Errorf("%s imports %s: %s", f.path, own, rule.reason)
				}
			}
		}
	}
}

// TestPluginsAreIndependent checks that a launcher never imports another one.
func TestPluginsAreIndependent(t *testing.T) {
	for _, f := range sources(t) {
		if !within(f.folder(), "plugins/*") {
			continue
		}
		plugin := strings.Join(strings.Split(f.folder(), "/")[:2], "/")
		for _, i := range f.imports {
			own, ok := strings.CutPrefix(i, module+"/")
			if ok && within(own, "plugins") && !within(own, plugin) {
				t.Errorf("%s imports %s: code that two launchers share belongs in sdk", f.path, own)
			}
		}
	}
}

// libraryHomes lists the folders that may import a library. Few folders keep the
// library replaceable.
var libraryHomes = []struct {
	library string
	folders []string
	reason  string
}{
	{"github.com/go-zeromq/zmq4", []string{"core/sockets"}, "the ZeroMQ layer must stay replaceable"},
	{"golang.org/x/crypto", []string{"core/sockets/curve", "core/wire"}, "the transport encrypts, and the message format signs"},
	{"github.com/hashicorp/go-plugin", []string{"sdk", "core/launch"}, "these are the two ends of a plugin connection"},
	{"google.golang.org/grpc", []string{"sdk", "core/launch"}, "gRPC is used only between ipcore and its plugins"},
	{"google.golang.org/protobuf", []string{"sdk", "core/launch"}, "generated messages are used only below the sdk's own types"},
	{"github.com/shirou/gopsutil", []string{"sdk/process"}, "one package reads the state of processes"},
	{"github.com/spf13/pflag", []string{"cmd"}, "only the command line parses flags"},
	{"github.com/spf13/cobra", []string{"cmd"}, "only the command line has commands"},
	{"github.com/schollz/progressbar", []string{"cmd", "examples"}, "only programs with a terminal draw"},
	{"golang.org/x/term", []string{"cmd", "examples"}, "only programs use a terminal"},
	{"github.com/prometheus", []string{"core/controller/metrics"}, "the parts of a controller count with plain numbers, and one package exports them"},
	{"go.starlark.net", []string{"sdk/batch/template"}, "only one package depends on the language of templates"},
	{"github.com/rogpeppe/go-internal", []string{"cmd", "core/launch/cluster"}, "it runs scripts that test commands"},
}

func TestLibraryHomes(t *testing.T) {
	for _, f := range sources(t) {
		for _, i := range f.imports {
			for _, h := range libraryHomes {
				if within(i, h.library) && !within(f.folder(), h.folders...) {
					t.Errorf("%s imports %s, which belongs in %s: %s", f.path, i, strings.Join(h.folders, ", "), h.reason)
				}
			}
		}
	}
}

// standardOnly lists packages that import only the standard library, hashLibrary and
// packages of this module, which importRules restricts.
var standardOnly = []string{"core/wire", "core/profile", "core/connfile"}

// hashLibrary has the hash functions that Python's hashlib has and Go's standard
// library does not have.
const hashLibrary = "golang.org/x/crypto"

func TestStandardLibraryOnly(t *testing.T) {
	for _, f := range sources(t) {
		if f.test() || !slices.Contains(standardOnly, f.folder()) {
			continue
		}
		for _, i := range f.imports {
			first, _, _ := strings.Cut(i, "/")
			if strings.Contains(first, ".") && !within(i, module, hashLibrary) {
				t.Errorf("%s imports %s: %s must use the standard library only", f.path, i, f.folder())
			}
		}
	}
}

// TestNoTestLibrary checks that tests are written with the standard library.
func TestNoTestLibrary(t *testing.T) {
	for _, f := range sources(t) {
		for _, i := range f.imports {
			if within(i, "github.com/stretchr/testify") {
				t.Errorf("%s imports %s: tests here use the standard library", f.path, i)
			}
		}
	}
}
