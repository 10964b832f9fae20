"""Pictures of a corpus: a contact sheet, film strips of consecutive frames, and animations with captions.

Works for any corpus of landmarks. If the truth gives the frames of each gloss (simulated and composed corpora), signs
are shown and captioned by it. Otherwise frames are spread evenly and the whole sentence is the caption.
"""

from __future__ import annotations

import itertools
import math
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signloom.corpus import SPLITS, Corpus, Utterance
from signloom.drawing.film import MAX_GIF_FPS, Page, save_png, write_gif, write_mp4
from signloom.drawing.lettering import fitted, font_for, line_height, plain_font
from signloom.drawing.person import Appearance, appearance_of, draw_frame, import_pillow
from signloom.errors import InputError
from signloom.extract.packages import import_av
from signloom.files.paths import file_stem
from signloom.frame_times import frames_at
from signloom.landmarks import Landmarks

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".gif", ".mp4")
_PAPER, _INK, _GREY, _MARK = (255, 255, 255), (35, 38, 44), (140, 144, 152), (214, 62, 72)
_BORDER, _BAR = (176, 182, 190), (222, 225, 230)


def check_preview_path(path: Path) -> None:
    """Raises InputError for a path that `write_preview` cannot write, MissingExtraError if a package is missing."""
    path = Path(path)
    if path.suffix.lower() not in ("", *SUFFIXES):
        raise InputError(
            f"--preview is {path}; needed a file name that ends in .png (contact sheet), .gif or .mp4 (animation), or "
            "a folder (sheet, animation and film strips)"
        )
    if path.suffix and path.is_dir():
        raise InputError(
            f"--preview is {path}, which is a folder; needed the name of a file, or of a folder without a suffix"
        )
    if not path.suffix and path.exists() and not path.is_dir():
        raise InputError(f"--preview is {path}, which is a file without a suffix; needed a folder, or .png, .gif, .mp4")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"--preview is {path}; nothing can be written in {folder}; choose another place")
    import_pillow()
    if path.suffix.lower() == ".mp4":
        import_av("a preview as .mp4")


def write_preview(corpus: Corpus, path: Path) -> list[Path]:
    """Returns the files written: by the suffix of `path` a contact sheet (.png) or an animation (.gif, .mp4).

    Without a suffix, `path` is a folder for `sheet.png`, `preview.gif` and a film strip of each animated utterance.

    Raises InputError for another suffix, MissingExtraError if a package is missing.
    """
    path = Path(path)
    check_preview_path(path)
    if path.suffix.lower() == ".png":
        draw_contact_sheet(corpus, path)
        return [path]
    if path.suffix:
        animate(corpus, path)
        return [path]
    sheet, animation = path / "sheet.png", path / "preview.gif"
    draw_contact_sheet(corpus, sheet)
    animate(corpus, animation)
    strips = []
    for utterance in choose(corpus, 4):
        strips.append(path / "strips" / f"{file_stem(utterance.id)}.png")
        draw_film_strip(corpus, utterance, strips[-1])
    return [sheet, animation, *strips]


def choose(corpus: Corpus, count: int, *, num_signs: int = 0) -> list[Utterance]:
    """Returns up to `count` utterances of different splits and signers, preferably with `num_signs` or more glosses."""
    left = {split: [utterance for utterance in corpus if utterance.split == split] for split in SPLITS}
    turns: Counter[str | None] = Counter()
    chosen: list[Utterance] = []
    for split in itertools.cycle(SPLITS):
        if len(chosen) == count or not any(left.values()):
            return chosen
        if left[split]:
            # The first one of a signer who was shown least.
            best = min(left[split], key=lambda clip: (len(clip.glosses) < num_signs, turns[clip.signer]))
            left[split].remove(best)
            turns[best.signer] += 1
            chosen.append(best)
    return chosen


def draw_contact_sheet(
    corpus: Corpus, path: Path, *, num_rows: int = 6, num_columns: int = 8, height: int = 200
) -> None:
    """Writes a PNG with one row for each of several utterances: the middle frames of their signs, labelled.

    height: of one frame, in pixels.

    Raises MissingExtraError without Pillow.
    """
    pillow = import_pillow()
    rows = []
    for utterance in choose(corpus, num_rows, num_signs=num_columns):
        landmarks = corpus.load(utterance)
        rows.append((utterance, landmarks, _shown_frames(utterance, num_columns)))
    width = max(round(landmarks.aspect * height) for _, landmarks, _ in rows)
    columns = max(len(shown) for _, _, shown in rows)
    head, label, gap = line_height(13), line_height(11), 6
    sheet = pillow.Image.new(
        "RGB", (gap + columns * (width + gap), gap + len(rows) * (head + label + height + gap)), _PAPER
    )
    brush = pillow.ImageDraw.Draw(sheet)
    for row, (utterance, landmarks, shown) in enumerate(rows):
        top = gap + row * (head + label + height + gap)
        brush.text((gap, top), _title(utterance), fill=_GREY, font=plain_font(12))
        for column, (text, frame) in enumerate(shown):
            left = gap + column * (width + gap)
            number = f"frame {frame}"
            room = width - brush.textlength(number, font=plain_font(11)) - gap
            brush.text((left, top + head), fitted(brush, text, 12, room), fill=_INK, font=font_for(text, 12, bold=True))
            brush.text((left + width, top + head), number, fill=_GREY, font=plain_font(11), anchor="ra")
            _paste(sheet, landmarks, frame, appearance_of(utterance.signer), (left, top + head + label, width, height))
    save_png(sheet, path)


