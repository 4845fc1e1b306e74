// Package template renders batch scripts. A template is text with fields in
// braces: "{n}", "{queue}", or an expression over the variables such as
// "{n//4}" or "{queue.upper()}". "{{" and "}}" are literal braces. As in
// Python's str.format a field may end with a conversion ("{queue!r}") and a
// format ("{n:04d}").
//
// Everything outside of fields is copied byte for byte. Expressions are
// Starlark, whose syntax is Python's; they can neither read files nor run for
// ever. Where they differ from Starlark: "/" of two integers is an integer, so
// that templates written for Python 2 go on to work.
package template
