// Package pyliteral parses Python literals, which configuration files and command
// lines of Python programs contain where JSON has values.
package pyliteral

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deeply lists and dictionaries may be nested.
const maxDepth = 50

// Parse parses a text that is one literal: None, True, False, a number, a string
// or bytes, or a list, tuple or dictionary of literals. It accepts JSON as well. The
// result has a type that encoding/json produces: nil, bool, json.Number, string,
// []any or map[string]any.
func Parse(text string) (any, error) {
	v, rest, err := Prefix(text)
	if err != nil {
		return nil, err
	}
	p := parser{rest: rest, depth: 1} // so that line ends are skipped
	if p.blanks(); p.rest != "" {
		return nil, fmt.Errorf("unexpected %.20q after the value", p.rest)
	}
	return v, nil
}

// Prefix parses the literal that a text begins with, and returns its value and the
// text after it.
func Prefix(text string) (value any, rest string, err error) {
	p := parser{rest: text}
	p.blanks()
	value, err = p.value()
	return value, p.rest, err
}

type parser struct {
	rest  string
	depth int // number of open brackets; inside them a line end is white space
}

var (
	numberForm = regexp.MustCompile(`^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?`)
	stringForm = regexp.MustCompile(`^([rRbBuU]{0,2})("""|'''|"|')`)
	wordForm   = regexp.MustCompile(`^\w+`)
)

var words = map[string]any{"None": nil, "null": nil, "True": true, "true": true, "False": false, "false": false}

// blanks skips white space, and inside brackets also line ends and comments.
func (p *parser) blanks() {
	for p.rest != "" {
		switch c := p.rest[0]; {
		case c == ' ' || c == '\t', p.depth > 0 && (c == '\n' || c == '\r'):
			p.rest = p.rest[1:]
		case strings.HasPrefix(p.rest, "\\\n"):
			p.rest = p.rest[2:]
		case c == '#' && p.depth > 0:
			_, p.rest, _ = strings.Cut(p.rest, "\n")
		default:
			return
		}
	}
}

func (p *parser) value() (any, error) {
	if p.rest == "" {
		return nil, errors.New("the value is missing")
	}
	if stringForm.MatchString(p.rest) {
		return p.text()
	}
	switch p.rest[0] {
	case '[':
		return p.list(']')
	case '(':
		return p.list(')')
	case '{':
		return p.dictionary()
	}
	if n := numberForm.FindString(p.rest); n != "" {
		p.rest = p.rest[len(n):]
		if w := wordForm.FindString(p.rest); w != "" {
			return nil, fmt.Errorf("%s%s is not a number", n, w)
		}
		return number(n)
	}
	w := wordForm.FindString(p.rest)
	v, ok := words[w]
	if !ok {
		return nil, fmt.Errorf("%.20q is not a Python literal", p.rest)
	}
	p.rest = p.rest[len(w):]
	return v, nil
}

// number converts a number in Python's syntax to JSON's.
func number(text string) (json.Number, error) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "+"), "_", "")
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return json.Number(strconv.FormatInt(i, 10)), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", fmt.Errorf("%s is not a number", text)
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
}

// open skips an opening bracket and the white space after it.
func (p *parser) open() error {
	p.rest = p.rest[1:]
	if p.depth++; p.depth > maxDepth {
		return errors.New("the value is nested too deeply")
	}
	p.blanks()
	return nil
}

// next skips the comma after an item. done reports whether the closing bracket
// followed; it is skipped too.
func (p *parser) next(closing byte) (done bool, err error) {
	p.blanks()
	comma := strings.HasPrefix(p.rest, ",")
	if comma {
		p.rest = p.rest[1:]
		p.blanks()
	}
	switch {
	case p.rest == "":
		return false, fmt.Errorf("%q is missing", string(closing))
	case p.rest[0] == closing:
		p.rest = p.rest[1:]
		p.depth--
		return true, nil
	case !comma:
		return false, fmt.Errorf("expected a comma or %[2]q, found %.20[1]q", p.rest, string(closing))
	}
	return false, nil
}

