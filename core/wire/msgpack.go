package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

// msgpackCodec packs with MessagePack. The rest of this package works on JSON text;
// this codec translates between the two.
type msgpackCodec struct{}

func (msgpackCodec) pack(v any) ([]byte, error) {
	text, err := jsonCodec{}.pack(v)
	if err != nil {
		return nil, err
	}
	return msgpackOfJSON(text)
}

func (msgpackCodec) unpack(part []byte, v any) error {
	text, err := jsonOfMsgpack(part)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return jsonCodec{}.unpack(text, v)
}

// plain returns a packed part as JSON text, whichever way it is packed: the first byte
// of a MessagePack dictionary never begins a JSON text.
func plain(part []byte) ([]byte, error) {
	if len(part) > 0 && part[0] >= 0x80 {
		return jsonOfMsgpack(part)
	}
	return part, nil
}

var (
	errMsgpackShort = errors.New("msgpack: unexpected end of data")
	errMsgpackDeep  = fmt.Errorf("msgpack: nested deeper than %d", maxDepth)
)

// jsonOfMsgpack translates one value. Bytes become base64 text, as in Python's
// JSON; numbers that JSON does not have become null.
func jsonOfMsgpack(part []byte) ([]byte, error) {
	r := msgpackReader{rest: part, out: make([]byte, 0, 2*len(part))}
	if err := r.value(0); err != nil {
		return nil, err
	}
	if len(r.rest) > 0 {
		return nil, fmt.Errorf("msgpack: %d bytes after the value", len(r.rest))
	}
	return r.out, nil
}

type msgpackReader struct {
	rest []byte
	out  []byte
}

// take returns the next n bytes.
func (r *msgpackReader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.rest)) {
		return nil, errMsgpackShort
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b, nil
}

// number reads a big-endian number of 1, 2, 4 or 8 bytes.
func (r *msgpackReader) number(size uint64) (uint64, error) {
	b, err := r.take(size)
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, err
}

func (r *msgpackReader) value(depth int) error {
	if depth > maxDepth {
		return errMsgpackDeep
	}
	head, err := r.number(1)
	if err != nil {
		return err
	}
	switch {
	case head < 0x80:
		r.out = strconv.AppendUint(r.out, head, 10)
		return nil
	case head < 0x90:
		return r.dict(head&0x0f, depth)
	case head < 0xa0:
		return r.list(head&0x0f, depth)
	case head < 0xc0:
		return r.text(head & 0x1f)
	case head >= 0xe0:
		r.out = strconv.AppendInt(r.out, int64(int8(head)), 10)
		return nil
	}
	switch head {
	case 0xc0:
		r.out = append(r.out, "null"...)
	case 0xc2:
		r.out = append(r.out, "false"...)
	case 0xc3:
		r.out = append(r.out, "true"...)
	case 0xcc, 0xcd, 0xce, 0xcf:
		n, err := r.number(1 << (head - 0xcc))
		r.out = strconv.AppendUint(r.out, n, 10)
		return err
	case 0xd0, 0xd1, 0xd2, 0xd3:
		size := uint64(1) << (head - 0xd0)
		n, err := r.number(size)
		shift := 64 - 8*size // extends the sign
		r.out = strconv.AppendInt(r.out, int64(n<<shift)>>shift, 10)
		return err
	case 0xca:
		n, err := r.number(4)
		r.float(float64(math.Float32frombits(uint32(n))))
		return err
	case 0xcb:
		n, err := r.number(8)
		r.float(math.Float64frombits(n))
		return err
	default:
		return r.sized(head, depth)
	}
	return nil
}

// sized reads a value that is preceded by its length.
func (r *msgpackReader) sized(head uint64, depth int) error {
	kinds := []struct {
		first, last uint64
		size        uint64 // size of the length field for the first type
		read        func(n uint64) error
	}{
		{0xc4, 0xc6, 1, r.bytes},
		{0xd9, 0xdb, 1, r.text},
		{0xdc, 0xdd, 2, func(n uint64) error { return r.list(n, depth) }},
		{0xde, 0xdf, 2, func(n uint64) error { return r.dict(n, depth) }},
	}
	for _, k := range kinds {
		if head < k.first || head > k.last {
			continue
		}
		n, err := r.number(k.size << (head - k.first))
		if err != nil {
			return err
		}
		return k.read(n)
	}
	return fmt.Errorf("msgpack: type 0x%02x is not supported", head)
}

