package process

import "testing"

func TestParseStat(t *testing.T) {
	good := "17 (a) b (c d) S 1 17 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2 3\n"
	s, err := parseStat([]byte(good))
	if err != nil || s != (stat{state: 'S', parent: 1, session: 5, start: 12345}) || !s.alive() {
		t.Errorf("%+v, %v", s, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("17 (x) Z 1 17 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2 3\n"))
	f.Add([]byte(")"))
	f.Add([]byte("1 (x"))
	f.Add([]byte(")\x00 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStat(b); err == nil && s.state == 0 {
			t.Errorf("%q: %+v", b, s)
		}
	})
}
