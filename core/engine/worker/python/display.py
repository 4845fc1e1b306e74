"""Rich display: objects as MIME bundles, and the messages that carry them."""

from . import channel, failure, interrupt, namespace, streams

WIDTH = 79
formatter = None  # the format function of IPython's shell once that runs the cells

METHODS = (
    ("text/html", "_repr_html_"),
    ("text/markdown", "_repr_markdown_"),
    ("image/svg+xml", "_repr_svg_"),
    ("image/png", "_repr_png_"),
    ("application/pdf", "_repr_pdf_"),
    ("image/jpeg", "_repr_jpeg_"),
    ("text/latex", "_repr_latex_"),
    ("application/json", "_repr_json_"),
    ("application/javascript", "_repr_javascript_"),
)

_CANARY = "_ipython_canary_method_should_not_exist_"


class Printer:
    """The object that _repr_pretty_ methods write to."""

    def __init__(self):
        self.parts = []
        self.stack = []
        self.max_width = WIDTH
        self.indentation = 0

    def text(self, text):
        self.parts.append(text)

    def breakable(self, sep=" "):
        self.parts.append(sep)

    def break_(self):
        self.parts.append("\n")

    def pretty(self, obj):
        self.parts.append(plain(obj))

    def begin_group(self, indent=0, open=""):
        self.parts.append(open)

    def end_group(self, dedent=0, close=""):
        self.parts.append(close)

    def group(self, indent=0, open="", close=""):
        from contextlib import contextmanager

        @contextmanager
        def groups():
            self.begin_group(indent, open)
            yield
            self.end_group(indent, close)

        return groups()

    def indent(self, indent):
        return self.group()

    def flush(self):
        pass


def plain(obj):
    """Return obj as text: repr, wrapped if it is a long container."""
    method = None if isinstance(obj, type) else getattr(type(obj), "_repr_pretty_", None)
    if method is not None:
        printer = Printer()
        try:
            method(obj, printer, False)
            return "".join(printer.parts)
        except Exception:
            pass
    text = repr(obj)
    if len(text) > WIDTH and type(obj) in (list, tuple, dict, set, frozenset):
        from pprint import pformat

        kept = {"sort_dicts": False}
        text = pformat(obj, width=WIDTH, compact=False, **kept)
    elif isinstance(obj, type) and type(obj).__repr__ is type.__repr__:
        module = obj.__module__
        return obj.__qualname__ if module in ("builtins", "exceptions") else "%s.%s" % (module, obj.__qualname__)
    return text


def bundle(obj, include=None, exclude=None):
    """Return the MIME types of obj and their metadata."""
    if formatter is not None:
        return formatter(obj, include, exclude)
    data, metadata = {}, {}
    if not isinstance(obj, type) and getattr(obj, _CANARY, None) is None:
        method = getattr(obj, "_repr_mimebundle_", None)
        if callable(method):
            given = _split(_call(method, include=include, exclude=exclude))
            if given is not None:
                data.update(given[0])
                metadata.update(given[1])
        for mime, name in METHODS:
            if mime in data or (include and mime not in include) or (exclude and mime in exclude):
                continue
            method = getattr(obj, name, None)
            if not callable(method):
                continue
            value = _call(method)
            if isinstance(value, tuple) and len(value) == 2:
                value, metadata[mime] = value
            if value is not None:
                data[mime] = value
        method = getattr(obj, "_ipython_display_", None)
        if callable(method):
            _call(method)
            return {}, {}
    if "text/plain" not in data and (not include or "text/plain" in include) and not (exclude and "text/plain" in exclude):
        data["text/plain"] = plain(obj)
    if include:
        data = {k: v for k, v in data.items() if k in include}
    if exclude:
        data = {k: v for k, v in data.items() if k not in exclude}
    return data, {k: v for k, v in metadata.items() if k in data}


def _split(given):
    if isinstance(given, tuple):
        given = tuple(given) + ({},)
        return (given[0] or {}, given[1] or {}) if isinstance(given[0], dict) else None
    return (given, {}) if isinstance(given, dict) else None


def _call(method, **kwargs):
    """Call a display method. A method that fails is reported and left out, so that the others still show."""
    try:
        return method(**kwargs)
    except NotImplementedError:
        return None
    except Exception as e:
        import sys

        sys.stderr.write("\n".join(failure.lines(e)) + "\n")
        return None


def clean(value):
    """Return value as a value that JSON can represent."""
    if value is None or value is True or value is False or type(value) in (int, str):
        return value
    if isinstance(value, float):
        return float(value) if value - value == 0 else repr(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, dict):
        return {str(k): clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [clean(v) for v in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        from binascii import b2a_base64

        return b2a_base64(value).decode("ascii")
    if hasattr(value, "__index__"):
        return value.__index__()
    return str(value)


def encode(content):
    """Return content as JSON in ASCII."""
    import json

    return json.dumps(clean(content)).encode("ascii")


def send(kind, content, buffers=()):
    """Send a data message to the engine, after everything that was printed before."""
    before = interrupt.enter(interrupt.BUSY)
    try:
        data = encode(content)
        streams.flush()
        channel.send(channel.DATA, [kind.encode("ascii"), namespace.parent, data, *buffers])
    finally:
        interrupt.leave(before)


def publish_display_data(data, metadata=None, source=None, *, transient=None, update=False, **kwargs):
    """Send a MIME bundle to the client."""
    if not isinstance(data, dict):
        raise TypeError("data must be a dict of MIME types, not %r" % (data,))
    content = {"data": data, "metadata": metadata or {}, "transient": transient or {}}
    send("update_display_data" if update else "display_data", content)


class DisplayHandle:
    """A display that can be replaced later."""

    def __init__(self, display_id=None):
        if display_id is None or display_id is True:
            from os import urandom

            display_id = urandom(16).hex()
        self.display_id = display_id

    def __repr__(self):
        return "<DisplayHandle display_id=%s>" % self.display_id

    def display(self, obj, **kwargs):
        display(obj, display_id=self.display_id, **kwargs)

    def update(self, obj, **kwargs):
        update_display(obj, display_id=self.display_id, **kwargs)


def display(
    *objs, include=None, exclude=None, metadata=None, transient=None, display_id=None, raw=False, clear=False, update=False, **kwargs
):
    """Show objects at the client."""
    handle = None
    transient = dict(transient or {})
    if display_id is not None:
        handle = DisplayHandle(display_id)
        transient["display_id"] = handle.display_id
    elif update:
        raise TypeError("display_id is required with update=True")
    if clear:
        clear_output(wait=True)
    for obj in objs:
        if raw:
            data, about = obj, {}
        else:
            before = interrupt.enter(interrupt.BUSY)
            try:
                data, about = bundle(obj, include, exclude)
            finally:
                interrupt.leave(before)
            if not data:
                continue
        about = dict(about, **(metadata or {}))
        publish_display_data(data, about, transient=transient, update=update)
    return handle


def update_display(obj, *, display_id, **kwargs):
    """Replace the display with this display_id."""
    display(obj, display_id=display_id, update=True, **kwargs)


def clear_output(wait=False):
    """Clear the output that the client shows for this request."""
    send("clear_output", {"wait": bool(wait)})
