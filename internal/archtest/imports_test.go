package archtest

import (
	"slices"
	"strings"
	"testing"
)

// rooms says which of our own packages a folder must not import. Test files are
// bound too, unless testsToo is false: a test may bring a real neighbour in.
var rooms = []struct {
	folder    string
	except    []string // folders below it that the rule does not bind
	forbidden []string
	allowed   []string // exceptions to forbidden
	testsToo  bool
	reason    string
}{
	{
		folder: "sdk", forbidden: []string{"core", "plugins", "cmd", "internal"}, testsToo: true,
		reason: "authors of launchers build the sdk alone; it must not pull the host in",
	},
	{
		folder: "plugins", forbidden: []string{"core", "cmd", "internal"}, testsToo: true,
		reason: "our launchers are built as any third party's: from the sdk",
	},
	{
		folder: "examples/mine", forbidden: []string{"core", "plugins", "cmd", "internal"}, testsToo: true,
		reason: "the example shows what an author outside the repository can do",
	},
	{
		folder: "core", forbidden: []string{"cmd", "plugins"}, testsToo: true,
		reason: "the core must work without the command, and launchers are found at run time, never linked",
	},
	{
		folder: "cmd/ipcore", forbidden: []string{"plugins"}, testsToo: true,
		reason: "ipcore finds launchers at run time and never links them; cmd/ipcore-launchers does",
	},
	{
		folder: "core", except: []string{"core/launch"}, forbidden: []string{"sdk"}, allowed: []string{"sdk/process"},
		reason: "only what starts clusters knows of launchers",
	},
	{
		folder: "core/wire", forbidden: []string{"core", "sdk"}, allowed: []string{"core/wire"},
		reason: "the message format stands alone",
	},
	{
		folder: "core/sockets", forbidden: []string{"core", "sdk"}, allowed: []string{"core/sockets"},
		reason: "the transport knows frames, not messages",
	},
	{
		folder: "core/sockets/zmtp", forbidden: []string{"core", "sdk", "internal"}, testsToo: true,
		reason: "the format of frames depends on nothing, so that its users can be tested against it",
	},
	{
		folder: "core/sockets/curve", forbidden: []string{"core", "sdk", "internal"}, allowed: []string{"core/sockets/zmtp"}, testsToo: true,
		reason: "encryption knows the format of frames, not connections, so that it can be reviewed by itself",
	},
	{
		folder: "internal", except: []string{"internal/archtest"}, forbidden: []string{"core", "sdk", "plugins", "cmd"}, testsToo: true,
		reason: "small mechanisms depend on nothing, so that any package can use them",
	},
	{
		folder: "core/profile", forbidden: []string{"core", "sdk"}, allowed: []string{"core/profile"},
		reason: "folders are found before anything else runs",
	},
	{
		folder: "core/connfile", forbidden: []string{"core", "sdk"}, allowed: []string{"core/connfile"},
		reason: "a file's form depends on nothing",
	},
	{
		folder: "core/controller", forbidden: []string{"core/client", "core/engine", "core/launch"},
		reason: "a controller serves whoever speaks the protocol, and knows neither who started it nor the other end's insides",
	},
	{
		folder: "core/controller/monitor", forbidden: []string{"core", "sdk"}, allowed: []string{"core/controller/monitor"}, testsToo: true,
		reason: "what is reported to the hub is described without those who report it or record it",
	},
	{
		folder: "core/controller/hub", forbidden: []string{"core/controller"},
		allowed: []string{"core/controller/hub", "core/controller/db", "core/controller/monitor"},
		reason:  "the hub records what relays and the scheduler report, and must not reach into them",
	},
	{
		folder: "core/controller/relay", forbidden: []string{"core/controller", "core/engine"},
		allowed: []string{"core/controller/relay", "core/controller/scheduler", "core/controller/monitor"}, testsToo: true,
		reason: "relays report to a monitor and do not know who records",
	},
	{
		folder: "core/controller/scheduler", forbidden: []string{"core/controller", "core/sockets"},
		allowed: []string{"core/controller/scheduler", "core/controller/monitor"},
		reason:  "the scheduler decides without sockets or records",
	},
	{
		folder: "core/controller/metrics", forbidden: []string{"core"}, allowed: []string{"core/controller", "core/sockets", "core/wire"},
		reason: "numbers are read off the parts, which know nothing of it",
	},
	{
		folder: "core/client", forbidden: []string{"core/controller", "core/engine", "core/launch"},
		reason: "a client knows the wire, not the other end's insides",
	},
	{
		folder: "core/launch/registry", forbidden: []string{"core"}, allowed: []string{"core/launch/registry"},
		reason: "launchers are found without the programs that they start",
	},
	{
		folder: "core/engine", forbidden: []string{"core/controller", "core/client", "core/launch"},
		reason: "an engine knows the wire, not the other end's insides",
	},
}

