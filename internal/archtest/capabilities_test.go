package archtest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/plugins/batch"
	"github.com/ipcore/ipcore/plugins/htcondor"
	"github.com/ipcore/ipcore/plugins/local"
	"github.com/ipcore/ipcore/plugins/lsf"
	"github.com/ipcore/ipcore/plugins/mpi"
	"github.com/ipcore/ipcore/plugins/pbs"
	"github.com/ipcore/ipcore/plugins/sge"
	"github.com/ipcore/ipcore/plugins/slurm"
	"github.com/ipcore/ipcore/plugins/ssh"
	"github.com/ipcore/ipcore/plugins/winhpc"
	"github.com/ipcore/ipcore/sdk"
	batchsystem "github.com/ipcore/ipcore/sdk/batch"
)

// capabilitiesPage is the document with the table of each launcher's capabilities.
const capabilitiesPage = "docs/launchers.md"

// launcher holds the arguments that a launcher's main function passes to sdk.Serve.
type launcher struct {
	info sdk.Info
	new  sdk.Factory
}

// launchers returns this repository's launchers, except exec, whose capabilities are
// those of the script that it runs.
func launchers() []launcher {
	all := []launcher{{local.Info(), local.New}, {mpi.Info(), mpi.New}, {ssh.Info(), ssh.New}, {ssh.ProxyInfo(), ssh.NewProxy}}
	for _, s := range []batchsystem.System{batch.System, htcondor.System, lsf.System, pbs.System, sge.System, slurm.System, winhpc.System} {
		all = append(all, launcher{s.Info("0"), s.New()})
	}
	return all
}

// TestDocumentedCapabilities checks that the table of capabilitiesPage lists, for
// each launcher, the capabilities that it declares and no others.
func TestDocumentedCapabilities(t *testing.T) {
	documented := documentedCapabilities(t)
	declared := map[string][]sdk.Capability{}
	for _, l := range launchers() {
		served, err := sdk.ServeTest(l.info, l.new, hclog.NewNullLogger())
		if err != nil {
			t.Fatalf("%s: %v", l.info.Name, err)
		}
		declared[l.info.Name] = served.Info.Capabilities
		served.Close()
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		want := slices.Sorted(slices.Values(declared[name]))
		if got := slices.Sorted(slices.Values(documented[name])); !slices.Equal(got, want) {
			t.Errorf("%s: %s lists %v, the launcher declares %v", name, capabilitiesPage, got, want)
		}
	}
	for name := range documented {
		if _, ok := declared[name]; !ok {
			t.Errorf("%s lists the launcher %s, which this test does not know", capabilitiesPage, name)
		}
	}
}

// documentedCapabilities reads the table of capabilitiesPage.
func documentedCapabilities(t *testing.T) map[string][]sdk.Capability {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(capabilitiesPage)))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "## Capabilities\n")
	if !ok {
		t.Fatalf("%s has no section Capabilities", capabilitiesPage)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	documented := map[string][]sdk.Capability{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		for word := range strings.SplitSeq(cells[2], ",") {
			documented[name] = append(documented[name], sdk.Capability(strings.TrimSpace(word)))
		}
	}
	return documented
}
