"""Objects with a rich form, for nodes without IPython."""

from . import display


class DisplayObject:
    """Data of one MIME type, from a value, a file or a URL."""

    mime = "text/plain"
    binary = False

    def __init__(self, data=None, url=None, filename=None, metadata=None, **kwargs):
        self.data, self.url, self.filename, self.metadata = data, url, filename, metadata or {}
        for name, value in kwargs.items():
            setattr(self, name, value)
        if data is None and filename is not None:
            with open(filename, "rb" if self.binary else "r") as f:
                self.data = f.read()
        elif data is None and url is not None:
            from urllib.request import urlopen

            with urlopen(url) as response:
                self.data = response.read()
            if not self.binary:
                self.data = self.data.decode("utf-8")

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {self.mime: self.data, "text/plain": repr(self)}, ({self.mime: self.metadata} if self.metadata else {})


class TextDisplayObject(DisplayObject):
    """Text of one MIME type."""


class HTML(TextDisplayObject):
    """HTML text."""

    mime = "text/html"


class Markdown(TextDisplayObject):
    """Markdown text."""

    mime = "text/markdown"


class Latex(TextDisplayObject):
    """LaTeX text."""

    mime = "text/latex"


class Math(Latex):
    """A LaTeX formula."""

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {self.mime: "$\\displaystyle %s$" % self.data.strip("$"), "text/plain": repr(self)}


class SVG(DisplayObject):
    """An SVG image."""

    mime = "image/svg+xml"


class Javascript(TextDisplayObject):
    """JavaScript code."""

    mime = "application/javascript"


class JSON(DisplayObject):
    """A value as JSON."""

    mime = "application/json"


class Pretty(TextDisplayObject):
    """Plain text."""

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": self.data}


class Image(DisplayObject):
    """A PNG, JPEG, GIF or WebP image."""

    binary = True

    def __init__(self, data=None, url=None, filename=None, format=None, width=None, height=None, metadata=None, **kwargs):
        if isinstance(data, str):
            data, filename = None, data
        super().__init__(data, url, filename, metadata, **kwargs)
        kind = "png"
        start = bytes(self.data[:12]) if self.data else b""
        for name, magic in (("jpeg", b"\xff\xd8"), ("gif", b"GIF8"), ("webp", b"RIFF")):
            if start.startswith(magic):
                kind = name
        self.mime = "image/" + (format or kind).replace("jpg", "jpeg")
        for name, value in (("width", width), ("height", height)):
            if value is not None:
                self.metadata[name] = value


NAMES = ("DisplayObject", "TextDisplayObject", "HTML", "Markdown", "Latex", "Math", "SVG", "Javascript", "JSON", "Pretty", "Image")


def _shower(cls):
    def show(*objs, **kwargs):
        for obj in objs:
            display.display(obj if isinstance(obj, DisplayObject) else cls(obj), **kwargs)

    show.__doc__ = "Show %s." % cls.__name__
    return show


display_html = _shower(HTML)
display_markdown = _shower(Markdown)
display_latex = _shower(Latex)
display_svg = _shower(SVG)
display_png = display_jpeg = _shower(Image)
display_json = _shower(JSON)
display_javascript = _shower(Javascript)
NAMES += tuple(n for n in list(globals()) if n.startswith("display_"))
