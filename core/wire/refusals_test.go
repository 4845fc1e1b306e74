package wire

import (
	"errors"
	"fmt"
	"testing"
)

func TestRefusals(t *testing.T) {
	var r Refusals
	for _, err := range []error{ErrUnsigned, ErrBadSignature, fmt.Errorf("task dropped: %w", ErrBadSignature), ErrReplay, ErrMalformed, errors.New("no msg_id")} {
		r.Count(err)
	}
	if got, want := r.Stats(), (RefusalStats{Signature: 3, Replay: 1, Malformed: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
