package sockets

import (
	"bytes"
	"maps"
	"testing"

	"github.com/go-zeromq/zmq4"
)

// Our properties are what zmq4 reads, and we read what it writes.
func TestProperties(t *testing.T) {
	want := zmq4.Metadata{propertyType: "ROUTER", propertyIdentity: "id"}
	theirs := zmq4.Metadata{}
	if err := theirs.UnmarshalZMTP(properties(Router, []byte("id"))); err != nil || !maps.Equal(theirs, want) {
		t.Errorf("%v, %v", theirs, err)
	}
	written, err := want.MarshalZMTP()
	if err != nil {
		t.Fatal(err)
	}
	written = appendProperty(written, "X-other", "value")
	ours := zmq4.Metadata{}
	if err := readProperties(written, ours); err != nil || !maps.Equal(ours, want) {
		t.Errorf("%v, %v", ours, err)
	}
	if err := readProperties(bytes.ToUpper(written), ours); err != nil || ours[propertyIdentity] != "ID" {
		t.Errorf("names in capitals: %v, %v", ours, err)
	}
	for n := range written {
		got := zmq4.Metadata{}
		err := readProperties(written[:n], got)
		if whole := n == 0 || len(got) > 0 && err == nil; !whole && err == nil {
			t.Errorf("%d bytes of %d: %v", n, len(written), got)
		}
	}
}

func FuzzProperties(f *testing.F) {
	f.Add(properties(Dealer, nil))
	f.Add([]byte("\x08Identity\xff\xff\xff\xffx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := zmq4.Metadata{}
		if readProperties(b, got) == nil && len(got) > 2 {
			t.Errorf("%v", got)
		}
	})
}
