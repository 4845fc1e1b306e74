// Package template renders batch scripts. A template is text with fields in
// braces: "{n}", "{queue}", or an expression over the variables such as
// "{n//4}" or "{queue.upper()}". "{{" and "}}" are literal braces. As in
// Python's str.format a field may end with a conversion ("{queue!r}") and a
// format ("{n:04d}").
//
// Everything outside of fields is copied byte for byte. Expressions are Starlark, whose
// syntax is a subset of Python's; they can't read files, and the number of their steps
// is limited. There is one difference from Starlark: "/" of two integers is an
// integer, so that templates written for Python 2 work unchanged.
package template
