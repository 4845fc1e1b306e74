package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/core/client"
	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/sdk"
)

// A Target is the cluster of a profile that a command is about.
type Target struct {
	profile.Options
	ClusterID string
}

// AddFlags adds the flags that name the profile and the cluster.
func (t *Target) AddFlags(c *Command) {
	fs := c.Flags()
	fs.StringVar(&t.Name, "profile", "", "IPython profile `NAME` (default \"default\")")
	fs.StringVar(&t.Dir, "profile-dir", "", "profile directory `DIR` (default $IPP_PROFILE_DIR)")
	fs.StringVar(&t.IPythonDir, "ipython-dir", "", "`DIR` where profiles are (default $IPYTHONDIR, ~/.ipython)")
	fs.StringVar(&t.ClusterID, "cluster-id", os.Getenv("IPP_CLUSTER_ID"), "`ID` of the cluster, for several in one profile (default $IPP_CLUSTER_ID)")
	fs.Lookup("cluster-id").DefValue = ""
	c.Complete("profile", t.completeProfile)
	c.Complete("cluster-id", func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return Beginning(word, t.IDs()), cobra.ShellCompDirectiveNoFileComp
	})
}

// Resolve returns the profile and the path of the cluster file.
func (t *Target) Resolve() (profile.Profile, string, error) {
	found, err := profile.Resolve(t.Options)
	if err != nil {
		return found, "", err
	}
	return found, clusterfile.Path(found.SecurityDir(), t.ClusterID), nil
}

// Connect connects to the controller of the cluster.
func (t *Target) Connect(ctx context.Context, log hclog.Logger) (*client.Client, error) {
	found, err := profile.Resolve(t.Options)
	if err != nil {
		return nil, err
	}
	file := ClientFile(found, t.ClusterID)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, WithExitCode(ExitNoCluster, WithHint(fmt.Errorf("no controller is running: there is no %s", file),
			"start one with: ipcore start"+OptionsFor(found, t.ClusterID)+"; ipcore list shows all clusters"))
	}
	return client.Connect(ctx, client.Options{File: file, Log: log})
}

// IDs returns the ids of the profile's clusters, of those that have one; none if
// the profile can't be read.
func (t *Target) IDs() []string {
	p, _, err := t.Resolve()
	if err != nil {
		return nil
	}
	files, err := cluster.Files(p)
	if err != nil {
		return nil
	}
	var ids []string
	for _, file := range files {
		if r, err := clusterfile.ReadRecord(file); err == nil && r.Cluster.ClusterID != "" {
			ids = append(ids, r.Cluster.ClusterID)
		}
	}
	return ids
}

func (t *Target) completeProfile(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, err := profile.List(t.IPythonDir)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, p := range all {
		names = append(names, p.Name())
	}
	return Beginning(word, names), cobra.ShellCompDirectiveNoFileComp
}

// ClusterOptions are the options that commands about a cluster share.
type ClusterOptions struct {
	Target
	LogOptions
}

// AddFlags adds the flags, with the default log level.
func (o *ClusterOptions) AddFlags(c *Command, level string) {
	o.Target.AddFlags(c)
	o.LogOptions.AddFlags(c, level)
}

// Open returns the profile, the path of the cluster file and the command's logger.
func (o *ClusterOptions) Open(s *Streams) (profile.Profile, string, hclog.Logger, error) {
	p, file, err := o.Resolve()
	if err != nil {
		return p, "", nil, err
	}
	log, err := o.Logger(s, "ipcore")
	return p, file, log, err
}

// ClientFile returns the path of a cluster's connection file for clients.
func ClientFile(p profile.Profile, id string) string {
	name, _ := connfile.Names(id)
	return filepath.Join(p.SecurityDir(), name)
}

// OptionsFor returns the options that name a cluster on another command line, as
// short as possible and with a blank in front; "" for the default cluster.
func OptionsFor(p profile.Profile, id string) string {
	var b strings.Builder
	if name := shortName(p); name == "" {
		fmt.Fprintf(&b, " --profile-dir=%s", sdk.ShellQuote(p.Dir))
	} else if name != "default" {
		fmt.Fprintf(&b, " --profile=%s", sdk.ShellQuote(name))
	}
	if id != "" {
		fmt.Fprintf(&b, " --cluster-id=%s", sdk.ShellQuote(id))
	}
	return b.String()
}

// pythonArguments returns the arguments of ipyparallel.Client for a cluster.
func pythonArguments(p profile.Profile, id string) string {
	var args []string
	if name := shortName(p); name == "" {
		args = append(args, "profile_dir="+pythonQuote(p.Dir))
	} else if name != "default" {
		args = append(args, "profile="+pythonQuote(name))
	}
	if id != "" {
		args = append(args, "cluster_id="+pythonQuote(id))
	}
	return strings.Join(args, ", ")
}

// shortName returns the name by which the profile is found without its directory,
// or "".
func shortName(p profile.Profile) string {
	name := p.Name()
	if name == "" {
		return ""
	}
	found, err := profile.Resolve(profile.Options{Name: name})
	if err != nil || found.Dir != p.Dir {
		return ""
	}
	return name
}

// pythonQuote returns a string literal of Python.
func pythonQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// QuoteID returns a cluster id as IPython Parallel's lists show it: ” for the
// empty one.
func QuoteID(id string) string {
	if id == "" {
		return "''"
	}
	return id
}
