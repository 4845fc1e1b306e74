"""Builds the documentation site; `make docs` runs this with the Python of its own environment.

The pages are the Markdown files of the repository, in the same folders, so that
their relative links work on the site too. Links to other files of the repository
become links to the repository. A broken link or anchor fails the build.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ROOT / "build" / "site-src"
SITE = ROOT / "build" / "site"
REPOSITORY = "https://github.com/ipcore/ipcore/blob/main/"
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
HOME = pathlib.Path("README.md")


def pages():
    """Returns the paths of all pages, relative to ROOT."""
    found = list(ROOT.glob("*.md")) + list((ROOT / "docs").rglob("*.md"))
    found += list((ROOT / "examples").glob("*/README.md")) + list((ROOT / "test" / "testbed").glob("*.md"))
    return sorted(p.relative_to(ROOT) for p in found if p.parent.name != "site")


def rewrite(path, known):
    """Returns the text of a page, in which links to files that are not pages lead to the repository."""

    def replace(match):
        target = match[2]
        full = (ROOT / path.parent / target).resolve()
        if re.match(r"[a-z]+:", target) or not full.exists():
            return match[0]  # a missing page is reported by Sphinx
        relative = full.relative_to(ROOT)
        if full.is_dir() and relative / "README.md" in known:
            relative /= "README.md"
        if relative not in known:
            return f"{match[1]}{REPOSITORY}{relative.as_posix()}{match[3]}"
        if relative == HOME:
            relative = pathlib.Path("index.md")
        return match[1] + pathlib.PurePath(os.path.relpath(relative, path.parent)).as_posix() + match[3]

    return LINK.sub(replace, (ROOT / path).read_text(encoding="utf-8"))


def main():
    known = set(pages())
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    for path in known:
        text = rewrite(path, known)
        target = PAGES / path
        if path == HOME:
            target = PAGES / "index.md"
            text += (pathlib.Path(__file__).with_name("toctree.md")).read_text(encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    here = str(pathlib.Path(__file__).parent)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", here, "-W", "--keep-going", "-n", "-q", "-E"]
    code = subprocess.call([*command, "-d", str(ROOT / "build" / "site-cache"), str(PAGES), str(SITE)])
    if code == 0:
        print(f"the site is in {SITE.relative_to(pathlib.Path.cwd())}/index.html")
    sys.exit(code)


if __name__ == "__main__":
    main()
