package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ipcore/ipcore/core/wire"
)

func named(id string, k kind) *request {
	return &request{kind: k, header: wire.Header{MsgID: id}, size: 1}
}

// The queue behaves like a plain slice.
func TestQueue(t *testing.T) {
	var q queue
	var want []*request
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 50000 {
		switch op := random.IntN(100); {
		case op < 52:
			r := named(fmt.Sprint(i), kindApply)
			q.push(r)
			want = append(want, r)
		case op < 54:
			r := named(fmt.Sprint(i), kindClear)
			q.pushFirst(r)
			n := 0
			for n < len(want) && want[n].kind == kindClear {
				n++
			}
			want = append(want[:n:n], append([]*request{r}, want[n:]...)...)
		case op < 99:
			var first *request
			if len(want) > 0 {
				first, want = want[0], want[1:]
			}
			if got := q.pop(); got != first {
				t.Fatalf("step %d: popped %v, want %v", i, got, first)
			}
		default:
			odd := func(r *request) bool { return r.header.MsgID[len(r.header.MsgID)-1]%2 == 1 }
			var kept []*request
			removed := q.remove(odd)
			for _, r := range want {
				if !odd(r) {
					kept = append(kept, r)
				} else if len(removed) == 0 || removed[0] != r {
					t.Fatalf("step %d: removed %v, want %v first", i, removed, r)
				} else {
					removed = removed[1:]
				}
			}
			want = kept
		}
		if q.len() != len(want) || q.bytes != int64(len(want)) {
			t.Fatalf("step %d: %d requests of %d bytes, want %d", i, q.len(), q.bytes, len(want))
		}
	}
}

func TestIDSet(t *testing.T) {
	var s idSet
	if s.has(named("0", kindApply)) {
		t.Error("the empty set has something")
	}
	for i := range 3 * maxAborted {
		s.add(fmt.Sprint(i))
		s.add(fmt.Sprint(i))
	}
	if len(s.ids) > maxAborted || len(s.order) != len(s.ids) {
		t.Errorf("%d ids, %d in order", len(s.ids), len(s.order))
	}
	if !s.has(named(fmt.Sprint(3*maxAborted-1), kindApply)) || s.has(named("0", kindApply)) {
		t.Error("not the newest are kept")
	}
	broadcast := named("another", kindApply)
	if s.has(broadcast) {
		t.Error("has what it has not")
	}
	broadcast.meta.original = fmt.Sprint(3*maxAborted - 1)
	if !s.has(broadcast) {
		t.Error("a broadcast is not known by its client's id")
	}
}

func FuzzAppendQuoted(f *testing.F) {
	for _, s := range []string{"", "plain", "a\"b\\c\n\x00\x1f", "é€𝄞", "\xff\xc3", "\xe2\x82", "\u2028</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := appendQuoted(nil, s)
		if again := appendQuoted(nil, []byte(s)); string(again) != string(quoted) {
			t.Errorf("bytes %s, string %s", again, quoted)
		}
		var got, want string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		reference, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(reference, &want); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	})
}
