package hub

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// capture is what a Python hub received and sent in one session, one message of
// each kind, and the client's side of its query socket.
type capture struct {
	Key      string     `json:"key"`
	Messages []captured `json:"messages"`
}

type captured struct {
	Name      string         `json:"name"`
	Endpoint  string         `json:"endpoint"`
	Direction string         `json:"direction"`
	Channel   string         `json:"channel"`
	MsgType   string         `json:"msg_type"`
	Variant   string         `json:"variant"`
	Frames    [][]byte       `json:"frames"`
	Content   map[string]any `json:"content"`
	Parent    string         `json:"parent_header"`
}

// TestReplay sends our hub what a Python hub received and compares the replies.
func TestReplay(t *testing.T) {
	for _, version := range []string{"7.1", "9.1"} {
		t.Run(version, func(t *testing.T) {
			text, err := os.ReadFile("testdata/session-" + version + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var c capture
			if err := json.Unmarshal(text, &c); err != nil {
				t.Fatal(err)
			}
			replay(t, c)
		})
	}
}

func replay(t *testing.T, c capture) {
	f := start(t, c.Key, nil)
	f.client.ID = "tester"
	registerCaptured(f, c)
	compared := 0
	for _, m := range c.Messages {
		if m.Endpoint != "hub" || m.Direction != "recv" {
			continue
		}
		if m.Channel == "monitor" {
			relay(f, m)
			continue
		}
		f.hub.Request(m.Frames[0], m.Name, m.Frames[1:])
		if m.MsgType == "unregistration_request" || m.MsgType == "registration_request" {
			continue // no reply, or refused because it is registered already
		}
		got := receive(f, "reply to "+m.Name, f.replies)
		for got.header.MsgType == "registration_reply" {
			got = receive(f, "reply to "+m.Name, f.replies)
		}
		for _, want := range c.Messages {
			if want.Endpoint == "hub" && want.Channel == "registration" && want.Direction == "send" && want.Parent != "" && want.Parent == got.parent {
				compareReply(t, got, want)
				compared++
			}
		}
	}
	if compared < 14 {
		t.Errorf("only %d replies were compared", compared)
	}
}

// registerCaptured registers every engine that the capture mentions.
func registerCaptured(f *fixture, c capture) {
	var uuids []string
	add := func(uuid string) {
		if !slices.Contains(uuids, uuid) {
			uuids = append(uuids, uuid)
		}
	}
	for _, m := range c.Messages {
		if m.MsgType == "registration_request" && m.Direction == "recv" {
			add(m.Content["uuid"].(string))
		}
	}
	for _, m := range c.Messages {
		switch {
		case m.Channel != "monitor":
		case string(m.Frames[0]) == "in":
			add(string(m.Frames[1]))
		case string(m.Frames[0]) == "out":
			add(string(m.Frames[2]))
		}
	}
	for id, uuid := range uuids {
		f.engine(id, uuid)
	}
}

// relay passes a captured monitor message to the hub as a relay would.
func relay(f *fixture, m captured) {
	at := slices.IndexFunc(m.Frames, func(frame []byte) bool { return string(frame) == wire.Delimiter })
	head, msg := m.Frames[:at], m.Frames[at:]
	switch string(head[0]) {
	case "in":
		f.hub.Relayed(monitor.In, head[1], head[2], msg)
	case "out":
		f.hub.Relayed(monitor.Out, head[2], head[1], msg)
	case "intask":
		f.hub.Relayed(monitor.InTask, nil, head[1], msg)
	case "outtask":
		var engine []byte
		if len(head) > 2 {
			engine = head[2]
		}
		f.hub.Relayed(monitor.OutTask, engine, head[1], msg)
	case "tracktask":
		f.hub.Assigned(m.Content["msg_id"].(string), m.Content["engine_id"].(string))
	case "iopub":
		f.hub.Relayed(monitor.IOPub, nil, nil, msg)
	}
}

// compareReply compares the parts that can be compared: the captures hold one
// message of each kind, so numbers and lists differ.
func compareReply(t *testing.T, got hubMessage, want captured) {
	t.Helper()
	if want.MsgType == "become_dask_reply" {
		if got.header.MsgType != want.MsgType {
			t.Errorf("%s: %s", want.Name, got.header.MsgType)
		}
		return
	}
	if got.header.MsgType != want.MsgType {
		t.Errorf("%s: reply %s %s, want %s", want.Name, got.header.MsgType, got.raw, want.MsgType)
		return
	}
	switch want.MsgType {
	case "queue_reply", "connection_reply":
		sameShape(t, want.Name, got.content, want.Content)
		return
	case "load_reply": // the keys in the capture are wrong
		sameShape(t, want.Name, got.content, map[string]any{"status": "ok", "0": 0.0})
		return
	case "history_reply":
		ids := want.Content["history"].([]any)
		history := got.content["history"].([]any)
		if len(history) == 0 {
			t.Errorf("%s: empty", want.Name)
		}
		for _, id := range history {
			if !slices.Contains(ids, id) {
				t.Errorf("%s: %v is not in the captured history", want.Name, id)
			}
		}
		return
	case "resubmit_reply":
		if len(got.content["resubmitted"].(map[string]any)) != 1 {
			t.Errorf("%s: %s", want.Name, got.raw)
		}
		return
	}
	removeVariable(got.content)
	removeVariable(want.Content)
	if !reflect.DeepEqual(got.content, want.Content) {
		a, _ := json.MarshalIndent(got.content, "", " ")
		b, _ := json.MarshalIndent(want.Content, "", " ")
		t.Errorf("%s:\n got %s\nwant %s", want.Name, a, b)
	}
	if n := len(want.Frames) - 7; len(got.buffers) != n {
		t.Errorf("%s: %d buffers, want %d", want.Name, len(got.buffers), n)
	}
}

// sameShape checks that got has keys and values of the same kind as want.
func sameShape(t *testing.T, name string, got, want map[string]any) {
	t.Helper()
	for key, value := range got {
		if w, ok := want[key]; ok && reflect.TypeOf(value) != reflect.TypeOf(w) {
			t.Errorf("%s: %s is %v, want like %v", name, key, value, w)
		} else if g, isMap := value.(map[string]any); isMap && ok && key != "engines" {
			if a, b := slices.Sorted(maps.Keys(g)), slices.Sorted(maps.Keys(w.(map[string]any))); fmt.Sprint(a) != fmt.Sprint(b) {
				t.Errorf("%s: %s has the keys %v, want %v", name, key, a, b)
			}
		}
	}
	if got["status"] != "ok" {
		t.Errorf("%s: %v", name, got)
	}
}

// removeVariable removes what differs from run to run: tracebacks, the hub's times,
// the stream that the capture lacks, and the label that 7.1 does not know.
func removeVariable(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "traceback")
		delete(v, "stdout")
		delete(v, "stderr")
		if _, ok := v["header"]; ok {
			delete(v, "label")
		}
		if v["received"] != nil {
			v["received"] = "then"
		}
		for _, inner := range v {
			removeVariable(inner)
		}
	case []any:
		for _, inner := range v {
			removeVariable(inner)
		}
	}
}
