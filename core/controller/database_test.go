package controller

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/profile"
)

// TestRestart fetches from a second controller a result that the first has stored,
// with each persistent database.
func TestRestart(t *testing.T) {
	kinds := map[string]DBOptions{"sqlitedb": {}, "ipyparallel.controller.sqlitedb.SQLiteDB": {SQLiteTable: "my tasks"}}
	if uri := os.Getenv("TB_MONGO_URL"); uri != "" {
		kinds["mongodb"] = DBOptions{MongoURI: uri, MongoDatabase: fmt.Sprintf("ipcore-restart-%d", time.Now().UnixNano())}
	}
	p := pythons(t)[0]
	for kind, database := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := Options{Profile: profile.Profile{Dir: t.TempDir()}, DB: kind, DBOptions: database}
			ids := filepath.Join(o.Profile.Dir, "ids")
			c := start(t, o)
			c.startEngine(p)
			c.run(p, fmt.Sprintf(`
rc.wait_for_engines(1, timeout=20)
ar = rc[0].apply_async(lambda: [b'x' * 100000, {'a': 1.5}]); ar.get(20)
task = rc.load_balanced_view().apply_async(lambda: 1/0)
raises(ZeroDivisionError, task.get, 20)
out = rc[0].execute('print("printed")'); out.get(20); out.wait_for_output()
lost = rc[0].apply_async(time.sleep, 60)
until(lambda: len(rc.hub_history()) == 4)
json.dump(ar.msg_ids + task.msg_ids + out.msg_ids + lost.msg_ids, open(%q, 'w'))
`, ids))
			c.end()
			if !strings.Contains(c.log.String(), "Hub using DB backend: '"+map[bool]string{true: "MongoDB", false: "SQLiteDB"}[kind == "mongodb"]+"'") {
				t.Error("the log does not name the backend")
			}
			c = start(t, o)
			c.run(p, fmt.Sprintf(`
direct, task, out, lost = json.load(open(%q))
assert rc.get_result(direct).get(20) == [b'x' * 100000, {'a': 1.5}]
# (a client can't say whose error it is when the engine is not there)
failed = rc.db_query({'msg_id': task}, keys=['result_content'])[0]['result_content']
assert failed['ename'] == 'ZeroDivisionError', failed
done = rc.get_result(out); done.get(20)
assert done.stdout == 'printed\n', done.stdout
assert rc.hub_history() == [direct, task, out, lost], rc.hub_history()
open_ = rc.db_query({'completed': None}, keys=['msg_id'])
assert [r['msg_id'] for r in open_] == [lost], open_
rc.purge_hub_results([direct])
assert rc.hub_history() == [task, out, lost]
`, ids))
			c.end()
			if info, err := os.Stat(filepath.Join(o.Profile.Dir, "tasks.db")); kind != "mongodb" &&
				(err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600) {
				t.Errorf("tasks.db: %v, %v", info, err)
			}
		})
	}
}
