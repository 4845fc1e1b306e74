package wire

import (
	"encoding/json"
	"fmt"
	"strings"
)

// RemoteError is an error that is sent as message content:
//
//	{"status": "error", "ename": …, "evalue": …, "traceback": [line…], "engine_info": {…}}
type RemoteError struct {
	Ename     string
	Evalue    string
	Traceback []string
	// EngineInfo says which engine raised it; nil ({} on the wire) when no
	// engine did.
	EngineInfo *EngineInfo
}

// EngineInfo is the engine that an error comes from.
type EngineInfo struct {
	UUID   string `json:"engine_uuid"`
	ID     int    `json:"engine_id"`
	Method string `json:"method,omitempty"` // "apply" or "execute"
}

// NewRemoteError returns an error that was not raised by an engine, with a traceback in
// Python's form. A name without a dot that is not a Python built-in belongs to
// ipyparallel.error.
func NewRemoteError(ename, evalue string) *RemoteError {
	name := ename
	if !builtinErrors[ename] {
		name = "ipyparallel.error." + ename
	}
	last := name
	if evalue != "" {
		last += ": " + evalue
	}
	return &RemoteError{
		Ename:     ename,
		Evalue:    evalue,
		Traceback: []string{"Traceback (most recent call last):\n", last + "\n"},
	}
}

// builtinErrors are the names of Python's built-in exceptions that a controller
// replies with.
var builtinErrors = map[string]bool{
	"KeyError": true, "IndexError": true, "TypeError": true, "ValueError": true,
	"RuntimeError": true, "NotImplementedError": true, "AttributeError": true, "OSError": true,
}

// Error returns "ename: evalue".
func (e *RemoteError) Error() string {
	text := e.Ename
	if e.Evalue != "" {
		text += ": " + e.Evalue
	}
	if e.EngineInfo != nil {
		method := e.EngineInfo.Method
		if method != "" {
			method = ":" + method
		}
		return fmt.Sprintf("[%d%s] %s", e.EngineInfo.ID, method, text)
	}
	return text
}

// TracebackText returns the whole traceback as one string.
func (e *RemoteError) TracebackText() string { return strings.Join(e.Traceback, "\n") }

type errorContent struct {
	Status     string          `json:"status"`
	Ename      string          `json:"ename"`
	Evalue     string          `json:"evalue"`
	Traceback  []string        `json:"traceback"`
	EngineInfo json.RawMessage `json:"engine_info"`
}

// MarshalJSON writes the content of an error reply.
func (e *RemoteError) MarshalJSON() ([]byte, error) {
	c := errorContent{Status: "error", Ename: e.Ename, Evalue: e.Evalue, Traceback: e.Traceback, EngineInfo: json.RawMessage("{}")}
	if c.Traceback == nil {
		c.Traceback = []string{}
	}
	if e.EngineInfo != nil {
		info, err := json.Marshal(e.EngineInfo)
		if err != nil {
			return nil, err
		}
		c.EngineInfo = info
	}
	return json.Marshal(c)
}

// UnmarshalJSON decodes the content of an error reply. It accepts a traceback that is
// a single string, and an engine_info that is absent, null or not a dictionary.
func (e *RemoteError) UnmarshalJSON(text []byte) error {
	var c struct {
		Ename      string          `json:"ename"`
		Evalue     string          `json:"evalue"`
		Traceback  json.RawMessage `json:"traceback"`
		EngineInfo json.RawMessage `json:"engine_info"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("error content: %w", err)
	}
	*e = RemoteError{Ename: c.Ename, Evalue: c.Evalue}
	if json.Unmarshal(c.Traceback, &e.Traceback) != nil {
		var one string
		if json.Unmarshal(c.Traceback, &one) == nil && one != "" {
			e.Traceback = []string{one}
		}
	}
	var info struct {
		UUID   string `json:"engine_uuid"`
		ID     *int   `json:"engine_id"`
		Method string `json:"method"`
	}
	if json.Unmarshal(c.EngineInfo, &info) == nil && (info.UUID != "" || info.ID != nil) {
		e.EngineInfo = &EngineInfo{UUID: info.UUID, ID: -1, Method: info.Method}
		if info.ID != nil {
			e.EngineInfo.ID = *info.ID
		}
	}
	return nil
}

// ReplyError returns the error of a reply: nil for status "ok", a RemoteError
// for "error", and a RemoteError named TaskAborted for "aborted".
func (s *Session) ReplyError(m *Message) error {
	var reply struct {
		Status string `json:"status"`
	}
	if err := s.Unpack(m.Content, &reply); err != nil {
		return err
	}
	switch reply.Status {
	case "ok":
		return nil
	case "aborted":
		parent, err := PeekHeader(m.Parent)
		if err != nil {
			return err
		}
		return &RemoteError{Ename: "TaskAborted", Evalue: parent.MsgID}
	case "error":
		e := &RemoteError{}
		if err := s.Unpack(m.Content, e); err != nil {
			return err
		}
		return e
	}
	return fmt.Errorf("reply has the unknown status %q", reply.Status)
}
