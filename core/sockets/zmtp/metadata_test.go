package zmtp

import (
	"bytes"
	"maps"
	"testing"

	"github.com/go-zeromq/zmq4"
)

// zmq4 must read the properties that we write, and we those that it writes.
func TestProperties(t *testing.T) {
	want := zmq4.Metadata{PropertyType: "ROUTER", PropertyIdentity: "id"}
	theirs := zmq4.Metadata{}
	if err := theirs.UnmarshalZMTP(Properties("ROUTER", []byte("id"))); err != nil || !maps.Equal(theirs, want) {
		t.Errorf("zmq4 reads %v, %v; want %v", theirs, err, want)
	}
	written, err := want.MarshalZMTP()
	if err != nil {
		t.Fatal(err)
	}
	written = appendProperty(written, "X-other", "value")
	ours := zmq4.Metadata{}
	if err := ReadProperties(written, ours); err != nil || !maps.Equal(ours, want) {
		t.Errorf("read %v, %v; want %v", ours, err, want)
	}
	if err := ReadProperties(bytes.ToUpper(written), ours); err != nil || ours[PropertyIdentity] != "ID" {
		t.Errorf("names in capitals: %v, %v", ours, err)
	}
	for n := range written {
		got := zmq4.Metadata{}
		err := ReadProperties(written[:n], got)
		if whole := n == 0 || len(got) > 0 && err == nil; !whole && err == nil {
			t.Errorf("%d bytes of %d: %v", n, len(written), got)
		}
	}
}

func FuzzProperties(f *testing.F) {
	f.Add(Properties("DEALER", nil))
	f.Add([]byte("\x08Identity\xff\xff\xff\xffx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := zmq4.Metadata{}
		if ReadProperties(b, got) == nil && len(got) > 2 {
			t.Errorf("read %v: only the type and the identity are known", got)
		}
	})
}
