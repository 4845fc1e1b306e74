package cluster

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/launch/plugin"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/sdk"
)

// DeadCluster is what is left of a cluster that has no supervisor: a cluster file,
// processes and jobs with its tag, or both.
type DeadCluster struct {
	Tag  string // "" if the file was written by an older ipcore
	File string // the cluster file, or "" if it no longer exists

	Status  *Status // of File, if it exists
	Orphans []Orphan

	// Known reports whether the cluster was started from this account. Others may belong
	// to a live cluster of another machine, so they are removed only if the user names
	// the tag.
	Known bool

	launchers map[string]*registry.Executable // the launchers of Orphans, by name
	options   map[string]json.RawMessage      // by the launcher's name: the options with which it found them
}

// FindDeadClusters looks for dead clusters in the profiles and among the clusters that
// were started from this account, and asks every launcher for orphans: with the options
// in the files of dead clusters, and with those of the settings. errs are about parts that
// can't be examined; these are left alone.
func FindDeadClusters(ctx context.Context, profiles []profile.Profile, search registry.Search, given []settings.Setting, log hclog.Logger) (dead []DeadCluster, errs []error) {
	tags, err := clusterfile.RememberedTags()
	if err != nil {
		errs = append(errs, err)
	}
	files, err := clusterFiles(profiles, tags)
	if err != nil {
		errs = append(errs, err)
	}
	live := map[string]bool{}
	byTag := map[string]*DeadCluster{}
	var untagged []*DeadCluster
	options := map[string][]json.RawMessage{} // by the launcher's path
	for _, file := range files {
		r, err := clusterfile.ReadRecord(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			errs = append(errs, err)
			continue
		case r.Extension.Version == 0: // written by IPython Parallel
			continue
		case supervisorRuns(r.Extension.Supervisor):
			live[r.Extension.Tag] = true
			continue
		}
		for path, o := range r.Extension.Options {
			options[path] = append(options[path], o)
		}
		status, err := Inspect(ctx, file, log)
		if err != nil {
			errs = append(errs, err)
			live[r.Extension.Tag] = true // it may be
			continue
		}
		d := &DeadCluster{Tag: r.Extension.Tag, File: file, Status: status, Known: true}
		if d.Tag == "" {
			untagged = append(untagged, d)
		} else {
			byTag[d.Tag] = d
		}
	}
	found, launchers, searchErrs := findAllOrphans(ctx, search, options, given, log)
	errs = append(errs, searchErrs...)
	for _, o := range found {
		if live[o.Tag] {
			continue
		}
		d := byTag[o.Tag]
		if d == nil {
			_, known := tags[o.Tag]
			d = &DeadCluster{Tag: o.Tag, Known: known}
			byTag[o.Tag] = d
		}
		d.Orphans = append(d.Orphans, o.Orphan)
		d.launchers = launchers
		if d.options == nil {
			d.options = map[string]json.RawMessage{}
		}
		d.options[o.Launcher] = o.options
	}
	for tag := range tags {
		// Nothing is left of this cluster, if all launchers could be asked.
		if !live[tag] && byTag[tag] == nil && len(searchErrs) == 0 {
			clusterfile.ForgetTag(tag)
		}
	}
	for _, d := range byTag {
		dead = append(dead, *d)
	}
	for _, d := range untagged {
		dead = append(dead, *d)
	}
	slices.SortFunc(dead, func(a, b DeadCluster) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Tag, b.Tag)) })
	return dead, errs
}

// clusterFiles returns the cluster files of profiles and of tags, each once.
func clusterFiles(profiles []profile.Profile, tags map[string]string) ([]string, error) {
	var files []string
	var errs error
	for _, p := range profiles {
		more, err := Files(p)
		files, errs = append(files, more...), errors.Join(errs, err)
	}
	for _, file := range tags {
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), errs
}

// foundOrphan is an orphan with the options with which its launcher found it.
type foundOrphan struct {
	Orphan
	options json.RawMessage
}

