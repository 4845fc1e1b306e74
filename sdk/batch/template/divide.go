package template

import (
	"errors"
	"math/big"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// divide is the name of the function that replaces "/". It is not an identifier, so no
// template can use it.
const divide = "/"

// quotient is "/" in templates. The quotient of two integers is an integer; rounded
// reports whether it was rounded down.
func quotient(a, b starlark.Value) (v starlark.Value, rounded bool, err error) {
	x, okX := a.(starlark.Int)
	y, okY := b.(starlark.Int)
	if !okX || !okY {
		v, err := starlark.Binary(syntax.SLASH, a, b)
		return v, false, err
	}
	if y.Sign() == 0 {
		return nil, false, errors.New("division by zero")
	}
	rest := new(big.Int).Rem(x.BigInt(), y.BigInt())
	return x.Div(y), rest.Sign() != 0, nil
}

// rewriteDivision replaces every "/" by a call of divide.
func rewriteDivision(e syntax.Expr) syntax.Expr {
	switch e := e.(type) {
	case *syntax.BinaryExpr:
		e.X, e.Y = rewriteDivision(e.X), rewriteDivision(e.Y)
		if e.Op == syntax.SLASH {
			return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: e.OpPos, Name: divide}, Lparen: e.OpPos, Args: []syntax.Expr{e.X, e.Y}, Rparen: e.OpPos}
		}
	case *syntax.UnaryExpr:
		if e.X != nil {
			e.X = rewriteDivision(e.X)
		}
	case *syntax.ParenExpr:
		e.X = rewriteDivision(e.X)
	case *syntax.CondExpr:
		e.Cond, e.True, e.False = rewriteDivision(e.Cond), rewriteDivision(e.True), rewriteDivision(e.False)
	case *syntax.CallExpr:
		e.Fn = rewriteDivision(e.Fn)
		rewriteAll(e.Args)
	case *syntax.IndexExpr:
		e.X, e.Y = rewriteDivision(e.X), rewriteDivision(e.Y)
	case *syntax.SliceExpr:
		e.X = rewriteDivision(e.X)
		for _, p := range []*syntax.Expr{&e.Lo, &e.Hi, &e.Step} {
			if *p != nil {
				*p = rewriteDivision(*p)
			}
		}
	case *syntax.DotExpr:
		e.X = rewriteDivision(e.X)
	case *syntax.ListExpr:
		rewriteAll(e.List)
	case *syntax.TupleExpr:
		rewriteAll(e.List)
	case *syntax.DictExpr:
		rewriteAll(e.List)
	case *syntax.DictEntry:
		e.Key, e.Value = rewriteDivision(e.Key), rewriteDivision(e.Value)
	case *syntax.Comprehension:
		e.Body = rewriteDivision(e.Body)
		for _, c := range e.Clauses {
			switch c := c.(type) {
			case *syntax.ForClause:
				c.X = rewriteDivision(c.X)
			case *syntax.IfClause:
				c.Cond = rewriteDivision(c.Cond)
			}
		}
	}
	return e
}

func rewriteAll(list []syntax.Expr) {
	for i := range list {
		list[i] = rewriteDivision(list[i])
	}
}
