"""A test video that anyone can make: an astronaut who waves both hands, in whom Holistic finds all four parts.

scikit-image's picture of Eileen Collins (public domain, NASA) gives the face and the trunk; arms are drawn, and the
hand is the glyph of Debian's fonts-noto-color-emoji, tinted as skin. Shared by the tests and the benchmarks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
# The only size of the glyphs in this bitmap font.
FONT_SIZE = 109
HAND = "\N{RAISED HAND WITH FINGERS SPLAYED}"
WIDTH, HEIGHT = 640, 480
FPS = 25.0
_SKIN, _SLEEVE, _WALL = (224, 172, 140), (200, 80, 40), (90, 90, 90)
_CENTRE_X = 291
_SHOULDERS = {-1: (253, 180), 1: (330, 180)}
# Found by trying: at these places and sizes Holistic sees both hands in every frame of the wave.
_ELBOW, _WRIST, _HAND_HEIGHT, _PERIOD_FRAMES = (120, 265), (180, 225), 66, 24


def why_not() -> str:
    """Why the video cannot be made here; empty where it can."""
    if not FONT.is_file():
        return f"{FONT} not found; install Debian's fonts-noto-color-emoji"
    missing = [name for name in ("skimage", "PIL", "cv2") if find_spec(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def frames(num_frames: int, *, person: bool = True) -> Iterator[np.ndarray]:
    """The frames of the wave, (480, 640, 3) uint8 RGB; without the person only a wall that flickers a little."""
    from PIL import ImageDraw

    for number in range(num_frames):
        phase = 2 * math.pi * number / _PERIOD_FRAMES
        if not person:
            yield np.full((HEIGHT, WIDTH, 3), _WALL, dtype=np.uint8) + np.uint8(number % 5)
            continue
        image = _trunk().copy()
        draw = ImageDraw.Draw(image)
        for side, hand in ((-1, _hand(True)), (1, _hand(False))):
            elbow = (_CENTRE_X + side * (_ELBOW[0] + 4 * math.sin(phase)), _ELBOW[1])
            wrist = (_CENTRE_X + side * (_WRIST[0] + 12 * math.sin(phase)), _WRIST[1] + 15 * math.cos(phase))
            draw.line([_SHOULDERS[side], elbow], fill=_SLEEVE, width=36)
            draw.ellipse([elbow[0] - 18, elbow[1] - 18, elbow[0] + 18, elbow[1] + 18], fill=_SLEEVE)
            draw.line([elbow, wrist], fill=_SKIN, width=28)
            image.paste(hand, (round(wrist[0] - hand.width / 2), round(wrist[1] - hand.height + 8)), hand)
        yield np.asarray(image)


@cache
def _trunk():
    from PIL import Image
    from skimage import data

    wall = Image.new("RGB", (WIDTH, HEIGHT), _WALL)
    wall.paste(Image.fromarray(data.astronaut()).resize((300, 300)), ((WIDTH - 300) // 2, 60))
    return wall


@cache
def _hand(mirrored: bool):
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    image = Image.new("RGBA", (160, 160))
    font = ImageFont.truetype(str(FONT), FONT_SIZE)
    ImageDraw.Draw(image).text((10, 10), HAND, font=font, embedded_color=True)
    image = image.crop(image.getbbox())
    image = image.resize((_HAND_HEIGHT * image.width // image.height, _HAND_HEIGHT))
    pixels = np.array(image).astype(float)
    shade = pixels[..., :3].mean(axis=-1, keepdims=True) / 170
    pixels[..., :3] = np.clip(shade * _SKIN, 0, 255)
    image = Image.fromarray(pixels.astype(np.uint8))
    return ImageOps.mirror(image) if mirrored else image


def write_video(path: Path, num_frames: int, *, fps: float = FPS, person: bool = True) -> Path:
    """`path`, now a video of the wave; the suffix chooses the container (`.mp4`, `.avi`)."""
    import cv2

    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (WIDTH, HEIGHT))
    for frame in frames(num_frames, person=person):
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_frames(folder: Path, num_frames: int) -> Path:
    """`folder`, now with the wave as `frame0.png`, `frame1.png`, ... without padding, so that order must be natural."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames(num_frames)):
        cv2.imwrite(str(folder / f"frame{number}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return folder
