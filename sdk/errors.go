package sdk

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The errors that mean something to ipcore. A launcher wraps them with what
// happened: fmt.Errorf("%w: pid %d", sdk.ErrNotRunning, pid). They arrive on the
// other side as the same errors. Any other error is taken for a fault of the
// launcher, from which nothing is concluded.
var (
	ErrNotRunning    = errors.New("not running")      // the workload has ended for certain, or the id is not known
	ErrBadOption     = errors.New("bad option")       // the request can't be carried out as given
	ErrProcessState  = errors.New("wrong state")      // the id is used already, or its workload is not ready or has ended
	ErrUnknownStatus = errors.New("status not known") // the system could not be asked
	ErrPluginGone    = errors.New("plugin gone")      // the plugin process ended; workloads go on
	ErrUnsupported   = errors.New("not supported")    // the launcher does not have this power
)

// codeTable is the one place where errors and gRPC codes meet.
var codeTable = []struct {
	err  error
	code codes.Code
}{
	{ErrNotRunning, codes.NotFound},
	{ErrBadOption, codes.InvalidArgument},
	{ErrProcessState, codes.FailedPrecondition},
	{ErrUnknownStatus, codes.Aborted},
	{ErrPluginGone, codes.Unavailable},
	{ErrUnsupported, codes.Unimplemented},
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
}

// Error is an error that came from a launcher: its message, and the sentinel
// that it wraps, if any.
type Error struct {
	Message string
	Kind    error // one of the errors above, a context error, or nil
}

func (e *Error) Error() string { return e.Message }

// Unwrap answers the sentinel.
func (e *Error) Unwrap() error { return e.Kind }

// toStatus makes an error into what goes over the wire. The launcher's name
// stands in front of the message once.
func toStatus(name string, err error) error {
	if err == nil {
		return nil
	}
	code := codes.Unknown
	for _, row := range codeTable {
		if errors.Is(err, row.err) {
			code = row.code
			break
		}
	}
	if code == codes.Unknown {
		var s interface{ GRPCStatus() *status.Status }
		if errors.As(err, &s) {
			code = s.GRPCStatus().Code()
		}
	}
	return status.Error(code, prefixed(name, validText(err.Error())))
}

// prefixed puts "name: " in front of the message unless it is there.
func prefixed(name, message string) string {
	if name == "" || strings.HasPrefix(message, name+": ") {
		return message
	}
	return name + ": " + message
}

// fromStatus makes what came over the wire into an error again.
func fromStatus(err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	e := &Error{Message: s.Message()}
	for _, row := range codeTable {
		if s.Code() == row.code {
			e.Kind = row.err
			break
		}
	}
	if e.Message == "" {
		e.Message = s.Code().String()
	}
	return e
}

// validText makes a text fit for a protobuf string.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
