"""Simulates a sign language corpus whose truth is known: what was signed when, by whom, and where the tracker failed.

Simulated signers sign sentences from a lexicon of made-up signs (handshape, location, orientation and movement of one
or two hands). A simulated camera and tracker record them as all 543 points of MediaPipe Holistic. The test signers
occur only in test. Each line of the manifest holds the truth of its utterance: the frames of every gloss, the signer,
and the spans in which hands or face were lost, out of view or swapped. The same seed and options give the same bytes.
docs/simulated-signing.md describes the presets and the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import ClassVar

from signloom.cluster.nodes import BackendName, NodeTable, check_backend
from signloom.commands.split_rows import split_rows
from signloom.console import progress_bar, say
from signloom.drawing.preview import check_preview_path, write_preview
from signloom.errors import plural
from signloom.hints import command
from signloom.synth.corpus import Backend, check_run, synthesise
from signloom.synth.options import SynthOptions
from signloom.synth.plans import lexicon_of, make_plans


@dataclass(frozen=True, kw_only=True)
class Options(SynthOptions):
    """Options of `signloom synth`."""

    urls: ClassVar[tuple[str, ...]] = ("output",)

    output: Path
    """folder or URL of the new corpus"""
    workers: int | None = None
    """number of parallel processes. Default: 1; with --backend ray as many as there is room for"""
    backend: BackendName = "local"
    """what runs them: local, or ray, the machines of a Ray cluster (docs/cluster.md)"""
    address: str | None = None
    """with --backend ray, the cluster to use: HOST:PORT of its head node, or auto. Default: a Ray of this machine alone
    that ends with the run"""
    overwrite: bool = False
    """replace an existing corpus"""
    preview: Path | None = None
    """also draw the corpus: a contact sheet (.png), an animation (.gif, .mp4), or a folder with both and film strips"""

    def synth_options(self) -> SynthOptions:
        """Returns the options of the simulation, without those of the command."""
        return SynthOptions(**{field.name: getattr(self, field.name) for field in fields(SynthOptions)})


def run(options: Options) -> int:
    # A large lexicon takes minutes, so check first whether the results can be written.
    workers = 1 if options.workers is None else options.workers
    check_run(options.output, num_workers=workers, overwrite=options.overwrite)
    check_backend(options.backend, options.address)
    if options.preview is not None:
        check_preview_path(options.preview)
    synth_options = options.synth_options()
    num_frames = 0
    nodes = NodeTable("job", "utterances")
    with progress_bar(below=nodes.lines) as bar:
        task = bar.add_task("making the lexicon and the sentences", total=None, unit="frames", done=0)
        bar.update(task, description="simulating", total=len(make_plans(synth_options)))

        def advance(frames: int) -> None:
            nonlocal num_frames
            num_frames += frames
            bar.update(task, advance=1, done=num_frames)

        corpus = synthesise(
            synth_options,
            options.output,
            num_workers=workers,
            backend=_backend(options, nodes, partial(say, to=bar.console)),
            overwrite=options.overwrite,
            progress=advance,
        )
    print(
        f"{options.output}: {plural(len(corpus), 'utterance')}, {plural(num_frames, 'frame')}, "
        f"{plural(len(lexicon_of(synth_options)), 'sign')}"
    )
    print("\n".join(split_rows(corpus)))
    if options.preview is not None:
        written = write_preview(corpus, options.preview)
        print(f"preview: {', '.join(str(path) for path in written)}")
    if {"train", "dev"} <= set(corpus.summary()):
        say(f"next: {command('train', data_dir=options.output)}")
    return 0


def _backend(options: Options, nodes: NodeTable, tell: Callable[[str], None]) -> Backend | None:
    """Returns what simulates; None for processes of this machine."""
    if options.backend == "local":
        return None
    from signloom.cluster.run import Cluster
    from signloom.synth.ray_backend import simulate_on_ray

    return partial(simulate_on_ray, cluster=Cluster(options.address, options.workers, nodes.update, tell))