// findAllOrphans asks every launcher that can find orphans for all that have a tag of
// ipcore.
func findAllOrphans(
	ctx context.Context, search registry.Search, options map[string][]json.RawMessage, given []settings.Setting, log hclog.Logger,
) (all []foundOrphan, launchers map[string]*registry.Executable, errs []error) {
	list, err := registry.List(ctx, search)
	if err != nil {
		errs = append(errs, err)
	}
	launchers = map[string]*registry.Executable{}
	for i := range list {
		executable := &list[i]
		if executable.Err != nil || !executable.Info.Has(sdk.CapabilityOrphans) {
			continue
		}
		launchers[executable.Name] = executable
		set, err := settingOptions(executable, given)
		if err != nil {
			errs = append(errs, fmt.Errorf("launcher %q: %w", executable.Name, err))
		}
		for _, o := range distinct(append(options[executable.Path], set...)) {
			found, err := queryOrphans(ctx, executable, sdk.OrphanQuery{Tag: clusterfile.TagPrefix, Options: o}, log)
			if err != nil && !errors.Is(err, sdk.ErrUnsupported) {
				errs = append(errs, fmt.Errorf("launcher %q: %w", executable.Name, err))
			}
			for _, orphan := range orphansFrom(executable.Name, found) {
				if !slices.ContainsFunc(all, func(old foundOrphan) bool { return orphan.same(old.Orphan) }) {
					all = append(all, foundOrphan{orphan, o})
				}
			}
		}
	}
	return all, launchers, errs
}

// settingOptions returns the launcher's options that result from the settings, for each
// kind.
func settingOptions(executable *registry.Executable, given []settings.Setting) (all []json.RawMessage, err error) {
	var selections []*settings.Selection
	for _, kind := range executable.Info.Kinds {
		selections = append(selections, &settings.Selection{Executable: executable, Kind: kind})
	}
	if _, err := settings.Configure(selections, given); err != nil {
		return nil, err
	}
	for _, s := range selections {
		all = append(all, s.Options)
	}
	return all, nil
}

// distinct returns the options without duplicates, or only nil if there are none.
func distinct(all []json.RawMessage) []json.RawMessage {
	all = slices.DeleteFunc(all, func(o json.RawMessage) bool { return len(o) == 0 || string(o) == "{}" || string(o) == "null" })
	slices.SortFunc(all, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
	all = slices.CompactFunc(all, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
	if len(all) == 0 {
		return []json.RawMessage{nil}
	}
	return all
}

func queryOrphans(ctx context.Context, executable *registry.Executable, q sdk.OrphanQuery, log hclog.Logger) ([]sdk.Orphan, error) {
	ctx, cancel := context.WithTimeout(ctx, orphanTimeout)
	defer cancel()
	p, err := plugin.Open(ctx, executable, plugin.OpenOptions{Log: log})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.Orphans(ctx, q)
}

// Remove ends what is left of the cluster and removes its files.
func (d *DeadCluster) Remove(ctx context.Context, log hclog.Logger) error {
	if d.File != "" {
		left, err := Stop(ctx, d.File, log)
		if _, gone := errors.AsType[*NotFoundError](err); gone {
			err = nil
		}
		if err != nil {
			return err
		}
		d.Orphans = left.Orphans
		if len(left.Orphans) == 0 {
			return nil
		}
	}
	var errs error
	for name, executable := range d.launchers {
		var mine []sdk.Orphan
		for _, v := range d.Orphans {
			if v.Launcher == name {
				mine = append(mine, sdk.Orphan{ID: v.ID, Tag: v.Tag, Text: v.Text})
			}
		}
		if len(mine) > 0 {
			errs = errors.Join(errs, removeOrphans(ctx, executable, sdk.OrphanQuery{Options: d.options[name]}, mine, log))
		}
	}
	if errs == nil {
		clusterfile.ForgetTag(d.Tag)
	}
	return errs
}

func removeOrphans(ctx context.Context, executable *registry.Executable, q sdk.OrphanQuery, orphans []sdk.Orphan, log hclog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	p, err := plugin.Open(ctx, executable, plugin.OpenOptions{Log: log})
	if err != nil {
		return err
	}
	defer p.Close()
	return p.RemoveOrphans(ctx, q, orphans)
}
