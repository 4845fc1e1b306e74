package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

var invalidNameChars = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// nameOf returns the name for a workload's job: the cluster's tag, "_", and the
// workload's id. It begins with a letter, as some systems require.
func nameOf(r sdk.StartRequest) string {
	tag := r.Tag
	if tag == "" { // no one looks for this tag, but names must differ between clusters
		sum := sha256.Sum256([]byte(r.ProfileDir + "\x00" + r.ClusterID))
		tag = "ipcore-" + hex.EncodeToString(sum[:6])
	}
	name := tag + "_" + invalidNameChars.ReplaceAllString(r.ID, "-")
	if c := name[0] | 0x20; c < 'a' || c > 'z' {
		name = "t_" + name
	}
	return name
}

// tagOf returns the tag of a job, from its comment or else from its name, or "" if it
// has none.
func tagOf(r Record) string {
	if r.Comment != "" && !strings.ContainsAny(r.Comment, " \t") {
		return r.Comment
	}
	tag, _, ok := strings.Cut(strings.TrimPrefix(r.Name, "t_"), "_")
	if !ok {
		return ""
	}
	return tag
}