func (r *msgpackReader) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.out = append(r.out, "null"...)
		return
	}
	r.out = strconv.AppendFloat(r.out, f, 'g', -1, 64)
}

func (r *msgpackReader) text(n uint64) error {
	b, err := r.take(n)
	if err == nil && !utf8.Valid(b) {
		err = errors.New("msgpack: a string is not valid UTF-8")
	}
	if err == nil {
		r.out = AppendString(r.out, string(b))
	}
	return err
}

func (r *msgpackReader) bytes(n uint64) error {
	b, err := r.take(n)
	if err == nil {
		r.out = append(r.out, '"')
		r.out = base64.StdEncoding.AppendEncode(r.out, b)
		r.out = append(r.out, '"')
	}
	return err
}

func (r *msgpackReader) list(n uint64, depth int) error {
	r.out = append(r.out, '[')
	for i := range n {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.out = append(r.out, ']')
	return nil
}

func (r *msgpackReader) dict(n uint64, depth int) error {
	r.out = append(r.out, '{')
	for i := range n {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		if err := r.key(depth + 1); err != nil {
			return err
		}
		r.out = append(r.out, ':')
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.out = append(r.out, '}')
	return nil
}

// key reads a key. One that is a number, true, false or nil is put in quotes.
func (r *msgpackReader) key(depth int) error {
	start := len(r.out)
	if err := r.value(depth); err != nil {
		return err
	}
	switch r.out[start] {
	case '"':
	case '[', '{':
		return errors.New("msgpack: a key is a list or a dictionary")
	default:
		text := string(r.out[start:])
		r.out = AppendString(r.out[:start], text)
	}
	return nil
}

// msgpackOfJSON translates one value.
func msgpackOfJSON(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	out, err := appendMsgpack(make([]byte, 0, len(text)), d, 0)
	if err != nil {
		return nil, fmt.Errorf("msgpack: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("msgpack: more than one value to pack")
	}
	return out, nil
}

func appendMsgpack(out []byte, d *json.Decoder, depth int) ([]byte, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case nil:
		return append(out, 0xc0), nil
	case bool:
		if v {
			return append(out, 0xc3), nil
		}
		return append(out, 0xc2), nil
	case string:
		return appendMsgpackText(out, v), nil
	case json.Number:
		return appendMsgpackNumber(out, v)
	}
	if depth >= maxDepth {
		return nil, errMsgpackDeep
	}
	// The number of elements is known only at the end.
	isDict := token == json.Delim('{')
	start, n := len(out), uint32(0)
	out = append(out, 0xdd, 0, 0, 0, 0)
	if isDict {
		out[start] = 0xdf
	}
	for ; d.More(); n++ {
		if isDict {
			if out, err = appendMsgpack(out, d, depth+1); err != nil {
				return nil, err
			}
		}
		if out, err = appendMsgpack(out, d, depth+1); err != nil {
			return nil, err
		}
	}
	binary.BigEndian.PutUint32(out[start+1:], n)
	_, err = d.Token() // the closing bracket
	return out, err
}

func appendMsgpackText(out []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		out = append(out, 0xa0|byte(n))
	case n < 1<<8:
		out = append(out, 0xd9, byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 0xda), uint16(n))
	default:
		out = binary.BigEndian.AppendUint32(append(out, 0xdb), uint32(n))
	}
	return append(out, s...)
}

func appendMsgpackNumber(out []byte, text json.Number) ([]byte, error) {
	if n, err := strconv.ParseInt(text.String(), 10, 64); err == nil {
		if n >= 0 && n < 0x80 {
			return append(out, byte(n)), nil
		}
		return binary.BigEndian.AppendUint64(append(out, 0xd3), uint64(n)), nil
	}
	if n, err := strconv.ParseUint(text.String(), 10, 64); err == nil {
		return binary.BigEndian.AppendUint64(append(out, 0xcf), n), nil
	}
	f, err := text.Float64()
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(append(out, 0xcb), math.Float64bits(f)), nil
}
