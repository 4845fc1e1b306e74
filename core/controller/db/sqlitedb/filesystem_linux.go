package sqlitedb

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// sharedFilesystems are the types of file systems that machines share, by magic number.
// Memory maps and locks are not reliable on them.
var sharedFilesystems = map[uint32]string{
	0x6969: "NFS", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB2",
	0x65735546: "FUSE", 0x5346414f: "AFS", 0x6b414653: "AFS", 0x00c36400: "Ceph", 0x19830326: "BeeGFS", 0x01021997: "9P",
	0x20030528: "OrangeFS", 0xaad7aaea: "PanFS", 0x7461636f: "OCFS2", 0x01161970: "GFS2", 0x73757245: "Coda",
}

// sharedFilesystem returns the type of the file system of dir if machines may share
// it, and otherwise "".
func sharedFilesystem(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", fmt.Errorf("find the file system of %s: %w", dir, err)
	}
	return sharedFilesystems[uint32(s.Type)], nil
}
