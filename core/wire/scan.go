package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// maxDepth limits the nesting of skipped values, and of values in MessagePack.
const maxDepth = 256

var errJSON = errors.New("not valid JSON")

// scanner reads JSON text from left to right. It accepts exactly the texts that
// encoding/json accepts, up to maxDepth levels. Strings without escapes are substrings
// of text and need no allocation.
type scanner struct {
	data  []byte
	text  string // a copy of data, or a view
	pos   int
	depth int
}

func newScanner(data []byte) scanner { return scanner{data: data, text: string(data)} }

// viewScanner is newScanner without the copy, for data that is not modified afterwards.
func viewScanner(data []byte) scanner {
	return scanner{data: data, text: unsafe.String(unsafe.SliceData(data), len(data))} //nolint:gosec // the caller does not change data
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", errJSON, what, s.pos)
}

// peek returns the next byte after white space, or 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// end checks that only white space remains.
func (s *scanner) end() error {
	if s.peek() != 0 || s.pos < len(s.text) {
		return s.fail("trailing data")
	}
	return nil
}

// object calls field for each key, which must read the value.
func (s *scanner) object(field func(key string) error) error {
	if s.peek() != '{' {
		return s.fail("expected an object")
	}
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested too deeply")
	}
	if s.peek() == '}' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.fail("expected a key")
		}
		key, err := s.string()
		if err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.fail("expected ':'")
		}
		if s.pos++; s.at(' ') {
			s.pos++
		}
		if err := field(key); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			if s.pos++; s.at(' ') {
				s.pos++
			}
		case '}':
			s.pos++
			s.depth--
			return nil
		default:
			return s.fail("expected ',' or '}'")
		}
	}
}

// array calls element before each value, which it must read.
func (s *scanner) array(element func() error) error {
	if s.peek() != '[' {
		return s.fail("expected a list")
	}
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested too deeply")
	}
	if s.peek() == ']' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			s.depth--
			return nil
		default:
			return s.fail("expected ',' or ']'")
		}
	}
}

// skip reads any value.
func (s *scanner) skip() error {
	switch c := s.peek(); c {
	case '{':
		return s.object(func(string) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	case '"':
		_, _, err := s.rawString()
		return err
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		_, err := s.number()
		return err
	}
}

func (s *scanner) word(w string) error {
	if !strings.HasPrefix(s.text[s.pos:], w) {
		return s.fail("unknown word")
	}
	s.pos += len(w)
	return nil
}

// null reads null if it is next.
func (s *scanner) null() (bool, error) {
	if s.peek() != 'n' {
		return false, nil
	}
	return true, s.word("null")
}

func (s *scanner) bool() (bool, error) {
	switch s.peek() {
	case 't':
		return true, s.word("true")
	case 'f':
		return false, s.word("false")
	}
	return false, s.fail("expected true or false")
}

// boolOrNull stores a boolean; null leaves false.
func (s *scanner) boolOrNull(v *bool) error {
	*v = false
	if null, err := s.null(); null || err != nil {
		return err
	}
	var err error
	*v, err = s.bool()
	return err
}

// stringOrNull stores a string; null leaves the empty one.
func (s *scanner) stringOrNull(v *string) error {
	*v = ""
	if null, err := s.null(); null || err != nil {
		return err
	}
	var err error
	*v, err = s.string()
	return err
}

// number reads a number and returns its text.
func (s *scanner) number() (string, error) {
	s.peek()
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	switch {
	case s.at('0'):
		s.pos++
	case !s.digits():
		return "", s.fail("expected a value")
	}
	if s.at('.') {
		s.pos++
		if !s.digits() {
			return "", s.fail("expected a digit")
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if !s.digits() {
			return "", s.fail("expected a digit")
		}
	}
	return s.text[start:s.pos], nil
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.text) && s.text[s.pos] == c }

// digits reads digits and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// float reads a number; null is 0.
func (s *scanner) float() (float64, error) {
	if null, err := s.null(); null || err != nil {
		return 0, err
	}
	text, err := s.number()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, s.fail("number out of range")
	}
	return v, nil
}