def draw_film_strip(
    corpus: Corpus, utterance: Utterance, path: Path, *, start: int = 0, num_frames: int = 60, step: int = 2
) -> None:
    """Writes a PNG of an utterance's frames from `start` on, every `step`-th one, in rows of ten.

    Raises MissingExtraError without Pillow.
    """
    pillow = import_pillow()
    landmarks = corpus.load(utterance)
    frames = range(min(start, len(landmarks) - 1), len(landmarks), step)[:num_frames]
    height, columns, gap, label = 150, 10, 3, line_height(10)
    width = round(landmarks.aspect * height)
    rows = math.ceil(len(frames) / columns)
    size = (gap + min(columns, len(frames)) * (width + gap), gap + line_height(13) + rows * (height + label + gap))
    strip = pillow.Image.new("RGB", size, _PAPER)
    brush = pillow.ImageDraw.Draw(strip)
    brush.text((gap, gap), _title(utterance), fill=_GREY, font=plain_font(12))
    spans = _gloss_spans(utterance, "boundaries", "strokes")
    for place, frame in enumerate(frames):
        left, top = (
            gap + place % columns * (width + gap),
            gap + line_height(13) + place // columns * (height + label + gap),
        )
        current = _gloss_at(spans, frame)
        text = f"{frame}" if current is None else f"{frame} {utterance.glosses[current]}"
        brush.text((left, top), fitted(brush, text, 10, width), fill=_INK, font=font_for(text, 10))
        _paste(strip, landmarks, frame, appearance_of(utterance.signer), (left, top + label, width, height))
    save_png(strip, path)


def animate(corpus: Corpus, path: Path, *, num_utterances: int = 4, height: int = 360) -> None:
    """Writes an animation (.gif or .mp4, by the suffix) of a few utterances one after another, in real time.

    The sentence runs below the picture; the truth's boundaries mark the gloss that is being signed.
    height: of the picture, in pixels.

    Raises InputError for another suffix, MissingExtraError if Pillow or, for .mp4, PyAV is missing.
    """
    path = Path(path)
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise InputError(f"animation {path}: needed a file name that ends in .gif or .mp4")
    chosen = [(utterance, corpus.load(utterance)) for utterance in choose(corpus, num_utterances)]
    # A video has one frame rate; clips with another rate show their nearest frames.
    fps = max(landmarks.fps for _, landmarks in chosen)
    if path.suffix.lower() == ".mp4":
        write_mp4(_film(chosen, fps, height), _num_pages(chosen, fps) / fps, path)
    else:
        fps = min(fps, MAX_GIF_FPS)
        write_gif(_film(chosen, fps, height), _num_pages(chosen, fps) / fps, _samples(chosen, fps, height), path)


# Glosses in time


# First frame of a gloss and the one after its last.
_Span = tuple[int, int]


def _gloss_spans(utterance: Utterance, *kinds: str) -> list[_Span]:
    """Returns the span of each gloss by the first of these `kinds` of truth that exists; empty if none does."""
    spans: Sequence[_Span] = next((utterance.truth[kind] for kind in kinds if utterance.truth.get(kind)), [])
    return [(int(start), int(end)) for start, end in spans] if len(spans) == len(utterance.glosses) else []


def _gloss_at(spans: Sequence[_Span], frame: int) -> int | None:
    """Returns the index of the gloss that is signed in a frame, or None."""
    number = bisect_right([start for start, _ in spans], frame) - 1
    return number if number >= 0 and frame < spans[number][1] else None


