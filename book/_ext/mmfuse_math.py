"""Sphinx extension: formulas are left as TeX, marked, for `tools/formulas.py` to typeset.

It takes the place of Sphinx's own `mathjax` renderer, whose script typesets in every reader's
browser. Numbers of equations, and links to them, are Sphinx's.
"""

from docutils import nodes
from sphinx.util.math import get_node_equation_number


def visit_math(self, node):
    """A formula in a line of text."""
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight")
                     + f"<mmfuse-tex>{self.encode(node.astext())}</mmfuse-tex></span>")
    raise nodes.SkipNode


def visit_displayed(self, node):
    """A formula on lines of its own, with its number where it has one."""
    self.body.append(self.starttag(node, "div", "", CLASS="math notranslate nohighlight"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(
        f"<mmfuse-tex displayed>{self.encode(node.astext())}</mmfuse-tex></div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("typeset", (visit_math, None), (visit_displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
