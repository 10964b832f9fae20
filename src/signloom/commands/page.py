"""Makes a page of a model: visitors sign before their own camera, and nothing leaves their browser.

The result is a folder of static files for any web server or host of static pages (https, so that browsers give the
camera). It works without a network after its first load. --examples and --lexicon publish skeletons of clips, so ask
the people in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from signloom.console import progress_bar, say
from signloom.corpus import Corpus
from signloom.errors import InputError, listed, plural

if TYPE_CHECKING:
    from signloom.page.site import Site


@dataclass(kw_only=True)
class SiteOptions:
    """What the page shows."""

    model: Path
    """an exported model (.onnx), or a run folder with a model, which is exported first"""
    title: str = "signloom"
    """the name of the page"""
    examples: Path | None = None
    """a corpus whose training clips show how each sign is made, as skeletons"""
    lexicon: Path | None = None
    """a folder of landmark files of one sign each, named by it, in which visitors look up signs; default: the signs of
    the model"""


@dataclass(kw_only=True)
class Options(SiteOptions):
    """Options of `signloom page`."""

    positionals: ClassVar[tuple[str, ...]] = ("model",)

    output: Path = Path("site")
    """folder for the page; with --zip, the name of the archive without .zip"""
    zip: bool = False
    """one .zip file instead of a folder"""
    overwrite: bool = False
    """replace an earlier page"""


def run(options: Options) -> int:
    """Returns the exit status 0 when the page was written."""
    from signloom.page.site import check_output

    for name in ("examples", "lexicon"):
        folder = getattr(options, name)
        if folder is not None and options.output.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"--output {options.output}: lies in --{name} {folder}; choose a folder elsewhere")
    archive = options.output.with_name(f"{options.output.name.removesuffix('.zip')}.zip")
    if not options.zip:
        check_output(options.output, overwrite=options.overwrite)
    elif archive.exists() and not options.overwrite:
        raise InputError(f"{archive}: exists already; choose another --output or pass --overwrite")
    site = site_of(options)
    if options.zip:
        site.write_zip(archive)
        print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB")
        say("next: unpack it on a web server with https")
        return 0
    site.write(options.output, overwrite=options.overwrite)
    print(f"{options.output}: {plural(len(site.files), 'file')}, {site.num_bytes / 1e6:.1f} MB")
    say(f"next: signloom serve {options.output}, or copy the folder to a web server with https")
    return 0


def site_of(options: SiteOptions) -> Site:
    """Returns the site that the options describe. Raises InputError for a model or a corpus that cannot be used."""
    from signloom.inference.model import load
    from signloom.inference.onnx_file import SUFFIX
    from signloom.page.examples import examples, lexicon
    from signloom.page.site import Site

    if not options.title.strip():
        raise InputError("--title is empty; needed a name for the page")
    corpus = Corpus.open(options.examples) if options.examples is not None else None
    model = load(options.model)
    if options.model.suffix != SUFFIX:
        from signloom.inference.export import exported

        say(f"{options.model}: exporting its model (signloom export also compares it on dev)")
        model, _ = exported(model, precision="float32", corpus=None)
    shown = None
    if corpus is not None:
        with progress_bar() as bar:
            task = bar.add_task("examples", total=len(model.vocabulary) - 2, unit="signs")
            shown, missing = examples(model, corpus, advance=lambda count: bar.advance(task, count))
        if not shown["examples"]:
            raise InputError(
                f"--examples {options.examples}: its training clips show none of the model's signs "
                f"({listed(model.vocabulary.words[2:])}); needed a corpus with the same glosses"
            )
        if missing:
            say(f"note: no example of {plural(len(missing), 'sign', 'signs')}: {listed(missing)}")
    entries = None
    if options.lexicon is not None:
        with progress_bar() as bar:
            task = bar.add_task("lexicon", total=None, unit="clips")
            entries = lexicon(model, options.lexicon, advance=lambda count: bar.advance(task, count))
    return Site.of(model, title=options.title, examples=shown, lexicon=entries)
