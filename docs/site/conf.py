"""Sphinx configuration of the documentation site; build.py puts the pages into build/site-src."""

project = "ipcore"
author = copyright = "the ipcore authors"
extensions = ["myst_parser"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {"github_url": "https://github.com/ipcore/ipcore", "show_toc_level": 2, "navbar_align": "left"}
html_sidebars = {"**": ["sidebar-nav-bs"]}
html_show_sourcelink = False
html_copy_source = False
myst_heading_anchors = 4
