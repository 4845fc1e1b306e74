package controller

import (
	"testing"
)

func TestSession(t *testing.T) {
	withEngines(t, 2, Options{}, func(t *testing.T, c *cluster, p python, _ []*engineProcess) {
		c.run(p, `
assert rc.ids == [0, 1], rc.ids
assert len(set(rc[:].apply_sync(os.getpid))) == 2
lb = rc.load_balanced_view()
assert lb.map_sync(lambda x: x**10, range(200)) == [x**10 for x in range(200)]
rc[:].execute("a = 5; print('hello')", block=True)
assert rc[:]['a'] == [5, 5]
ar = rc[:].execute("print('out'); import sys; print('err', file=sys.stderr)")
ar.get(); ar.wait_for_output()
assert ar.stdout == ['out\n', 'out\n'] and ar.stderr == ['err\n', 'err\n'], (ar.stdout, ar.stderr)
`)
	})
}
