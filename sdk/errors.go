package sdk

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The errors that ipcore distinguishes. A launcher wraps one of them in an error that
// says what happened: fmt.Errorf("%w: pid %d", sdk.ErrNotRunning, pid). They cross
// the connection to the host, where errors.Is finds them. Every other error is a
// fault of the launcher; the host concludes nothing about the workload from it.
var (
	ErrNotRunning    = errors.New("not running")      // the workload has certainly ended, or the id is not known
	ErrBadOption     = errors.New("bad option")       // the request can't be carried out as given
	ErrProcessState  = errors.New("wrong state")      // the id is already used, or its workload is not ready or has ended
	ErrUnknownStatus = errors.New("status not known") // the system could not be queried
	ErrPluginGone    = errors.New("plugin gone")      // the plugin process has ended; its workloads continue
	ErrUnsupported   = errors.New("not supported")    // the launcher does not have this capability
)

// codeTable maps the errors to gRPC codes and back.
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

// Error is an error of a launcher as the host receives it. It wraps Kind.
type Error struct {
	Message string
	Kind    error // one of the errors above, a context error, or nil
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }

// toStatus converts an error to a gRPC status. It puts the launcher's name in front
// of the message once.
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

// prefixed returns the message with "name: " in front of it, once.
func prefixed(name, message string) string {
	if name == "" || strings.HasPrefix(message, name+": ") {
		return message
	}
	return name + ": " + message
}

// fromStatus converts a gRPC status to an *Error.
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
