package sqlitedb

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/dbtest"
	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// TestMain also runs the process that TestKilled kills.
func TestMain(m *testing.M) {
	if file := os.Getenv("SQLITEDB_TEST_FILE"); file != "" {
		d, err := Open(Options{File: file})
		for i := 0; err == nil; i++ {
			err = d.Add(dbtest.NewRecord(i))
			fmt.Println(i, time.Now().UnixNano())
			time.Sleep(time.Millisecond)
		}
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestKilled kills a writing process and checks that all records older than 100 ms are
// stored, with a tolerance of a second for a busy machine.
func TestKilled(t *testing.T) {
	o := Options{File: filepath.Join(t.TempDir(), DefaultFile)}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "SQLITEDB_TEST_FILE="+o.File)
	child.Stdout = out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // the error says that it was killed
	killed := time.Now()
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	d := openTest(t, o)
	history, err := d.History()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 50 {
		t.Fatalf("the process wrote %d records", len(lines))
	}
	var last, at int64
	if len(history) < len(lines) {
		if _, err := fmt.Sscan(lines[len(history)], &last, &at); err != nil {
			t.Fatal(err)
		}
		lost := killed.Sub(time.Unix(0, at))
		t.Logf("the oldest of %d lost records was %v old", len(lines)-len(history), lost)
		if lost > time.Second {
			t.Errorf("%d of %d records are stored; the first missing one was %v old", len(history), len(lines), lost)
		}
	}
}

// TestLocked locks the file as another program would: changes are queued in memory, are
// visible to reads, and are stored when the file is unlocked.
func TestLocked(t *testing.T) {
	var log strings.Builder
	o := Options{File: filepath.Join(t.TempDir(), DefaultFile), Log: hclog.New(&hclog.LoggerOptions{Output: &log})}
	d := openTest(t, o)
	other, err := sql.Open("sqlite", "file:"+o.File)
	if err != nil {
		t.Fatal(err)
	}
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for i := range 200 {
		if err := d.Add(dbtest.NewRecord(i)); err != nil {
			t.Fatal(err)
		}
		if err := d.Update(dbtest.NewRecord(i).MsgID, dbtest.Finish(i)); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("a locked file delayed changes for %v", took)
	}
	for d.Status().Failures == 0 {
		if time.Since(begun) > 20*time.Second {
			t.Fatal("the failure is not counted")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if r, err := d.Get(dbtest.NewRecord(7).MsgID); err != nil || r.Completed.IsZero() {
		t.Errorf("a queued record: %v, %v", r, err)
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	d.Flush()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "can't be written") || !strings.Contains(log.String(), "can be written again") {
		t.Errorf("log: %s", &log)
	}
	if s := d.Status(); s.Lost != 0 || s.Written < 200 || s.Err != nil {
		t.Errorf("status %+v", s)
	}
}

// TestFull uses a file that can't grow: records of pending tasks are kept, the oldest
// ones of ended tasks are discarded from the queue, and all of that is counted.
func TestFull(t *testing.T) {
	o := Options{File: filepath.Join(t.TempDir(), DefaultFile), Writer: writer.Options{MaxQueued: 1 << 20, CloseWait: 1}}
	o.Log = hclog.NewNullLogger()
	s, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 20"); err != nil {
		t.Fatal(err)
	}
	d := writer.New(s, o.Writer)
	const n = 1000
	for i := range n {
		if err := d.Add(dbtest.NewRecord(i)); err != nil {
			t.Fatal(err)
		}
		if i%10 > 0 {
			if err := d.Update(dbtest.NewRecord(i).MsgID, dbtest.Finish(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	status := d.Status()
	if status.Lost == 0 || status.QueuedBytes > 3<<20 {
		t.Errorf("status %+v", status)
	}
	found, err := d.Find(db.Query{db.Must("completed", db.Eq, nil)}, db.FieldSet(db.MsgID))
	if err != nil || len(found) != n/10 {
		t.Errorf("%d pending records are left, %v", len(found), err)
	}
	if _, err := d.Get(dbtest.NewRecord(n - 1).MsgID); err != nil {
		t.Errorf("the newest record: %v", err)
	}
	if err := d.Close(); err == nil {
		t.Error("Close does not report records that were not stored")
	}
}

func BenchmarkTask(b *testing.B) {
	d := openTest(b, Options{File: filepath.Join(b.TempDir(), DefaultFile)})
	b.ReportAllocs()
	for i := range b.N {
		r := dbtest.NewRecord(i)
		_ = d.Add(r)
		_ = d.Update(r.MsgID, dbtest.Finish(i))
	}
	d.Flush()
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkFind100k(b *testing.B) {
	d := openTest(b, Options{File: filepath.Join(b.TempDir(), DefaultFile), Writer: writer.Options{MaxQueued: 1 << 40}})
	for i := range 100_000 {
		_ = d.Add(dbtest.NewRecord(i))
		if i < 99_990 {
			_ = d.Update(dbtest.NewRecord(i).MsgID, dbtest.Finish(i))
		}
	}
	d.Flush()
	for _, query := range []string{
		`{"completed": null}`, `{"msg_id": "session_5000"}`, `{"submitted": {"$gt": "2026-11-21T14:12:00Z"}}`,
		`{"engine_uuid": "engine-1", "queue": "none"}`, `{"msg_id": {"$glob": "*_9999[0-9]"}}`,
	} {
		q, err := db.ParseQuery([]byte(query))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(query, func(b *testing.B) {
			var n int
			for range b.N {
				found, err := d.Find(q, db.AllFields)
				if err != nil {
					b.Fatal(err)
				}
				n = len(found)
			}
			b.ReportMetric(float64(n), "records")
		})
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}