func TestRooms(t *testing.T) {
	for _, f := range sources(t) {
		for _, rule := range rooms {
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

// TestPluginsStandAlone checks that a launcher never imports another one.
func TestPluginsStandAlone(t *testing.T) {
	for _, f := range sources(t) {
		if !within(f.folder(), "plugins/*") {
			continue
		}
		home := strings.Join(strings.Split(f.folder(), "/")[:2], "/")
		for _, i := range f.imports {
			own, ok := strings.CutPrefix(i, module+"/")
			if ok && within(own, "plugins") && !within(own, home) {
				t.Errorf("%s imports %s: what two launchers share belongs in sdk", f.path, own)
			}
		}
	}
}

// homes says where a library may be imported. One home keeps it replaceable.
var homes = []struct {
	library string
	folders []string
	reason  string
}{
	{"github.com/go-zeromq/zmq4", []string{"core/sockets"}, "the ZeroMQ layer must stay replaceable"},
	{"golang.org/x/crypto", []string{"core/sockets/curve", "core/wire"}, "encryption is the transport's business, signatures are the messages'"},
	{"github.com/hashicorp/go-plugin", []string{"sdk", "core/launch"}, "the two ends of a plugin connection"},
	{"google.golang.org/grpc", []string{"sdk", "core/launch"}, "gRPC is how plugins are spoken to, nothing else"},
	{"google.golang.org/protobuf", []string{"sdk", "core/launch"}, "generated messages end at the facade"},
	{"github.com/shirou/gopsutil", []string{"sdk/process"}, "looking at processes is one package's business"},
	{"github.com/spf13/pflag", []string{"cmd"}, "flags end at the command line"},
	{"github.com/spf13/cobra", []string{"cmd"}, "commands end at the command line"},
	{"github.com/schollz/progressbar", []string{"cmd", "examples"}, "drawing belongs to programs with a terminal"},
	{"golang.org/x/term", []string{"cmd", "examples"}, "terminals belong to programs"},
	{"github.com/prometheus", []string{"core/controller/metrics"}, "parts count with plain numbers, and one package shows them"},
	{"go.starlark.net", []string{"sdk/batch/template"}, "templates have one language, and one place that knows it"},
	{"github.com/rogpeppe/go-internal", []string{"cmd", "core/launch/cluster"}, "scripts test commands"},
}

func TestLibrariesHaveOneHome(t *testing.T) {
	for _, f := range sources(t) {
		for _, i := range f.imports {
			for _, h := range homes {
				if within(i, h.library) && !within(f.folder(), h.folders...) {
					t.Errorf("%s imports %s, which belongs in %s: %s", f.path, i, strings.Join(h.folders, ", "), h.reason)
				}
			}
		}
	}
}

// standardOnly lists packages that import nothing but the standard library and
// our own, and hash functions; rooms says which of our own.
var standardOnly = []string{"core/wire", "core/profile", "core/connfile"}

// hashLibrary has the hashes that Python's hashlib has beside Go's standard library.
const hashLibrary = "golang.org/x/crypto"

func TestStandardLibraryOnly(t *testing.T) {
	for _, f := range sources(t) {
		if f.test() || !slices.Contains(standardOnly, f.folder()) {
			continue
		}
		for _, i := range f.imports {
			first, _, _ := strings.Cut(i, "/")
			if strings.Contains(first, ".") && !within(i, module, hashLibrary) {
				t.Errorf("%s imports %s: %s needs no library", f.path, i, f.folder())
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
