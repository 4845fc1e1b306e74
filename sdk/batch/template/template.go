package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

const (
	maxSteps  = 100_000 // of Starlark, for each field
	maxOutput = 4 << 20 // bytes
	maxField  = 4096    // bytes
)

// Error describes an error in a template.
type Error struct {
	Line  int    // counted from 1
	Field string // with its braces; "" when the error is about a single brace
	Text  string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("template line %d: %s", e.Line, e.Text)
	}
	return fmt.Sprintf("template line %d: %s: %s", e.Line, e.Field, e.Text)
}

// Render replaces the fields of a template. Values of vars are string, int, float64,
// bool, nil, []any and map[string]any. The warnings are texts for people about
// divisions that were rounded. The error is an *Error, unless a variable has another
// type.
func Render(text string, vars map[string]any) (out string, warnings []string, err error) {
	env, err := environment(vars)
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	for at := 0; at < len(text); {
		i := strings.IndexAny(text[at:], "{}")
		if i < 0 {
			b.WriteString(text[at:])
			break
		}
		b.WriteString(text[at : at+i])
		at += i
		if at+1 < len(text) && text[at+1] == text[at] {
			b.WriteByte(text[at])
			at += 2
			continue
		}
		line := 1 + strings.Count(text[:at], "\n")
		if text[at] == '}' {
			return "", nil, &Error{Line: line, Text: `"}" without "{"; write a literal brace twice: "}}"`}
		}
		end := fieldEnd(text[at:])
		if end < 0 {
			return "", nil, &Error{Line: line, Text: `"{" without "}"; write a literal brace twice: "{{"`}
		}
		field := text[at : at+end]
		if len(field) > maxField {
			return "", nil, &Error{Line: line, Field: short(field), Text: fmt.Sprintf("the field is longer than %d bytes", maxField)}
		}
		value, warning, err := renderField(field[1:len(field)-1], env)
		if err != nil {
			return "", nil, &Error{Line: line, Field: short(field), Text: explain(err, vars)}
		}
		if warning != "" {
			warnings = append(warnings, fmt.Sprintf("template line %d: %s: %s", line, short(field), warning))
		}
		b.WriteString(value)
		if b.Len() > maxOutput {
			return "", nil, &Error{Line: line, Field: short(field), Text: fmt.Sprintf("the script is longer than %d MiB", maxOutput>>20)}
		}
		at += end
	}
	return b.String(), warnings, nil
}

// unquoted calls visit for each byte of an expression that is not part of a string
// literal, until visit returns false.
func unquoted(text string, visit func(i int, c byte) bool) {
	var quote byte // of the literal; 0 outside of one
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case !visit(i, c):
			return
		}
	}
}

// fieldEnd returns the index behind the "}" of the field that text begins with; -1
// means that the field does not end.
func fieldEnd(text string) int {
	end, depth := -1, 0
	unquoted(text, func(i int, c byte) bool {
		switch c {
		case '\n':
			return false
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				end = i + 1
				return false
			}
		}
		return true
	})
	return end
}

// splitField splits what is inside the braces into expression, conversion and
// format.
func splitField(field string) (expr, conversion, format string) {
	expr = field
	depth := 0
	unquoted(field, func(i int, c byte) bool {
		switch {
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case depth == 0 && c == '!' && !strings.HasPrefix(field[i:], "!="):
			expr = field[:i]
			conversion, format, _ = strings.Cut(field[i+1:], ":")
			if conversion == "" {
				conversion = " " // renderField refuses it
			}
			return false
		case depth == 0 && c == ':':
			expr, format = field[:i], field[i+1:]
			return false
		}
		return true
	})
	return expr, conversion, format
}

func renderField(field string, env starlark.StringDict) (value, warning string, err error) {
	expr, conversion, format := splitField(field)
	if strings.TrimSpace(expr) == "" {
		return "", "", errors.New("the field is empty")
	}
	options := &syntax.FileOptions{}
	tree, err := options.ParseExpr("field", strings.TrimSpace(expr), 0)
	if err != nil {
		return "", "", err
	}
	thread := &starlark.Thread{Name: "template", Print: func(*starlark.Thread, string) {}}
	thread.SetMaxExecutionSteps(maxSteps)
	scope := maps.Clone(env)
	scope[divide] = starlark.NewBuiltin("/", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		v, rounded, err := quotient(args[0], args[1])
		if rounded {
			warning = fmt.Sprintf("%v/%v is not a whole number and was rounded down to %v; write // to round down, or make one of them a float", args[0], args[1], v)
		}
		return v, err
	})
	v, err := starlark.EvalExprOptions(options, thread, rewriteDivision(tree), scope)
	if err != nil {
		return "", "", err
	}
	switch conversion {
	case "":
	case "s":
		v = starlark.String(str(v))
	case "r", "a":
		v = starlark.String(v.String())
	default:
		return "", "", fmt.Errorf("conversion %q is not r, s or a", "!"+strings.TrimSpace(conversion))
	}
	value, err = formatValue(v, format)
	return value, warning, err
}

// str returns what Python's str() returns.
func str(v starlark.Value) string {
	if s, ok := starlark.AsString(v); ok {
		return s
	}
	return v.String()
}

// environment converts variables to Starlark values.
func environment(vars map[string]any) (starlark.StringDict, error) {
	env := make(starlark.StringDict, len(vars))
	for name, v := range vars {
		value, err := toStarlark(v)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
		env[name] = value
	}
	return env, nil
}

func toStarlark(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case int:
		return starlark.MakeInt(v), nil
	case string:
		return starlark.String(v), nil
	case float64:
		if v == float64(int64(v)) {
			return starlark.MakeInt64(int64(v)), nil // JSON has one kind of number
		}
		return starlark.Float(v), nil
	case []any:
		list := make([]starlark.Value, len(v))
		for i := range v {
			var err error
			if list[i], err = toStarlark(v[i]); err != nil {
				return nil, err
			}
		}
		return starlark.NewList(list), nil
	case map[string]any:
		d := starlark.NewDict(len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			value, err := toStarlark(v[k])
			if err == nil {
				err = d.SetKey(starlark.String(k), value)
			}
			if err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	return nil, fmt.Errorf("values of type %T are not supported", v)
}

// explain returns the text of an error of Starlark for the author of the template.
func explain(err error, vars map[string]any) string {
	text := err.Error()
	if s, ok := errors.AsType[syntax.Error](err); ok {
		text = s.Msg
	}
	if i := strings.Index(text, "undefined: "); i >= 0 {
		name, _, _ := strings.Cut(text[i+len("undefined: "):], " ")
		return fmt.Sprintf("there is no variable %q; the variables are %s; write a literal brace twice", name, strings.Join(slices.Sorted(maps.Keys(vars)), ", "))
	}
	return text
}

func short(field string) string {
	if len(field) > 80 {
		return field[:76] + "...}"
	}
	return field
}
