"""Writes landmark files as `.pose` files for the tools of pose-format: viewers, converters, data loaders.

The files have pose-format's own layout of MediaPipe Holistic: body, face (468 points), left and right hand, in pixels.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from signloom.console import progress_bar
from signloom.errors import Faults, InputError, plural
from signloom.files.temporary import remove_temporary
from signloom.importers.convert_landmarks import find_files
from signloom.importers.pose import SUFFIX as POSE_SUFFIX
from signloom.importers.pose_writing import require_pose_format, write_pose
from signloom.importers.write_corpus import say
from signloom.landmarks import SUFFIX, Landmarks


@dataclass
class Options:
    sources: list[Path]
    """landmark files, or folders that contain such files at any depth (such as a corpus)"""
    output: Path
    """folder for the .pose files: <output>/<path relative to the source>.pose"""
    overwrite: bool = False
    """replace existing files"""

    positionals: ClassVar[tuple[str, ...]] = ("sources",)


def run(options: Options) -> int:
    """Returns the exit status: 0 if every file was written, 1 if some could not be read."""
    require_pose_format()
    files = find_files(options.sources, (SUFFIX,), options.output)
    options.output.mkdir(parents=True, exist_ok=True)
    remove_temporary(options.output)
    faults = Faults("not written", shown=50)
    written = kept = frames = sizeless = 0
    with progress_bar() as progress:
        task = progress.add_task("export_pose", total=len(files), unit="frames", done=0)
        for path, name in files:
            target = options.output / f"{name}{POSE_SUFFIX}"
            if target.exists() and not options.overwrite:
                kept += 1
            else:
                try:
                    landmarks = Landmarks.load(path)
                    write_pose(landmarks, target)
                except InputError as error:
                    faults.add(str(error))
                else:
                    written, frames = written + 1, frames + len(landmarks)
                    sizeless += landmarks.image_size is None
            progress.update(task, advance=1, done=frames)
    there = f" ({kept:,} more exist already; --overwrite replaces them)" if kept else ""
    print(f"{options.output}: {written:,} .pose files, {plural(frames, 'frame')}{there}")
    if sizeless:
        say(f"note: {plural(sizeless, 'clip has', 'clips have')} no image size; 1000 x 1000 was written")
    if written + kept:
        one = shlex.quote(str(next(options.output.rglob(f"*{POSE_SUFFIX}"))))
        print(f"next: visualize_pose -i {one} -o clip.mp4  # a tool of pose-format")
    if faults:
        say(f"signloom export_pose: {faults}")
    return 1 if faults else 0
