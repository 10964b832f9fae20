"""Extracts landmark files from videos or folders of frames with MediaPipe Holistic.

Each clip becomes OUTPUT/<its path under the source>.npz, about 3.3 kB per frame. A second run extracts only missing
clips. Clips that cannot be read are listed with the reason in OUTPUT/failed.jsonl; the next run tries them again.
Exit status: 0 if every clip is done, 1 if some failed, 2 if there are no clips.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from signloom import layout
from signloom.cluster.nodes import BackendName, NodeTable, check_backend
from signloom.console import progress_bar, say, say_list
from signloom.errors import InputError, plural
from signloom.extract.clip_worker import Backend, ClipResult
from signloom.extract.crop import Crop
from signloom.extract.holistic import Settings
from signloom.extract.packages import import_av, import_cv2
from signloom.extract.parallel import extract_all
from signloom.extract.resume import FailureLog, Survey, locked_output, survey
from signloom.extract.sources import Clip, FoundClips, find_clips, take_shard
from signloom.files.temporary import remove_temporary
from signloom.files.urls import Url
from signloom.hints import command
from signloom.processes import usable_cpus

# A message lists at most this many clips.
NUM_SHOWN = 10


@dataclass(frozen=True)
class Options:
    """Options of `signloom extract`."""

    positionals: ClassVar[tuple[str, ...]] = ("sources",)
    urls: ClassVar[tuple[str, ...]] = ("sources", "output")

    sources: list[str]
    """video files, folders of frames (<id>/*.png, or PHOENIX's <id>/1/*.png), quoted globs, folder trees of them, or
    URLs (s3://BUCKET/FOLDER)"""
    output: Path
    """folder or URL for the landmark files; it mirrors the folder tree of each source"""
    crop: str | None = None
    """part of the image to use, x,y,width,height: an interpreter's inset, or one of two people. In pixels, or in
    fractions of the image if all four numbers are at most 1 (0.5,0,0.5,1 is the right half)"""
    pixel_aspect: float | None = None
    """width of a pixel divided by its height, for anamorphic frames. PHOENIX-2014: 0.8667 (260/300: frames of 210x260
    to be shown as 210x300). Default: the value in the video's header, else 1"""
    fps: float | None = None
    """frames per second of sources that do not give it: folders of frames, raw streams, videos with a broken header.
    Default: 25, recorded as assumed"""
    workers: int | None = None
    """number of processes, each with about 0.6 GB of memory. Default: one per CPU"""
    backend: BackendName = "local"
    """what runs them: local, or ray, the machines of a Ray cluster (docs/cluster.md)"""
    address: str | None = None
    """with --backend ray, the cluster to use: HOST:PORT of its head node, or auto. Default: a Ray of this machine alone
    that ends with the run"""
    shard: str | None = None
    """i/n, i from 1 to n: extract only every n-th clip, for array jobs that share one output folder"""
    overwrite: bool = False
    """extract existing clips again; required to replace files made with other options"""


def run(options: Options) -> int:
    """Extracts the missing clips; returns exit status 0, or 1 if some failed."""
    settings = Settings(
        crop=None if options.crop is None else Crop.parse(options.crop),
        pixel_aspect=options.pixel_aspect,
        fps=options.fps,
    )
    if options.workers is not None and options.workers < 1:
        raise InputError(f"--workers {options.workers}: needed at least 1")
    check_backend(options.backend, options.address)
    # A missing package is reported once, before the work, not for every clip.
    settings.record()
    import_cv2()
    import_av()
    found = find_clips(options.sources)
    if not found.clips:
        raise InputError(f"no clip in {', '.join(options.sources)}; needed videos or folders of frames{_others(found)}")
    clips = take_shard(found.clips, options.shard)
    if not clips:
        raise InputError(f"--shard {options.shard}: no clip for it; found only {plural(len(found.clips), 'clip')}")
    with locked_output(options.output, options.shard):
        return _run(options, found, clips, settings)


def _run(options: Options, found: FoundClips, clips: list[Clip], settings: Settings) -> int:
    output = options.output
    state = _survey(clips, output, settings, options)
    removed = remove_temporary(output)
    _announce(found, clips, state, removed, options)
    log = FailureLog(output, clips, options.shard)
    failures: list[ClipResult] = []
    started = time.monotonic()
    if state.missing:
        failures = _extract(state.missing, output, settings, options, log)
    seconds = time.monotonic() - started
    log.close()
    new = survey(state.missing, output, settings).done
    done = {clip: header for clip in clips if (header := state.done.get(clip) or new.get(clip))}
    print(_summary(done, state, failures, seconds, output, log))
    _notes(done, failures, log)
    return 1 if failures else 0


def _survey(clips: list[Clip], output: Path, settings: Settings, options: Options) -> Survey:
    if options.overwrite:
        return Survey(missing=list(clips))
    state = survey(clips, output, settings)
    state.refuse_differing(output)
    return state


def _others(found: FoundClips) -> str:
    if not found.passed_over:
        return ""
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in found.passed_over.most_common(6))
    return f" (ignored, not clips: {kinds})"


def _announce(found: FoundClips, clips: list[Clip], state: Survey, removed: int, options: Options) -> None:
    num_folders = sum(clip.is_folder for clip in clips)
    kinds = f"{plural(len(clips) - num_folders, 'video')}, {plural(num_folders, 'frame folder')}"
    of = f" of {len(found.clips):,} (shard {options.shard})" if options.shard else ""
    say(
        f"{plural(len(clips), 'clip')}{of}: {kinds}; "
        f"{len(state.done):,} already done, {len(state.missing):,} to extract{_others(found)}"
    )
    if state.missing and options.address is None:
        on = " on Ray" if options.backend == "ray" else ""
        say(f"with {plural(min(options.workers or usable_cpus(), len(state.missing)), 'worker')}{on}")
    elif state.missing:
        say(f"on the Ray cluster at {options.address}")
    if removed:
        say(f"removed {plural(removed, 'unfinished file')} of a killed run")


def _extract(
    clips: list[Clip], output: Path, settings: Settings, options: Options, log: FailureLog
) -> list[ClipResult]:
    """Extracts clips with a progress bar; returns the results of those that failed."""
    failures = []
    nodes = NodeTable("clip", "frames")
    with progress_bar(below=nodes.lines) as bar:
        task = bar.add_task("extracting", total=len(clips), unit="frames", done=0)

        def on_outcome(outcome: ClipResult) -> None:
            if outcome.status == "failed":
                log.add(outcome.clip, outcome.message)
                failures.append(outcome)
                if len(failures) <= NUM_SHOWN:
                    say(f"failed: {outcome.message}", bar.console)
                if len(failures) == NUM_SHOWN + 1:
                    say(f"more failed; see {log.path}", bar.console)

        def on_progress(num_clips: float, num_frames: int) -> None:
            bar.update(task, completed=num_clips, done=num_frames)

        extract = _backend(options, nodes, partial(say, to=bar.console))
        extract(clips, output, settings, on_outcome=on_outcome, on_progress=on_progress)
    return failures


def _backend(options: Options, nodes: NodeTable, tell: Callable[[str], None]) -> Backend:
    if options.backend == "local":
        return partial(extract_all, workers=options.workers or usable_cpus())
    from signloom.cluster.run import Cluster
    from signloom.extract.ray_backend import extract_on_ray

    return partial(extract_on_ray, cluster=Cluster(options.address, options.workers, nodes.update, tell))


def _summary(
    done: dict[Clip, dict[str, Any]],
    before: Survey,
    failures: list[ClipResult],
    seconds: float,
    output: Path,
    log: FailureLog,
) -> str:
    frames = {clip: header["source"]["frames"] for clip, header in done.items()}
    total = sum(count["total"] for count in frames.values())
    new = sum(count["total"] for clip, count in frames.items() if clip not in before.done)
    rows = [("clips", f"{len(done):,} done" + (f", {len(failures):,} failed: see {log.path}" if failures else ""))]
    rate = f"; {new:,} of them now, in {seconds:,.1f} s: {new / seconds:,.1f} frames/s" if new and seconds else ""
    unread = sum(count.get("unread", 0) for count in frames.values())
    missing = f" ({unread:,} more could not be read)" if unread else ""
    rows.append(("frames", f"{total:,}{missing}{rate}"))
    for group in layout.GROUPS if total else ():
        found = sum(count[group] for count in frames.values())
        rows.append((group.replace("_", " "), f"in {found / total:6.1%} of frames"))
    table = "\n".join(f"{name:<11}{text}" for name, text in rows)
    if not done:
        return table
    lines = [table, f"landmarks are in {output}"]
    lines.append("next: signloom help import  # to make a corpus of them and their annotations")
    if not isinstance(output, Url):
        transcribe = command("transcribe", output, model="MODEL", output_dir="results")
        lines.append(f"or: {transcribe}  # to recognise their glosses")
    return "\n".join(lines)


def _notes(done: dict[Clip, dict[str, Any]], failures: list[ClipResult], log: FailureLog) -> None:
    """Prints notes to stderr on the finished clips, and how to continue with the failed ones."""
    empty = [
        clip.name
        for clip, header in done.items()
        if not any(header["source"]["frames"][part] for part in layout.GROUPS)
    ]
    if empty:
        more = ", ..." if len(empty) > NUM_SHOWN else ""
        say(f"note: no person detected in {plural(len(empty), 'clip')}: {', '.join(empty[:NUM_SHOWN])}{more}")
    partial = []
    for clip, header in done.items():
        counts = header["source"]["frames"]
        if unread := counts.get("unread", 0):
            partial.append(
                f"{clip.name}: {counts['total']:,} of {plural(counts['total'] + unread, 'frame')} could be read"
            )
    if partial:
        say(f"note: {plural(len(partial), 'clip')} with frames that cannot be read; the others keep their times:")
        say_list(partial, NUM_SHOWN)
    assumed = Counter(
        (name, header["source"].get(f"assumed_{name}", header[name]))
        for header in done.values()
        for name in header["assumed"]
    )
    for (name, value), count in sorted(assumed.items()):
        say(f"note: {plural(count, 'clip')} without {name}; assumed {value:g} (--{name} overrides it)")
    if failures:
        failed = plural(len(failures), "clip")
        say(f"{failed} failed, with the reasons in {log.path}; run the same command to try again")
