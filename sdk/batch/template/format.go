package template

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// maxWidth bounds the width and the precision of a format.
const maxWidth = 4096

// formatForm matches the part of Python's format specifications that is supported:
// [[fill]align][sign][0][width][,][.precision][type].
var formatForm = regexp.MustCompile(`^(?:(.)?([<>^=]))?([+ -])?(0)?([0-9]+)?(,)?(?:\.([0-9]+))?([bdoxXeEfFgGs%])?$`)

// formatValue formats a value as Python's format() does.
func formatValue(v starlark.Value, format string) (string, error) {
	if format == "" {
		return str(v), nil
	}
	m := formatForm.FindStringSubmatch(format)
	if m == nil {
		return "", fmt.Errorf("format %q is not supported", format)
	}
	fill, align, sign, zero, comma, kind := m[1], m[2], m[3], m[4] != "", m[6] != "", m[8]
	width, err := number(m[5])
	if err != nil {
		return "", err
	}
	precision := -1
	if m[7] != "" {
		if precision, err = number(m[7]); err != nil {
			return "", err
		}
	}
	body, numeric, err := formatBody(v, kind, precision)
	if err != nil {
		return "", fmt.Errorf("format %q: %w", format, err)
	}
	if !numeric && (sign != "" || comma || align == "=") {
		return "", fmt.Errorf("format %q needs a number, and the value is a %s", format, v.Type())
	}
	minus := ""
	if numeric {
		if rest, ok := strings.CutPrefix(body, "-"); ok {
			minus, body = "-", rest
		} else if sign == "+" || sign == " " {
			minus = sign
		}
		if comma {
			body = thousands(body)
		}
	}
	if zero && align == "" {
		fill, align = "0", "="
	}
	if align == "" {
		if align = "<"; numeric {
			align = ">"
		}
	}
	if fill == "" {
		fill = " "
	}
	pad := max(0, width-utf8.RuneCountInString(minus+body))
	switch align {
	case "=":
		return minus + strings.Repeat(fill, pad) + body, nil
	case ">":
		return strings.Repeat(fill, pad) + minus + body, nil
	case "^":
		return strings.Repeat(fill, pad/2) + minus + body + strings.Repeat(fill, pad-pad/2), nil
	}
	return minus + body + strings.Repeat(fill, pad), nil
}

func formatBody(v starlark.Value, kind string, precision int) (body string, numeric bool, err error) {
	switch x := v.(type) {
	case starlark.Int:
		switch kind {
		case "", "d":
			return x.String(), true, nil
		case "b", "o", "x":
			base := map[string]int{"b": 2, "o": 8, "x": 16}[kind]
			return x.BigInt().Text(base), true, nil
		case "X":
			return strings.ToUpper(x.BigInt().Text(16)), true, nil
		}
		if strings.Contains("eEfFgG%", kind) {
			return floatBody(float64(x.Float()), kind, precision), true, nil
		}
	case starlark.Float:
		if kind == "" && precision < 0 {
			return x.String(), true, nil
		}
		if kind == "" {
			kind = "g"
		}
		if strings.Contains("eEfFgG%", kind) {
			return floatBody(float64(x), kind, precision), true, nil
		}
	default:
		if kind == "" || kind == "s" {
			s := []rune(str(v))
			if precision >= 0 && precision < len(s) {
				s = s[:precision]
			}
			return string(s), false, nil
		}
	}
	return "", false, fmt.Errorf("type %q is not valid for a %s", kind, v.Type())
}

func floatBody(f float64, kind string, precision int) string {
	if precision < 0 {
		precision = 6
	}
	if kind == "%" {
		return strconv.FormatFloat(f*100, 'f', precision, 64) + "%"
	}
	return strconv.FormatFloat(f, strings.ToLower(kind)[0], precision, 64)
}

func thousands(s string) string {
	whole, fraction, dot := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		return whole + "." + fraction
	}
	return whole
}

func number(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > maxWidth {
		return 0, fmt.Errorf("the width or precision %s is more than %d", s, maxWidth)
	}
	return n, nil
}
