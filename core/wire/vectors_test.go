package wire

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
)

// vector is one captured message of a Python controller, engine or client.
type vector struct {
	Name       string          `json:"name"`
	Key        string          `json:"key"`
	Scheme     string          `json:"scheme"`
	Frames     [][]byte        `json:"frames"`
	Identities int             `json:"identities"`
	Header     json.RawMessage `json:"header"`
	Parent     json.RawMessage `json:"parent_header"`
	Metadata   json.RawMessage `json:"metadata"`
	Content    json.RawMessage `json:"content"`
	Buffers    int             `json:"buffers"`
}

func readVectors(t testing.TB, files ...string) []vector {
	t.Helper()
	var all []vector
	for _, file := range files {
		text, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors []vector
		if err := json.Unmarshal(text, &vectors); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, v := range vectors {
			v.Name = file + "/" + v.Name
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		t.Fatal("no vectors")
	}
	return all
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t, "7.1.json", "9.1.json", "9.1-curve-unsigned.json") {
		t.Run(v.Name, func(t *testing.T) {
			signer, err := NewSigner(v.Scheme, v.Key)
			if err != nil {
				t.Fatal(err)
			}
			session, err := NewSession("", signer, "json")
			if err != nil {
				t.Fatal(err)
			}
			m, err := session.Open(v.Frames)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Idents) != v.Identities || len(m.Buffers) != v.Buffers {
				t.Errorf("%d identities and %d buffers, want %d and %d", len(m.Idents), len(m.Buffers), v.Identities, v.Buffers)
			}
			if got := string(signer.Sign(&m)); got != string(m.Signature) {
				t.Errorf("signature %q, want %q", got, m.Signature)
			}
			for _, part := range []struct {
				name   string
				packed []byte
				want   json.RawMessage
			}{{"header", m.Header, v.Header}, {"parent", m.Parent, v.Parent}, {"metadata", m.Metadata, v.Metadata}, {"content", m.Content, v.Content}} {
				var got any
				if err := session.Unpack(part.packed, &got); err != nil {
					t.Fatalf("%s: %v", part.name, err)
				}
				if !reflect.DeepEqual(got, decode(t, part.want)) {
					t.Errorf("%s: %s, want %s", part.name, part.packed, part.want)
				}
			}
			checkHeader(t, m.Header)
			checkMetadata(t, m.Metadata)
			if !reflect.DeepEqual(m.AppendFrames(nil), v.Frames) {
				t.Error("AppendFrames does not give the frames back")
			}
			_, err = session.Open(v.Frames)
			if signer.Enabled() && !errors.Is(err, ErrReplay) || !signer.Enabled() && err != nil {
				t.Errorf("opened twice: %v", err)
			}
		})
	}
}

// checkHeader compares PeekHeader with encoding/json.
func checkHeader(t *testing.T, packed []byte) {
	t.Helper()
	got, err := PeekHeader(packed)
	if err != nil {
		t.Fatal(err)
	}
	var want Header
	if err := json.Unmarshal(packed, &want); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("header %+v, want %+v", got, want)
	}
	if _, err := ParseDate(got.Date); err != nil {
		t.Error(err)
	}
}

// checkMetadata compares PeekMetadata with a decoded dictionary.
func checkMetadata(t *testing.T, packed []byte) {
	t.Helper()
	m, err := PeekMetadata(packed)
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Retries int     `json:"retries"`
		Timeout float64 `json:"timeout"`
		Targets []any   `json:"targets"`
		After   any     `json:"after"`
		Follow  any     `json:"follow"`
		Label   string  `json:"label"`
		ID      string  `json:"original_msg_id"`
		Bcast   bool    `json:"is_broadcast"`
		Coal    bool    `json:"is_coalescing"`
		Status  string  `json:"status"`
		Engine  string  `json:"engine"`
		Started string  `json:"started"`
		Met     *bool   `json:"dependencies_met"`
	}
	if err := json.Unmarshal(packed, &want); err != nil {
		t.Fatal(err)
	}
	unmet := want.Met != nil && !*want.Met
	if m.Retries != want.Retries || m.Timeout != want.Timeout || m.Label != want.Label || m.OriginalMsgID != want.ID ||
		m.IsBroadcast != want.Bcast || m.IsCoalescing != want.Coal || m.Status != want.Status || m.Engine != want.Engine ||
		m.Started != want.Started || m.DependenciesUnmet != unmet {
		t.Errorf("metadata %+v from %s", m, packed)
	}
	if len(m.Targets) != len(want.Targets) {
		t.Errorf("targets %v, want %v", m.Targets, want.Targets)
	}
	for i, target := range want.Targets {
		if pair, ok := target.([]any); ok {
			if m.Targets[i] != pair[0] || float64(m.TargetIDs[i]) != pair[1] {
				t.Errorf("target %v, want %v", m.Targets[i], pair)
			}
		} else if m.Targets[i] != target {
			t.Errorf("target %v, want %v", m.Targets[i], target)
		}
	}
	checkDependency(t, m.After, want.After)
	checkDependency(t, m.Follow, want.Follow)
}

func checkDependency(t *testing.T, got Dependency, want any) {
	t.Helper()
	w := Dependency{All: true, Success: true}
	var ids []any
	switch v := want.(type) {
	case []any:
		ids = v
	case map[string]any:
		ids = v["dependencies"].([]any)
		w.All, w.Success, w.Failure = v["all"].(bool), v["success"].(bool), v["failure"].(bool)
	}
	for _, id := range ids {
		w.IDs = append(w.IDs, id.(string))
	}
	if len(w.IDs) == 0 {
		if !got.Empty() {
			t.Errorf("dependency %+v, want none", got)
		}
		return
	}
	if !reflect.DeepEqual(got, w) {
		t.Errorf("dependency %+v, want %+v", got, w)
	}
}

// TestMsgpackVectors reads messages in MessagePack and packs them again.
func TestMsgpackVectors(t *testing.T) {
	for _, v := range readVectors(t, "9.1-msgpack.json") {
		signer, err := NewSigner(v.Scheme, v.Key)
		if err != nil {
			t.Fatal(err)
		}
		session, err := NewSession("", signer, "msgpack.packb")
		if err != nil {
			t.Fatal(err)
		}
		m, err := session.Open(v.Frames)
		if err != nil || len(m.Idents) != v.Identities || len(m.Buffers) != v.Buffers {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		for _, part := range [][]byte{m.Header, m.Parent, m.Metadata, m.Content} {
			text, err := session.JSON(part)
			if err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			packed, err := session.PackJSON(text)
			if err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			if again, err := session.JSON(packed); err != nil || string(again) != string(text) {
				t.Errorf("%s: %s became %s, %v", v.Name, text, again, err)
			}
		}
		header, err := PeekHeader(m.Header)
		var all Header
		if err := session.Unpack(m.Header, &all); err != nil {
			t.Fatal(err)
		}
		if err != nil || header != all || header.MsgID == "" || header.MsgType == "" {
			t.Errorf("%s: header %+v, %v; want %+v", v.Name, header, err, all)
		}
		if _, err := PeekMetadata(m.Metadata); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}
