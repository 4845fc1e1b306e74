package sqlitedb

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// remote are the file systems that machines share. Memory maps and locks can't
// be trusted on them.
var remote = map[uint32]string{
	0x6969: "NFS", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB2",
	0x65735546: "FUSE", 0x5346414f: "AFS", 0x6b414653: "AFS", 0x00c36400: "Ceph", 0x19830326: "BeeGFS", 0x01021997: "9P",
	0x20030528: "OrangeFS", 0xaad7aaea: "PanFS", 0x7461636f: "OCFS2", 0x01161970: "GFS2", 0x73757245: "Coda",
}

// shared names the kind of file system that dir is on, when machines share it.
func shared(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", fmt.Errorf("find the file system of %s: %w", dir, err)
	}
	return remote[uint32(s.Type)], nil
}