def _shown_frames(utterance: Utterance, count: int) -> list[tuple[str, int]]:
    """Returns label and frame of each picture of a contact sheet: middles of signs, or evenly spread frames."""
    spans = _gloss_spans(utterance, "strokes", "boundaries")
    if spans:
        middles = [(start + end) // 2 for start, end in spans]
        return list(zip(utterance.glosses, middles, strict=True))[:count]
    last = utterance.num_frames - 1
    return [("", round(last * (turn + 0.5) / count)) for turn in range(min(count, last + 1))]


# Pictures


def _title(utterance: Utterance) -> str:
    signer = "" if utterance.signer is None else f" · {utterance.signer}"
    return f"{utterance.id}{signer} · {utterance.split}"


def _paste(sheet: Image, landmarks: Landmarks, frame: int, look: Appearance, box: tuple[int, int, int, int]) -> None:
    """Draws a frame into a box (left, top, width, height) of a larger picture, with a border around the filmed area."""
    left, top, width, height = box
    picture = draw_frame(landmarks.points[frame], aspect=landmarks.aspect, height=height, look=look)
    left += (width - picture.width) // 2
    sheet.paste(picture, (left, top))
    brush = import_pillow().ImageDraw.Draw(sheet)
    brush.rectangle((left, top, left + picture.width - 1, top + height - 1), outline=_BORDER)


def _pages_of(landmarks: Landmarks, fps: float) -> int:
    return max(1, round(len(landmarks) * fps / landmarks.fps))


def _num_pages(chosen: Sequence[tuple[Utterance, Landmarks]], fps: float) -> int:
    return sum(_pages_of(landmarks, fps) for _, landmarks in chosen)


def _film(chosen: Sequence[tuple[Utterance, Landmarks]], fps: float, height: int) -> Iterator[Page]:
    """Yields the pages of an animation at `fps`, all of one size with even sides."""
    pillow = import_pillow()
    gap, bar = 10, 6
    width = max(round(landmarks.aspect * height) for _, landmarks in chosen)
    size = (_even(width + 2 * gap), _even(gap + height + gap + bar + line_height(18) + line_height(12)))
    numbers = itertools.count()
    for utterance, landmarks in chosen:
        spans, look = _gloss_spans(utterance, "boundaries", "strokes"), appearance_of(utterance.signer)
        count = _pages_of(landmarks, fps)
        previous: tuple[int, Image] | None = None
        shown = frames_at(landmarks.seconds, landmarks.start_seconds + (np.arange(count) + 0.5) / fps)
        for frame in shown.tolist():
            if previous is None or previous[0] != frame:
                page = pillow.Image.new("RGB", size, _PAPER)
                _paste(page, landmarks, frame, look, ((size[0] - width) // 2, gap, width, height))
                _caption(page, utterance, spans, frame, (gap, gap + height + gap, size[0] - 2 * gap, bar))
                previous = frame, page
            yield next(numbers) / fps, previous[1]


def _samples(chosen: Sequence[tuple[Utterance, Landmarks]], fps: float, height: int) -> Image:
    """Returns frames of every clip side by side, to choose a palette for all of them."""
    few = [
        (utterance, landmarks.part(slice(frame, frame + 1)))
        for utterance, landmarks in chosen
        for frame in range(len(landmarks) // 4, len(landmarks), max(1, len(landmarks) // 3))
    ]
    pages = [page for _, page in _film(few, fps, height)]
    sheet = import_pillow().Image.new("RGB", (pages[0].width * len(pages), pages[0].height))
    for number, page in enumerate(pages):
        sheet.paste(page, (number * page.width, 0))
    return sheet


def _caption(
    page: Image, utterance: Utterance, spans: Sequence[_Span], frame: int, box: tuple[int, int, int, int]
) -> None:
    """Draws the sentence with the current gloss marked, below a time bar that shows the boundaries."""
    left, top, width, bar = box
    brush = import_pillow().ImageDraw.Draw(page)
    share = width / max(utterance.num_frames, 1)
    current = _gloss_at(spans, frame)
    brush.rectangle((left, top, left + width, top + bar), fill=_BAR)
    if current is not None:
        start, end = spans[current]
        brush.rectangle((left + start * share, top, left + end * share, top + bar), fill=(242, 186, 190))
    for start, _ in spans:
        brush.line((left + start * share, top, left + start * share, top + bar), fill=_GREY)
    brush.rectangle((left + frame * share - 1, top - 2, left + frame * share + 1, top + bar + 2), fill=_MARK)
    top += bar + 4
    space = brush.textlength("  ", font=plain_font(15))
    fonts = [font_for(gloss, 15, bold=number == current) for number, gloss in enumerate(utterance.glosses)]
    lengths = [brush.textlength(gloss, font=font) for gloss, font in zip(utterance.glosses, fonts, strict=True)]
    total = sum(lengths) + space * (len(lengths) - 1)
    starts = np.cumsum([0.0, *(length + space for length in lengths[:-1])])
    shift = left + (width - total) / 2
    if total > width:
        # A long sentence scrolls, with the current gloss in the middle.
        middle = starts[current] + lengths[current] / 2 if current is not None else total * frame / utterance.num_frames
        shift = left + min(max(width / 2 - middle, width - total), 0.0)
    for number, (gloss, font) in enumerate(zip(utterance.glosses, fonts, strict=True)):
        place = shift + starts[number]
        if place + lengths[number] > left and place < left + width:
            brush.text((place, top), gloss, fill=_INK if number == current or not spans else _GREY, font=font)
    note = f"{_title(utterance)} · frame {frame}"
    brush.text((left + width / 2, top + line_height(16)), note, fill=_GREY, font=plain_font(11), anchor="ma")


def _even(length: int) -> int:
    """Returns the next even length: video codecs need even sides."""
    return length + length % 2
