"""Imports of the packages that extraction needs: a missing one becomes a message that says how to install it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from signloom.errors import SignloomError, needs_extra


def import_cv2(purpose: str = "reading images") -> ModuleType:
    """Returns the module of OpenCV; raises what `needs_opencv` does."""
    with needs_opencv(purpose):
        import cv2
    return cv2


def import_av(purpose: str = "reading video") -> ModuleType:
    """Returns the module of PyAV. Raises MissingExtraError without it."""
    with needs_extra(purpose):
        import av
        import av.sidedata.sidedata
        import av.video.reformatter
    return av


@contextmanager
def needs_opencv(purpose: str) -> Iterator[None]:
    """Raises MissingExtraError when an import of OpenCV or MediaPipe inside it fails.

    Raises SignloomError, naming the system packages, if the system lacks a shared library that they link to.
    """
    try:
        with needs_extra(purpose):
            yield
    except ModuleNotFoundError:
        raise
    except ImportError as error:
        raise SignloomError(
            f"{purpose}: OpenCV or MediaPipe cannot be loaded ({error}); install the system packages they need, "
            "on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0; on Fedora: dnf install mesa-libGL glib2"
        ) from None
