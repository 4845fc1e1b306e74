"""Turns lines of a cell that are not Python into Python: % and %% magics, ! commands, ? help."""

from . import namespace

_AUTOMAGIC = {"cd", "pwd", "ls", "cat", "mkdir", "run", "whos", "who", "env"}  # magics that work without their %


def _open_text(source):
    """Report whether source ends inside brackets or a string of several lines."""
    import tokenize

    lines = iter(source.splitlines(True))
    try:
        for _ in tokenize.generate_tokens(lambda: next(lines, "")):
            pass
    except tokenize.TokenError:
        return True
    except (SyntaxError, IndentationError):
        pass
    return False


def _call(method, *args):
    return "get_ipython().%s(%s)" % (method, ", ".join([repr(a) for a in args]))


def _magic(text):
    name, _, line = text[1:].strip().partition(" ")
    return _call("run_line_magic", name, line.strip())


def _shell_line(text):
    """Return the Python for a line that begins with one of the special characters, or None."""
    if text.startswith("!!"):
        return _call("getoutput", text[2:].strip())
    if text.startswith("!"):
        return _call("system", text[1:].strip())
    if text.startswith("%") and text[1:2] not in ("", "%", "=", " "):
        return _magic(text)
    if text.startswith("?") and text.strip("?* "):
        return _call("run_line_magic", "pinfo2" if text.startswith("??") else "pinfo", text.strip("? "))
    if text.endswith("?"):
        word = text.rstrip("?").strip()
        if word and all(part.isidentifier() for part in word.lstrip("%").split(".")):
            return _call("run_line_magic", "pinfo2" if text.endswith("??") else "pinfo", word)
    return None


def _assignment(text):
    """Return the Python for `name = %magic` or `name = !command`, or None."""
    left, found, right = text.partition("=")
    right = right.strip()
    if not found or not right or left.rstrip()[-1:] in "=!<>+-*/%&|^@:(" or right[0] not in "%!":
        return None
    if not all(part.strip().replace(".", "_").isidentifier() for part in left.split(",")):
        return None
    if right[0] == "!":
        return "%s= %s" % (left, _call("getoutput", right[1:].strip()))
    return "%s= %s" % (left, _magic(right)) if len(right) > 1 and right[1] not in " =" else None


def _automagic(text):
    """Return the Python for a line magic without its %, or None."""
    word, _, rest = text.partition(" ")
    if word in _AUTOMAGIC and word not in namespace.user_ns and not rest.lstrip().startswith(("=", "(", ".", ",")):
        return _call("run_line_magic", word, rest.strip())
    return None


def transform(source):
    """Return a cell as Python. A cell without magics comes back as it is."""
    stripped = source.lstrip()
    if stripped.startswith("%%") and stripped[2:3].strip():
        first, _, body = stripped.partition("\n")
        name, _, line = first[2:].partition(" ")
        return _call("run_cell_magic", name.strip(), line.strip(), body)
    lines = source.split("\n")
    out = []
    before = ""
    at = 0
    changed = False
    while at < len(lines):
        line = lines[at]
        at += 1
        text = line.strip()
        python = None
        if text and not (before and _open_text(before)):
            joined, end = text, at
            while joined.endswith("\\") and end < len(lines):
                joined, end = joined[:-1] + lines[end].strip(), end + 1
            python = _shell_line(joined) or _assignment(joined) or _automagic(joined)
            if python is not None:
                changed = True
                line = line[: len(line) - len(line.lstrip())] + python
                out.append(line)
                out.extend([""] * (end - at))  # line numbers stay
                at = end
                before = ""
                continue
            before = ""
        before += line + "\n"
        out.append(line)
    return "\n".join(out) if changed else source


def expand(text):
    """Replace {expression} and $name by their values; what can't be evaluated stays."""
    import re

    ns = namespace.user_ns

    def value(match):
        if match.group(0) == "$$":
            return "$"
        expression = match.group(1) or match.group(2)
        if match.group(2) and match.group(2) not in ns:
            return match.group(0)
        try:
            return str(eval(expression, ns))
        except Exception:
            return match.group(0)

    return re.sub(r"\$\$|\{([^{}]+)\}|\$([A-Za-z_]\w*)", value, text)
