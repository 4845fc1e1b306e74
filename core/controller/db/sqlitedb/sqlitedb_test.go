package sqlitedb

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/dbtest"
	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// openTest opens a file; its log goes to the test's log.
func openTest(t testing.TB, o Options) *writer.DB {
	t.Helper()
	if o.File == "" {
		o.File = filepath.Join(t.TempDir(), DefaultFile)
	}
	if o.Log == nil {
		o.Log = hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Info})
	}
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	slow := writer.Options{FindTimeout: 2 * time.Minute} // for queries of a long history without an index
	dbtest.Run(t, func(t *testing.T) db.DB { return openTest(t, Options{Writer: slow}) })
}

// TestConformanceWritten writes every change at once, so that the queue is empty at
// every read.
func TestConformanceWritten(t *testing.T) {
	dbtest.Run(t, func(t *testing.T) db.DB { return flushed{openTest(t, Options{Writer: writer.Options{Gather: 1}})} })
}

// flushed is a database that writes its queue after every change.
type flushed struct{ *writer.DB }

func (d flushed) Add(r *db.Record) error               { return d.then(d.DB.Add(r)) }
func (d flushed) Update(id string, c *db.Change) error { return d.then(d.DB.Update(id, c)) }
func (d flushed) Drop(id string) error                 { return d.then(d.DB.Drop(id)) }

func (d flushed) then(err error) error {
	d.Flush()
	return err
}

