package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Every error has its own code, and is the same error on the other side.
func TestErrorsCrossTheWire(t *testing.T) {
	seen := make(map[codes.Code]error)
	for _, row := range codeTable {
		if other := seen[row.code]; other != nil {
			t.Errorf("%v and %v have the code %v", row.err, other, row.code)
		}
		seen[row.code] = row.err
		wrapped := fmt.Errorf("engine 3: %w: pid 17", row.err)
		wire := toStatus("local", wrapped)
		if got := status.Code(wire); got != row.code {
			t.Errorf("%v has code %v, want %v", row.err, got, row.code)
		}
		back := fromStatus(wire)
		for _, other := range codeTable {
			if errors.Is(back, other.err) != (other.code == row.code) {
				t.Errorf("%v came back as %v", row.err, other.err)
			}
		}
		if want := "local: " + wrapped.Error(); back.Error() != want {
			t.Errorf("message %q, want %q", back, want)
		}
		if again := fromStatus(toStatus("local", back)); again.Error() != back.Error() {
			t.Errorf("over two hops: %q, want %q", again, back)
		}
	}
}

func TestOtherErrorsStayOther(t *testing.T) {
	back := fromStatus(toStatus("local", errors.New("odd \xff")))
	for _, row := range codeTable {
		if errors.Is(back, row.err) {
			t.Errorf("another error came back as %v", row.err)
		}
	}
	if !strings.HasPrefix(back.Error(), "local: odd ") {
		t.Errorf("message %q", back)
	}
	if toStatus("local", nil) != nil || fromStatus(nil) != nil {
		t.Error("nil became an error")
	}
	if err := fromStatus(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("a context's error became %v", err)
	}
}
