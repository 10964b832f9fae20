"""Hook of mkdocs: adds the pages from outside docs/ and the notebooks to the website, and makes links between all pages
work there.

On the website the pages of docs/ lie at the root, beside README.md and benchmarks/.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("benchmarks/*.md", "benchmarks/figures/*.md", "benchmarks/*.png"),
)


def on_files(files: Files, config: Any) -> Files:
    """Returns the files of docs/, those of OUTSIDE, and a page with its pictures for each notebook in docs/."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    for path in sorted(ROOT.glob("docs/*.ipynb")):
        text, resources = MarkdownExporter().from_filename(str(path), {"unique_key": path.stem})
        files.append(File.generated(config, f"{path.stem}.md", content=text))
        for name, picture in resources["outputs"].items():
            files.append(File.generated(config, name, content=picture))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Returns the text of a page with its relative links as they are on the website."""
    if page.file.abs_src_path is None:
        # A notebook, whose links are those of a page of docs/.
        return markdown
    folder = Path(page.file.abs_src_path).relative_to(ROOT).parent.as_posix()
    here = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        in_repository = posixpath.normpath(posixpath.join(folder, re.sub(r"\.ipynb$", ".md", match[1])))
        # The start page lists what is in docs/.
        if in_repository == "docs":
            in_repository = "README.md"
        return f"]({posixpath.relpath(in_repository.removeprefix('docs/'), here or '.')}"

    return re.sub(r"\]\((?![a-z]+:|#)([^)#]+)", link, markdown)
