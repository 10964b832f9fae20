"""HTML elements and documents as strings. Every piece of text is escaped: a gloss may contain `<`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

# Such a page never loads anything, even if a gloss looks like HTML.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


class Html(str):
    """Text that is HTML already; any other string is escaped when it becomes part of an element."""


def join(*children: object) -> Html:
    """Returns the children one after another, without None and False."""
    return Html("".join(_text(child) for child in children if child is not None and child is not False))


def element(tag: str, *children: object, **attributes: object) -> Html:
    """Returns an element. In attribute names a trailing `_` is dropped (`class_`), others become `-` (`stroke_width`).

    An attribute that is None is left out.
    """
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{shown}>{join(*children)}</{tag}>")


def table(head: list[str], rows: list[list[object]], *, numeric_from: int = 1) -> Html:
    """Returns a table. Columns from `numeric_from` on are right-aligned; a wide table scrolls inside its own box."""

    def cells(tag: str, row: list[object]) -> Html:
        return join(*(element(tag, cell, class_="number" if k >= numeric_from else None) for k, cell in enumerate(row)))

    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", cells("th", list(head)))),
            element("tbody", *(element("tr", cells("td", row)) for row in rows)),
        ),
        class_="scroll",
    )


def card(name: str, value: str, note: str, *, lead: bool = False) -> Html:
    """Returns a figure with its name above and a note below; `lead` is the large one of a page."""
    parts = element("span", name), element("b", value), element("span", note)
    return element("div", *parts, class_="card lead" if lead else "card")


def header(title: str, subtitle: str = "", labels: Sequence[str] = (), link: tuple[str, str] | None = None) -> Html:
    """Returns the head of a page. labels: warnings about its figures.  link: text and address of a page to go
    back to.
    """
    return element(
        "header",
        element("p", element("a", f"← {link[0]}", href=link[1]), class_="small") if link else None,
        element("h1", title),
        element("p", subtitle, class_="soft") if subtitle else None,
        *(element("span", label, class_="label") for label in labels),
    )


def document(title: str, *parts: object, styles: Sequence[str] = (), script: str = "", data: str = "") -> str:
    """Returns a whole page: one file, which loads nothing else.

    styles: style sheets in `assets/` that it needs besides `page.css`.  script: a script in `assets/`, which runs when
    the page is there.  data: JSON for that script, as `score_data.block` writes it.
    """
    style = "".join(_asset(name) for name in ("page.css", *styles))
    text = "<!doctype html>\n" + element(
        "html",
        element(
            "head",
            Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
            element("title", title),
            Html(f"<style>\n{style}</style>"),
        ),
        element("body", element("main", *parts)),
        Html(f'<script type="application/json" id="data">{data}</script>') if data else None,
        Html(f"<script>\n{_asset(script)}</script>") if script else None,
        lang="en",
    )
    # JSON can spell a lone surrogate, but no file can hold one: it is shown as a question mark.
    return text.encode("utf-8", "replace").decode("utf-8")


def _asset(name: str) -> str:
    return (files("signloom.report") / "assets" / name).read_text(encoding="utf-8")


def _text(child: object) -> str:
    return child if isinstance(child, Html) else escape(str(child))