// TestReopen closes a file with queued changes, and reads them from the file.
func TestReopen(t *testing.T) {
	o := Options{File: filepath.Join(t.TempDir(), "a b?.db"), Table: `my "tasks"`}
	for i := range 3 {
		d := openTest(t, o)
		for k := range i {
			r, err := d.Get(dbtest.NewRecord(k).MsgID)
			if err != nil || r.Completed.IsZero() || len(r.ResultBuffers) != 1 {
				t.Errorf("record %d: %v, %v", k, r, err)
			}
		}
		if err := d.Add(dbtest.NewRecord(i)); err != nil {
			t.Fatal(err)
		}
		if err := d.Update(dbtest.NewRecord(i).MsgID, dbtest.Finish(i)); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(o.File); err != nil {
		t.Error(err)
	}
}

// TestUpstreamFile reads a file that IPython Parallel 9.1 has written, and writes to its
// table.
func TestUpstreamFile(t *testing.T) {
	text, err := os.ReadFile("testdata/upstream-9.1.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{File: filepath.Join(t.TempDir(), DefaultFile)}
	if err := os.WriteFile(o.File, text, 0o644); err != nil {
		t.Fatal(err)
	}
	d := openTest(t, o)
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	history, err := d.History()
	if err != nil || len(history) != 5 {
		t.Fatalf("history %v, %v", history, err)
	}
	r, err := d.Get(history[0])
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Stdout) != "hello\n" || string(r.Stderr) != "err\n" || string(r.ExecuteResult) != `{"data": {"text/plain": "3"}, "metadata": {}, "execution_count": 1}` ||
		!r.Submitted.Equal(time.Date(2026, 11, 20, 10, 28, 24, 104250000, time.UTC)) || r.Buffers != nil || r.Queue != "mux" {
		t.Errorf("record %+v", r)
	}
	r, err = d.Get(history[1])
	if err != nil || len(r.Buffers) != 4 || len(r.ResultBuffers) != 1 || string(r.ResultBuffers[0]) != "\x80\x05K\x09." && string(r.ResultBuffers[0]) != "\x80\x04K\x09." {
		t.Errorf("buffers %q, results %q, %v", r.Buffers, r.ResultBuffers, err)
	}
	if err := d.Add(dbtest.NewRecord(1)); err != nil {
		t.Fatal(err)
	}
	d.Flush()
	q, err := db.ParseQuery([]byte(`{"submitted": {"$lte": "2026-11-20T10:28:24.104250Z"}}`))
	if err != nil {
		t.Fatal(err)
	}
	found, err := d.Find(q, db.AllFields)
	if err != nil || len(found) != 2 || found[0].MsgID != dbtest.NewRecord(1).MsgID || found[1].MsgID != history[0] {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestPickle(t *testing.T) {
	for _, list := range [][][]byte{{}, {{}}, {[]byte("a"), []byte("b")}, {make([]byte, 255), make([]byte, 256), make([]byte, 70000)}} {
		got, err := parsePickle(appendPickle(nil, list))
		if err != nil || !slices.EqualFunc(got, list, bytes.Equal) {
			t.Errorf("%d strings come back as %d, %v", len(list), len(got), err)
		}
	}
	// The same string twice, as protocols 4 and 3 write it.
	for _, text := range []string{"\x80\x04]\x94(C\x01a\x94h\x01e.", "\x80\x03]q\x00(C\x01aq\x01h\x01e."} {
		got, err := parsePickle([]byte(text))
		if err != nil || len(got) != 2 || string(got[0]) != "a" || string(got[1]) != "a" {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "\x80\x05", "\x80\x05].x", "\x80\x05]", "\x80\x05](C\x05a.", "\x80\x05]C\x01a.", "\x80\x05cos\nsystem\n.", "\x80\x05(C\x01ae.",
		"\x80\x05]\x8e\xff\xff\xff\xff\xff\xff\xff\xffa.", "\x80\x05]h\x00a.", "\x80\x05]]a.", "\x80\x02]."} {
		if got, err := parsePickle([]byte(text)); err == nil {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}

func FuzzPickle(f *testing.F) {
	f.Add([]byte("\x80\x05\x95\x0c\x00\x00\x00\x00\x00\x00\x00]\x94C\x05\x80\x04K\t.\x94a."))
	f.Add([]byte("\x80\x04]\x94(C\x01a\x94h\x01B\x01\x00\x00\x00be."))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parsePickle(text)
		if err != nil {
			return
		}
		again, err := parsePickle(appendPickle(nil, list))
		if err != nil || !slices.EqualFunc(again, list, bytes.Equal) {
			t.Errorf("%q comes back as %q, %v", list, again, err)
		}
	})
}

// upstream is a script that opens a file of this package with IPython Parallel's class,
// checks a record, and adds one. With SQLite 3.37 and later, that class does not
// recognize any table as its own and starts a new one, whose name it prints.
const upstream = `
import sys, os, datetime
from ipyparallel.controller.sqlitedb import SQLiteDB
from ipyparallel.util import utc
d = SQLiteDB(location=os.path.dirname(sys.argv[1]), filename=os.path.basename(sys.argv[1]), table='ipython-tasks')
own, d.table = d.table, 'ipython-tasks'
assert d.get_history() == ['session_0000', 'session_0001'], d.get_history()
r = d.get_record('session_0000')
assert r['buffers'] == [bytes([0, 1, 2]), b'', b'x' * 2000] and r['result_buffers'] == [b'result'], r
assert r['completed'] == datetime.datetime(2026, 11, 20, 10, 26, 3, 579000, utc), r
assert r['header']['n'] == 0 and r['stdout'] == '' and r['error'] is None and r['result_content'] == {'status': 'ok'}, r
assert d.find_records({'completed': None}, keys=['msg_id'])[0]['msg_id'] == 'session_0001'
d.table = own
now = datetime.datetime(2026, 11, 21, tzinfo=utc)
d.add_record('python', dict.fromkeys(d._keys) | dict(msg_id='python', header={'a': 1.5}, metadata={}, content={}, buffers=[b'1', b'2' * 300], submitted=now, stdout='o', stderr=''))
d.update_record('python', {'completed': now, 'result_buffers': [b'3']})
d._db.commit()
print(own)
`

// TestUpstreamProgram lets IPython Parallel read and write a file of this package.
func TestUpstreamProgram(t *testing.T) {
	pythons := map[string]string{"7.1": cmp.Or(os.Getenv("IPCORE_TEST_PY71"), "/usr/bin/python3"), "9.1": os.Getenv("IPCORE_TEST_PY91")}
	for version, python := range pythons {
		t.Run(version, func(t *testing.T) {
			if python == "" || exec.Command(python, "-c", "import ipyparallel.controller.sqlitedb").Run() != nil {
				t.Skip("no Python with ipyparallel " + version)
			}
			o := Options{File: filepath.Join(t.TempDir(), DefaultFile)}
			d := openTest(t, o)
			for i := range 2 {
				if err := d.Add(dbtest.NewRecord(i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Update(dbtest.NewRecord(0).MsgID, dbtest.Finish(0)); err != nil {
				t.Fatal(err)
			}
			d.Flush()
			var failure bytes.Buffer
			script := exec.Command(python, "-c", upstream, o.File)
			script.Stderr = &failure
			table, err := script.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, &failure)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			o.Table = strings.TrimSpace(string(table))
			d = openTest(t, o)
			r, err := d.Get("python")
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Header) != `{"a": 1.5}` || len(r.Buffers) != 2 || len(r.Buffers[1]) != 300 || string(r.ResultBuffers[0]) != "3" || r.Completed.IsZero() {
				t.Errorf("record %+v", r)
			}
			if err := d.Update("python", dbtest.Finish(3)); err != nil { // the table of 7.1, which has no labels, can be written as well
				t.Error(err)
			}
			if err := d.Add(dbtest.NewRecord(3)); err != nil {
				t.Error(err)
			}
			d.Flush()
			if s := d.Status(); s.Lost != 0 || s.Failures != 0 {
				t.Errorf("status %+v", s)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
