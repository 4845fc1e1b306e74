package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// codec packs and unpacks the dictionaries of a message.
type codec interface {
	pack(v any) ([]byte, error)
	unpack(part []byte, v any) error
}

// findCodec returns the codec named by the pack or unpack field of a connection file.
func findCodec(name string) (codec, error) {
	switch name {
	case "json":
		return jsonCodec{}, nil
	case "msgpack", "msgpack.packb":
		return msgpackCodec{}, nil
	case "pickle":
		return nil, fmt.Errorf("packer %q: refused, because unpickling a message runs code that its sender chose; use json", name)
	}
	return nil, fmt.Errorf("packer %q: not supported; use json or msgpack.packb", name)
}

type jsonCodec struct{}

func (jsonCodec) pack(v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return []byte("{}"), nil
	case json.RawMessage:
		if len(v) == 0 {
			return []byte("{}"), nil
		}
		return v, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("pack %T: %w", v, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (jsonCodec) unpack(part []byte, v any) error {
	if err := json.Unmarshal(part, v); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return nil
}
