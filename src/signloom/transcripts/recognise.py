"""Recognises the glosses of many clips, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from signloom.console import progress_bar, say
from signloom.errors import plural
from signloom.extract.holistic import Settings
from signloom.extract.sources import Clip
from signloom.inference.model import Model
from signloom.inference.read_clips import Points, Reader, read_clips
from signloom.landmarks import SUFFIX, Landmarks
from signloom.transcripts.transcript import Transcript

# In a signer's clip a hand is found more often, even where the tracker loses most of it.
_FEW_HANDS = 0.1
# A message lists at most this many clips.
NUM_SHOWN = 10


@dataclass(frozen=True)
class Job:
    """How clips are read and recognised.

    load: returns the model for some clips, after saying what the user should know of it.
    settings, workers: of the extraction.  draw: films are wanted.
    save_landmarks: where to keep extracted landmarks: a folder, or for a single clip a file.
    overwrite: do again what is done already.
    """

    load: Callable[[Sequence[Clip]], Model]
    settings: Settings
    workers: int
    save_landmarks: Path | None = None
    draw: bool = False
    overwrite: bool = False

    @property
    def landmarks_file(self) -> Path | None:
        """The file for the landmarks of a single clip."""
        path = self.save_landmarks
        return path if path is not None and path.suffix.lower() == SUFFIX else None

    @property
    def landmarks_folder(self) -> Path | None:
        """The folder for landmarks."""
        return None if self.landmarks_file else self.save_landmarks


@dataclass
class Recognition:
    """What to do with each clip, and what was noticed.

    done: called with each clip, its glosses and landmarks; InputError in it concerns this clip only.
    failed: called with each clip that has no result.
    failures: these clips, and the reasons.
    handless: clips with hands in few frames, and the share of these.
    num_dropped: glosses that were left out as not sure enough.
    """

    done: Callable[[Clip, Transcript, Points], None]
    failed: Callable[[Clip], None] = lambda clip: None
    failures: dict[Clip, str] = field(default_factory=dict)
    handless: dict[Clip, float] = field(default_factory=dict)
    num_dropped: int = 0

    def run(self, job: Job, model: Model, clips: Sequence[Clip]) -> None:
        """Recognises clips. Raises what `read_clips` raises."""
        with progress_bar(disable=all(clip.is_landmarks for clip in clips) and len(clips) == 1) as bar:
            task = bar.add_task("transcribing", total=len(clips), unit="frames", done=0)

            def use(clip: Clip, landmarks: Points) -> None:
                hypothesis = model.decode(model.emission(landmarks))
                self.num_dropped += hypothesis.num_dropped
                hands = max(landmarks.present("left_hand").mean(), landmarks.present("right_hand").mean())
                if hands < _FEW_HANDS:
                    self.handless[clip] = float(hands)
                if job.landmarks_file and isinstance(landmarks, Landmarks):
                    landmarks.save(job.landmarks_file)
                name = model.decoder_name
                self.done(clip, Transcript(str(clip.path), landmarks.duration_seconds, name, hypothesis), landmarks)

            def failed(clip: Clip, reason: str) -> None:
                self.failures[clip] = reason
                if len(clips) > 1 and len(self.failures) <= NUM_SHOWN:
                    say(f"failed: {reason}", bar.console)
                self.failed(clip)

            read_clips(
                clips,
                # Drawings and landmark files need all points, the model those of its view.
                None if job.draw or job.landmarks_file else model.view,
                Reader(use, failed, lambda done, frames: bar.update(task, completed=done, done=frames)),
                settings=job.settings,
                workers=max(1, min(job.workers, len(clips))),
                folder=job.landmarks_folder,
                overwrite=job.overwrite,
            )

    def warn(self) -> None:
        """Says in which clips hardly a hand was found, and how many glosses were left out."""
        for clip, share in list(self.handless.items())[:NUM_SHOWN]:
            say(f"warning: {clip.path}: a hand was found in only {share:.0%} of the frames; is a signer in view?")
        if len(self.handless) > NUM_SHOWN:
            say(f"warning: so in {plural(len(self.handless) - NUM_SHOWN, 'more clip')}")
        if self.num_dropped:
            limits = "--min_confidence or --sure_confidence"
            say(f"{plural(self.num_dropped, 'gloss')} left out: less sure than {limits} asks")
