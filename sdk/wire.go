package sdk

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

func intToWire(n *int) *int32 {
	if n == nil {
		return nil
	}
	return new(int32(*n))
}

func intFromWire(n *int32) *int {
	if n == nil {
		return nil
	}
	return new(int(*n))
}

// startRequest converts and checks a request.
func startRequest(in *pb.StartRequest) (StartRequest, error) {
	r := StartRequest{
		Kind: Kind(in.GetKind()), ID: in.GetId(),
		ProfileDir: in.GetProfileDir(), ClusterID: in.GetClusterId(),
		Command: in.GetCommand(), Env: in.GetEnvironment(),
		WorkDir: in.GetWorkDir(), LogDir: in.GetLogDir(), Options: in.GetOptions(),
		Tag: in.GetTag(), ClientFile: in.GetClientFile(), EngineFile: in.GetEngineFile(),
		KeepConnectionFiles: in.GetKeepConnectionFiles(),
	}
	if len(r.Command) == 0 || r.Command[0] == "" {
		return r, fmt.Errorf("%w: the command is empty", ErrBadOption)
	}
	if slices.ContainsFunc(r.Command, hasNUL) {
		return r, fmt.Errorf("%w: the command contains a NUL character", ErrBadOption)
	}
	for name, value := range r.Env {
		if name == "" || strings.Contains(name, "=") || hasNUL(name) || hasNUL(value) {
			return r, fmt.Errorf("%w: environment variable %.50q: an environment can't contain this name or value", ErrBadOption, name)
		}
	}
	if !validTag(r.Tag) {
		return r, fmt.Errorf("%w: tag %.50q: must be at most %d letters, digits and -", ErrBadOption, r.Tag, maxTag)
	}
	if in.N != nil {
		if in.GetN() < 1 || in.GetN() > MaxN {
			return r, fmt.Errorf("%w: n is %d, must be 1 to %d", ErrBadOption, in.GetN(), MaxN)
		}
		r.N = new(int(in.GetN()))
	}
	switch {
	case r.N == nil, r.Kind == Engine, r.Kind == SingleEngine && *r.N == 1:
	default:
		return r, fmt.Errorf("%w: n is %d, and must not be set for kind %s, or be 1 for a single engine", ErrBadOption, *r.N, r.Kind)
	}
	if r.LogDir == "" && r.ProfileDir != "" {
		r.LogDir = filepath.Join(r.ProfileDir, "log")
	}
	return r, nil
}

// startToWire is the inverse of startRequest.
func startToWire(r StartRequest) *pb.StartRequest {
	out := &pb.StartRequest{
		Kind: string(r.Kind), Id: r.ID, ProfileDir: r.ProfileDir, ClusterId: r.ClusterID,
		Command: r.Command, Environment: r.Env, WorkDir: r.WorkDir, LogDir: r.LogDir,
		Options: r.Options, Tag: r.Tag, ClientFile: r.ClientFile, EngineFile: r.EngineFile,
		KeepConnectionFiles: r.KeepConnectionFiles,
	}
	if r.N != nil {
		out.N = new(int32(*r.N))
	}
	return out
}

// hasNUL reports whether s contains a NUL, at which system calls cut a text.
func hasNUL(s string) bool { return strings.ContainsRune(s, 0) }

var eventKinds = map[EventKind]pb.EventKind{
	EventRunning: pb.EventKind_EVENT_KIND_RUNNING,
	EventChanged: pb.EventKind_EVENT_KIND_CHANGED,
	EventStopped: pb.EventKind_EVENT_KIND_STOPPED,
}

func eventToWire(e Event) *pb.Event {
	out := &pb.Event{
		Seq: e.Seq, Id: e.ID, Kind: eventKinds[e.Kind], ExitCode: int32(e.Exit.Code),
		Text: e.Text, Signal: validText(e.Exit.Signal), Reason: validText(e.Exit.Reason),
	}
	if e.Index >= 0 {
		out.Index = new(int32(e.Index))
	}
	return out
}

func eventFromWire(in *pb.Event) Event {
	e := Event{
		Seq: in.GetSeq(), ID: in.GetId(), Index: -1, Text: in.GetText(),
		Exit: Exit{Code: int(in.GetExitCode()), Signal: in.GetSignal(), Reason: in.GetReason(), Output: in.GetText()},
	}
	for kind, wire := range eventKinds {
		if wire == in.GetKind() {
			e.Kind = kind
		}
	}
	if in.Index != nil {
		e.Index = int(in.GetIndex())
	}
	return e
}

func orphansToWire(all []Orphan) []*pb.Survivor {
	out := make([]*pb.Survivor, len(all))
	for i, s := range all {
		out[i] = &pb.Survivor{Id: validText(s.ID), Tag: validText(s.Tag), Text: validText(s.Text)}
	}
	return out
}

func orphansFromWire(all []*pb.Survivor) []Orphan {
	out := make([]Orphan, len(all))
	for i, s := range all {
		out[i] = Orphan{ID: s.GetId(), Tag: s.GetTag(), Text: s.GetText()}
	}
	return out
}
