package wire

import "fmt"

// Stream is the content of a "stream" message: output of a request.
type Stream struct {
	Name string // "stdout" or "stderr"
	Text string
}

// ViewStream decodes the packed content of a "stream" message without reflection. The
// strings may be views of packed, which must not be modified afterwards. Fields that
// are absent or null stay empty.
func ViewStream(packed []byte) (Stream, error) {
	var m Stream
	packed, err := plain(packed)
	if err != nil {
		return m, fmt.Errorf("stream: %w", err)
	}
	s := viewScanner(packed)
	err = s.object(func(key string) error {
		switch key {
		case "name":
			return s.stringOrNull(&m.Name)
		case "text":
			return s.stringOrNull(&m.Text)
		}
		return s.skip()
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return Stream{}, fmt.Errorf("stream: %w", err)
	}
	return m, nil
}
