"""Extension of griffe for the API page: shows the fields that a class describes in its docstring as a list.

A docstring names a field at the start of a line (`points: (T, 543, 3) ...`); in Markdown such lines would run together.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class Fields(griffe.Extension):
    """Turns each line of a docstring that starts with `name:` or `name, name:` into an item of a list."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            field = r"\n([a-z_]+(?:, [a-z_]+)*):(?= )"
            obj.docstring.value = re.sub(field, r"\n\n- **\1**:", obj.docstring.value)
