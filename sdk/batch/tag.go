package batch

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/ipcore/ipcore/sdk"
)

// tag names the cluster that a workload belongs to.
func tag(r sdk.StartRequest) string {
	sum := sha256.Sum256([]byte(r.ProfileDir + "\x00" + r.ClusterID))
	return "ipcore-" + hex.EncodeToString(sum[:6])
}
