//go:build !race

package robust

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/sqlitedb"
	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// TestFullDisk fills the disk under an SQLite database, and then the memory that
// records may wait in: tasks continue, and the log says how many records were given
// up. When there is room again records are written again. Afterwards those are in
// the file that were written before, and those that came after; with those that
// were given up they are as many as there were tasks.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a small disk is mounted for this: run it as root")
	}
	waits := int64(1 << 20)
	if long {
		waits = 16 << 20
	}
	disk := t.TempDir()
	if err := syscall.Mount("siege", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no tmpfs can be mounted here (%v): run it as root of the machine", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(disk, "tasks.db")
	v := start(t, 4, settings{DB: "sqlitedb", SQLiteFile: file, MaxQueued: waits})
	v.latencyP99(50)
	early := v.history()
	await(t, "the first records in the file", func() bool { return len(stored(t, file)) == len(early) })
	before := v.usage()
	// The hub keeps counting; Latency and Tasks wait for them.
	await(t, "a full disk", func() bool {
		v.latencyP99(100)
		return strings.Contains(v.log(), "task database can't be written")
	})
	t.Logf("p99 with a full disk: %v", v.latencyP99(200))
	await(t, "records that are given up", func() bool {
		if _, err := v.Tasks(v.ctx, 500, 100); err != nil {
			t.Fatal(err)
		}
		return v.givenUp() > 0
	})
	v.requestResult(early[0]) // what is in the file can be asked for
	if err := syscall.Mount("siege", disk, "tmpfs", syscall.MS_REMOUNT, "size=1g"); err != nil {
		t.Fatal(err)
	}
	await(t, "a database that is written again", func() bool {
		v.latencyP99(1)
		return strings.Contains(v.log(), "task database can be written again")
	})
	full := map[string]bool{}
	for _, id := range v.history() {
		full[id] = true
	}
	await(t, "the records that waited in the file", func() bool { return len(stored(t, file)) == len(full) })
	v.latencyP99(50)
	var late []string
	for _, id := range v.history() {
		if !full[id] {
			late = append(late, id)
		}
	}
	v.awaitUsage(before)
	tasks, err := v.Client.Completed(v.ctx)
	if err != nil {
		t.Fatal(err)
	}
	lost := v.givenUp()
	if strings.Contains(v.log(), "hub is behind") {
		t.Errorf("the hub did not get round to all:\n%s", v.tail())
	}
	if err := v.Controller.Stop(v.ctx); err != nil {
		t.Fatal(err)
	}

	records := stored(t, file)
	t.Logf("%d tasks: %d records, %d given up", tasks, len(records), lost)
	if len(records)+lost != tasks {
		t.Errorf("%d tasks, but %d records and %d that were given up", tasks, len(records), lost)
	}
	if len(late) != 50 {
		t.Errorf("%d records of 50 tasks after there was room", len(late))
	}
	for when, ids := range map[string][]string{"before the disk was full": early, "after there was room": late} {
		for _, id := range ids {
			if r := records[id]; r == nil {
				t.Errorf("no record %s of %s", id, when)
			} else if len(r.Buffers) == 0 || len(r.ResultBuffers) == 0 {
				t.Errorf("record %s of %s lacks its buffers", id, when)
			}
		}
	}
	for id, r := range records {
		if r.Completed.IsZero() {
			t.Errorf("record %s is left pending: its task has ended", id)
		}
	}
}

// stored returns the records in a file.
func stored(t *testing.T, file string) map[string]*db.Record {
	t.Helper()
	d, err := sqlitedb.Open(sqlitedb.Options{File: file, Writer: writer.Options{Gather: 1}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := d.Find(db.Query{}, db.AllFields)
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	records := make(map[string]*db.Record, len(list))
	for _, r := range list {
		records[r.MsgID] = r
	}
	return records
}

// history is the ids of the tasks that the hub knows records of.
func (v *target) history() []string {
	v.t.Helper()
	content, err := v.Client.Ask(v.ctx, "history_request", nil)
	if err != nil {
		v.t.Fatal(err)
	}
	var reply struct{ History []string }
	if err := json.Unmarshal(content, &reply); err != nil {
		v.t.Fatal(err)
	}
	return reply.History
}

// requestResult asks for the result of a task.
func (v *target) requestResult(id string) {
	v.t.Helper()
	content, err := v.Client.Ask(v.ctx, "result_request", map[string]any{"msg_ids": []string{id}, "status_only": false})
	if err != nil || !strings.Contains(string(content), fmt.Sprintf(`"completed": [%q]`, id)) {
		v.t.Errorf("result of %s: %s, %v", id, content, err)
	}
}

var givenUp = regexp.MustCompile(`records of ended tasks are not stored: .*records=(\d+)`)

// givenUp is how many records were given up, as the log tells it.
func (v *target) givenUp() int {
	v.t.Helper()
	sum := 0
	for _, found := range givenUp.FindAllStringSubmatch(v.log(), -1) {
		n, err := strconv.Atoi(found[1])
		if err != nil {
			v.t.Fatal(err)
		}
		sum += n
	}
	return sum
}
