"""Tells byte code of another Python version from this one's. Running foreign byte code misbehaves, hangs or crashes."""

import opcode
import sys

_FIELDS = 18 if sys.version_info >= (3, 11) else 16
_defined = set(opcode.opmap.values())
_const = set(opcode.hasconst)
_relative = set(opcode.hasjrel)
_absolute = set(opcode.hasjabs)
_backward = {op for name, op in opcode.opmap.items() if "JUMP_BACKWARD" in name or "BACKWARD_JUMP" in name}
_backward |= {op for name, op in opcode.opmap.items() if name.startswith("POP_JUMP_BACKWARD")}
_extended = opcode.EXTENDED_ARG
_resume = opcode.opmap.get("RESUME")
_unit = 2 if sys.version_info >= (3, 10) else 1  # bytes per step of a jump
_caches = {}
if sys.version_info >= (3, 11):
    _entries = getattr(opcode, "_inline_cache_entries", {})
    if isinstance(_entries, dict):
        _caches = {opcode.opmap[name]: n for name, n in _entries.items() if n and name in opcode.opmap}
    else:
        _caches = {op: n for op, n in enumerate(_entries) if n}


def foreign(args):
    """Return why the fields of a pickled code object can't be this Python's, or None."""
    if len(args) != _FIELDS:
        return "%d fields, not %d" % (len(args), _FIELDS)
    code, consts = args[6], len(args[7])
    size = len(code)
    if size % 2:
        return "odd length"
    starts = set()
    targets = []
    resumed = _resume is None
    argument = at = 0
    while at < size:
        op = code[at]
        if op not in _defined or (op == 0 and _resume is not None):
            return "undefined instruction %d" % op
        starts.add(at)
        argument = argument << 8 | code[at + 1]
        at += 2
        if op == _extended:
            continue
        n = _caches.get(op)
        if n:
            end = at + 2 * n
            if any(code[at:end]) or end > size:
                return "no room for the caches of instruction %d" % op
            at = end
        if op == _resume:
            resumed = True
        elif op in _const:
            if argument >= consts:
                return "constant %d of %d" % (argument, consts)
        elif op in _relative:
            targets.append(at - argument * _unit if op in _backward else at + argument * _unit)
        elif op in _absolute:
            targets.append(argument * _unit)
        argument = 0
    if not resumed:
        return "no RESUME"
    for target in targets:
        if target not in starts:
            return "jump into an instruction"
    return None