// int reads a whole number; null is 0.
func (s *scanner) int() (int, error) {
	v, err := s.float()
	if err != nil {
		return 0, err
	}
	const limit = 1 << 53
	if v > limit || v < -limit || v != float64(int64(v)) {
		return 0, s.fail("expected a whole number")
	}
	return int(v), nil
}

// string reads a string.
func (s *scanner) string() (string, error) {
	if s.peek() != '"' {
		return "", s.fail("expected a string")
	}
	start := s.pos
	s.pos++
	if s.plain(); s.at('"') { // nearly always
		s.pos++
		return s.text[start+1 : s.pos-1], nil
	}
	s.pos = start
	raw, plain, err := s.rawString()
	if err != nil || plain {
		return raw, err
	}
	return unescape(raw), nil
}

// rawString reads a string and returns the text between its quotes. plain reports
// whether it has only ASCII characters and no escapes.
func (s *scanner) rawString() (raw string, plain bool, err error) {
	s.pos++
	start := s.pos
	plain = true
	for {
		s.plain()
		if s.pos == len(s.text) {
			return "", false, s.fail("unfinished string")
		}
		switch c := s.text[s.pos]; {
		case c == '"':
			raw = s.text[start:s.pos]
			s.pos++
			return raw, plain, nil
		case c == '\\':
			plain = false
			if err := s.escape(); err != nil {
				return "", false, err
			}
		case c < 0x20:
			return "", false, s.fail("control character in a string")
		default:
			plain = false
			s.pos++
		}
	}
}

// plain skips bytes that need no decoding, eight at a time.
func (s *scanner) plain() {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	pos := s.pos
	for ; len(s.data)-pos >= 8; pos += 8 {
		x := binary.LittleEndian.Uint64(s.data[pos:])
		quote, escape := x^(ones*'"'), x^(ones*'\\')
		// A byte of tops is set where the byte of x is not ASCII, or is a control
		// character, a quote or a backslash; bytes after such a byte may be set too.
		if odd := (x | (x - ones*0x20) | (quote - ones) | (escape - ones)) & tops; odd != 0 {
			s.pos = pos + bits.TrailingZeros64(odd)/8
			return
		}
	}
	for pos < len(s.data) && plainByte[s.data[pos]] {
		pos++
	}
	s.pos = pos
}

// plainByte marks the bytes of a string that need no decoding.
var plainByte = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// escape skips one escape sequence.
func (s *scanner) escape() error {
	rest := s.text[s.pos+1:]
	if rest == "" {
		return s.fail("unfinished string")
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
		if hex4(rest[1:]) >= 0 {
			s.pos += 6
			return nil
		}
	}
	return s.fail("invalid escape")
}

// hex4 returns the value of four hexadecimal digits, or -1.
func hex4(s string) rune {
	if len(s) < 4 {
		return -1
	}
	var v rune
	for _, c := range []byte(s[:4]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		v = v<<4 | rune(c)
	}
	return v
}

// unescape decodes the inside of a string that rawString has checked. Lone
// surrogates and bytes that are not UTF-8 become U+FFFD.
func unescape(raw string) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			run := raw[i:]
			if end := strings.IndexByte(run, '\\'); end >= 0 {
				run = run[:end]
			}
			out = appendValid(out, run)
			i += len(run)
			continue
		}
		if raw[i+1] != 'u' {
			out = append(out, simpleEscape(raw[i+1]))
			i += 2
			continue
		}
		r := hex4(raw[i+2:])
		i += 6
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if strings.HasPrefix(raw[i:], `\u`) {
				low = hex4(raw[i+2:])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				i += 6
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

// appendValid appends text and replaces each byte that is not valid UTF-8 by U+FFFD.
func appendValid(out []byte, text string) []byte {
	if utf8.ValidString(text) {
		return append(out, text...)
	}
	for _, r := range text {
		out = utf8.AppendRune(out, r)
	}
	return out
}

func simpleEscape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