// list parses a list or a tuple. Parentheses around one value without a comma do not
// make a tuple.
func (p *parser) list(closing byte) (any, error) {
	if err := p.open(); err != nil {
		return nil, err
	}
	items := []any{}
	if strings.HasPrefix(p.rest, string(closing)) {
		p.rest = p.rest[1:]
		p.depth--
		return items, nil
	}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		items = append(items, v)
		p.blanks()
		comma := strings.HasPrefix(p.rest, ",")
		done, err := p.next(closing)
		if err != nil {
			return nil, err
		}
		if done {
			if closing == ')' && len(items) == 1 && !comma {
				return items[0], nil
			}
			return items, nil
		}
	}
}

func (p *parser) dictionary() (any, error) {
	if err := p.open(); err != nil {
		return nil, err
	}
	items := map[string]any{}
	if strings.HasPrefix(p.rest, "}") {
		p.rest = p.rest[1:]
		p.depth--
		return items, nil
	}
	for {
		k, err := p.value()
		if err != nil {
			return nil, err
		}
		key, ok := k.(string)
		if n, isNumber := k.(json.Number); isNumber {
			key, ok = n.String(), true
		}
		if !ok {
			return nil, fmt.Errorf("%v can't be a key", k)
		}
		p.blanks()
		if !strings.HasPrefix(p.rest, ":") {
			return nil, fmt.Errorf("expected a colon, found %.20q", p.rest)
		}
		p.rest = p.rest[1:]
		p.blanks()
		if items[key], err = p.value(); err != nil {
			return nil, err
		}
		done, err := p.next('}')
		if done || err != nil {
			return items, err
		}
	}
}

// text parses a string. Adjacent strings are joined.
func (p *parser) text() (any, error) {
	var whole strings.Builder
	for {
		m := stringForm.FindStringSubmatch(p.rest)
		if m == nil {
			return whole.String(), nil
		}
		p.rest = p.rest[len(m[0]):]
		if err := p.body(&whole, m[2], strings.ContainsAny(m[1], "rR")); err != nil {
			return nil, err
		}
		p.blanks()
	}
}

// body parses a string up to its closing quote.
func (p *parser) body(out *strings.Builder, quote string, raw bool) error {
	for p.rest != "" {
		switch {
		case strings.HasPrefix(p.rest, quote):
			p.rest = p.rest[len(quote):]
			return nil
		case p.rest[0] == '\n' && len(quote) == 1:
			return errors.New("a string is not closed at the end of its line")
		case p.rest[0] == '\\' && len(p.rest) > 1:
			var n int
			switch text, used := escape(p.rest[1:]); {
			case raw || used == 0:
				_, size := utf8.DecodeRuneInString(p.rest[1:])
				n = 1 + size
				out.WriteString(p.rest[:n])
			default:
				n = 1 + used
				out.WriteString(text)
			}
			p.rest = p.rest[n:]
		default:
			out.WriteByte(p.rest[0])
			p.rest = p.rest[1:]
		}
	}
	return errors.New("a string is not closed")
}

var escapes = map[byte]string{
	'\n': "", '\\': `\`, '\'': "'", '"': `"`, '/': "/", 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

// escape parses the text after a backslash. used is the number of bytes of the escape
// sequence, or 0 if it is not one: then the backslash stands for itself.
func escape(text string) (out string, used int) {
	if s, ok := escapes[text[0]]; ok {
		return s, 1
	}
	if digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[0]]; digits > 0 && len(text) > digits {
		if n, err := strconv.ParseUint(text[1:1+digits], 16, 32); err == nil && n <= utf8.MaxRune {
			return string(rune(n)), 1 + digits
		}
		return "", 0
	}
	n := 0
	for n < 3 && n < len(text) && text[n] >= '0' && text[n] <= '7' {
		n++
	}
	if n == 0 {
		return "", 0
	}
	code, err := strconv.ParseUint(text[:n], 8, 16)
	if err != nil {
		return "", 0
	}
	return string(rune(code)), n
}
