"""HTML elements as strings, with every piece of text escaped: a gloss may hold `<`."""

from __future__ import annotations

from html import escape


class Html(str):
    """Text that is HTML already; any other string is escaped when it becomes part of an element."""


def join(*children: object) -> Html:
    """Children one after another; None and False are left out."""
    return Html("".join(_text(child) for child in children if child is not None and child is not False))


def element(tag: str, *children: object, **attributes: object) -> Html:
    """An element; a trailing `_` of an attribute's name is dropped (`class_`), other `_` become `-` (`stroke_width`).

    An attribute that is None is left out.
    """
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{shown}>{join(*children)}</{tag}>")


def table(head: list[str], rows: list[list[object]], *, numeric_from: int = 1) -> Html:
    """A table whose columns from `numeric_from` on are set flush right; wide ones scroll within themselves."""

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


def _text(child: object) -> str:
    return child if isinstance(child, Html) else escape(str(child))
