package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/client"
	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/sdk"
)

// resolve answers the profile and the cluster file's path.
func (p *place) resolve() (profile.Profile, string, error) {
	found, err := profile.Resolve(p.Options)
	if err != nil {
		return found, "", err
	}
	return found, cluster.Path(found.SecurityDir(), p.clusterID), nil
}

// controllersID is the id of the cluster whose controller a start's engines have.
func controllersID(co cluster.Options) string {
	if co.Join != nil {
		return *co.Join
	}
	return co.ID
}

// clientFile is the path of a cluster's connection file for clients.
func clientFile(p profile.Profile, id string) string {
	name, _ := connfile.Names(id)
	return filepath.Join(p.SecurityDir(), name)
}

// connect connects to the controller of the cluster.
func (p *place) connect(ctx context.Context, log hclog.Logger) (*client.Client, error) {
	found, err := profile.Resolve(p.Options)
	if err != nil {
		return nil, err
	}
	file := clientFile(found, p.clusterID)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, &exitError{code: exitNoCluster, err: &hintedError{
			err:  fmt.Errorf("no controller is running: there is no %s", file),
			hint: "start one with: ipcore start" + argsFor(found, p.clusterID) + "; ipcore list shows all clusters",
		}}
	}
	return client.Connect(ctx, client.Options{File: file, Log: log})
}

// argsFor answers the options that name a cluster in another command line, as
// short as they can be, with a blank in front; "" for the default.
func argsFor(p profile.Profile, id string) string {
	var b strings.Builder
	if name := byName(p); name == "" {
		fmt.Fprintf(&b, " --profile-dir=%s", sdk.ShellQuote(p.Dir))
	} else if name != "default" {
		fmt.Fprintf(&b, " --profile=%s", sdk.ShellQuote(name))
	}
	if id != "" {
		fmt.Fprintf(&b, " --cluster-id=%s", sdk.ShellQuote(id))
	}
	return b.String()
}

// pythonArgs answers the arguments of ipyparallel.Client for a cluster.
func pythonArgs(p profile.Profile, id string) string {
	var args []string
	if name := byName(p); name == "" {
		args = append(args, "profile_dir="+pythonQuote(p.Dir))
	} else if name != "default" {
		args = append(args, "profile="+pythonQuote(name))
	}
	if id != "" {
		args = append(args, "cluster_id="+pythonQuote(id))
	}
	return strings.Join(args, ", ")
}

// byName answers the name by which the profile is found without its directory,
// or "".
func byName(p profile.Profile) string {
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

// pythonQuote writes a string literal of Python.
func pythonQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
