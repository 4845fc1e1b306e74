"""The other requests of the Jupyter protocol: completion, inspection, history."""

from . import interrupt, namespace


def answer(kind, content):
    """Return the content of the reply."""
    return _answers.get(kind, lambda content: {"status": "ok"})(content)


def _word(code, position):
    start = position
    while start > 0 and (code[start - 1].isalnum() or code[start - 1] in "_."):
        start -= 1
    return start, code[start:position]


def _complete(content):
    import rlcompleter

    code = content.get("code", "")
    position = content.get("cursor_pos", len(code))
    start, word = _word(code, position)
    matches = []
    completer = rlcompleter.Completer(namespace.user_ns)
    before = interrupt.enter(interrupt.USER)
    try:
        for state in range(1000):
            match = completer.complete(word, state) if word else None
            if match is None:
                break
            match = match.rstrip("( ")
            if match not in matches:
                matches.append(match)
    finally:
        interrupt.leave(before)
    return {"status": "ok", "matches": matches, "cursor_start": start, "cursor_end": position, "metadata": {}}


def describe(obj, detail=0):
    """Return what is known about an object, as text."""
    import inspect

    parts = []
    try:
        name = getattr(obj, "__name__", None)
        if callable(obj) and name:
            parts.append("Signature: %s%s" % (name, inspect.signature(obj)))
    except (TypeError, ValueError):
        pass
    if not callable(obj):
        parts.append("String form: %s" % str(obj)[:2000])
    parts.insert(0, "Type:      %s" % type(obj).__name__)
    text = None
    if detail:
        try:
            text = "Source:\n" + inspect.getsource(obj)
        except (OSError, TypeError):
            pass
    parts.append(text or "Docstring:\n" + (inspect.getdoc(obj) or "<no docstring>"))
    return "\n".join(parts)


def _inspect(content):
    code = content.get("code", "")
    position = end = content.get("cursor_pos", len(code))
    while end < len(code) and (code[end].isalnum() or code[end] == "_"):
        end += 1
    word = _word(code, end)[1] or _word(code, position)[1].rstrip("(")
    reply = {"status": "ok", "found": False, "data": {}, "metadata": {}}
    before = interrupt.enter(interrupt.USER)
    try:
        value = eval(word, namespace.user_ns) if word else None
        if word:
            reply.update(found=True, data={"text/plain": describe(value, content.get("detail_level", 0))})
    except Exception:
        pass
    finally:
        interrupt.leave(before)
    return reply


def _is_complete(content):
    import codeop

    from . import syntax

    code = content.get("code", "")
    try:
        if codeop.compile_command(syntax.transform(code), "<input>", "exec") is None:
            last = code.rstrip("\n").split("\n")[-1]
            indent = len(last) - len(last.lstrip()) + (4 if last.rstrip().endswith(":") else 0)
            return {"status": "incomplete", "indent": " " * indent}
    except (SyntaxError, OverflowError, ValueError):
        return {"status": "invalid"}
    return {"status": "complete"}


def _history(content):
    cells = list(enumerate(namespace.user_ns.get("_ih") or [""]))[1:]
    results = namespace.user_ns.get("_oh") or {}
    if content.get("hist_access_type") == "range":
        start, stop = content.get("start") or 0, content.get("stop")
        cells = [c for c in cells if c[0] >= start and (stop is None or c[0] < stop)]
    elif content.get("n"):
        cells = cells[-content["n"] :]
    if content.get("output"):
        items = [(0, i, (text, repr(results[i]) if i in results else None)) for i, text in cells]
    else:
        items = [(0, i, text) for i, text in cells]
    return {"status": "ok", "history": items}


_answers = {
    "complete_request": _complete,
    "inspect_request": _inspect,
    "is_complete_request": _is_complete,
    "history_request": _history,
    "comm_info_request": lambda content: {"status": "ok", "comms": {}},
}
