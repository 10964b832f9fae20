"""The options of `signloom synth`: the dials, the size of the corpus, and the record of both in the corpus."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from signloom.corpus import MANIFEST
from signloom.errors import Faults, InputError, plural
from signloom.files.reading import sha256_of
from signloom.landmarks import parse_image_size
from signloom.synth.dials import Dials

# Version of the generator's results: goes up when the same options give other data.
GENERATOR_VERSION = 6
_MAX_FPS = 240.0
# No hand can be seen in a smaller picture.
_MIN_IMAGE_PIXELS = 32


@dataclass(frozen=True, kw_only=True)
class SynthOptions(Dials):
    """Options of simulated signing."""

    num_signs: int = 40
    """number of signs in the lexicon"""
    num_signers: int = 8
    """number of signers in total"""
    num_test_signers: int = 2
    """number of signers who sign only the test split; the others sign train and dev"""
    num_train: int = 1000
    """number of utterances in train"""
    num_dev: int = 100
    """number of utterances in dev: sentences that are not in train, by the signers of train"""
    num_test: int = 120
    """number of utterances in test: sentences that are not in train, by the test signers"""
    min_glosses: int = 3
    """smallest number of signs per utterance"""
    max_glosses: int = 8
    """largest number of signs per utterance"""
    sentences: tuple[Path, ...] = ()
    """sign the sentences of these files instead: annotation files of a corpus (PHOENIX, Isharah, CSL-Daily, a
    manifest), or text with one sentence per line; the files give splits and signers, and --num_signs and the numbers of
    utterances are ignored"""
    fps: float = 25.0
    """frames per second"""
    image_size: str = "640x480"
    """width x height of the picture in pixels"""
    minimal_pairs: float = 0.9
    """share of the signs, 0 to 1, that differ slightly from another sign, only in handshape, location, orientation or
    movement"""
    seed: int = 0
    """seed of every random draw: the same seed and options give the same bytes"""

    def _faults(self) -> Faults:
        faults = super()._faults()
        try:
            if min(parse_image_size(self.image_size)) < _MIN_IMAGE_PIXELS:
                faults.add(f"--image_size is {self.image_size}; needed at least {_MIN_IMAGE_PIXELS} pixels each way")
        except InputError as error:
            faults.add(str(error))
        if not 1 <= self.fps <= _MAX_FPS:
            faults.add(f"--fps is {self.fps:g}; needed 1 to {_MAX_FPS:g}")
        if not 0 <= self.minimal_pairs <= 1:
            faults.add(f"--minimal_pairs is {self.minimal_pairs}; needed a share from 0 to 1")
        faults.need_at_least(0, self, "seed")
        faults.need_at_least(1, self, "num_signers")
        if not 0 <= self.num_test_signers <= self.num_signers:
            alone = "; give --num_test_signers 0 --num_test 0 for one signer" if self.num_signers == 1 else ""
            faults.add(
                f"--num_test_signers is {self.num_test_signers}, --num_signers {self.num_signers}; needed 0 to "
                f"{self.num_signers}{alone}"
            )
        if not self.sentences:
            self._check_numbers(faults)
        return faults

    def _check_numbers(self, faults: Faults) -> None:
        """Adds the faults of options that matter only for made-up sentences."""
        faults.need_at_least(1, self, "num_signs")
        faults.need_at_least(0, self, "num_train", "num_dev", "num_test")
        if self.num_train + self.num_dev + self.num_test == 0:
            faults.add("the corpus would have no utterances; raise --num_train, --num_dev or --num_test")
        if self.num_train + self.num_dev > 0 and self.num_test_signers == self.num_signers > 0:
            faults.add(
                f"--num_test_signers is {self.num_test_signers} of {plural(self.num_signers, 'signer')}, none is left "
                "for train and dev; lower --num_test_signers or set --num_train 0 --num_dev 0"
            )
        if self.num_test > 0 and self.num_test_signers == 0:
            faults.add(
                f"--num_test is {self.num_test} but there are no test signers; raise --num_test_signers or set "
                "--num_test 0"
            )
        if not 1 <= self.min_glosses <= self.max_glosses:
            faults.add(f"--min_glosses {self.min_glosses} and --max_glosses {self.max_glosses}; needed 1 <= min <= max")
        elif 0 < self.num_train * self.min_glosses < self.num_signs:
            faults.add(
                f"{plural(self.num_train, 'training utterance')} of {self.min_glosses} or more signs may not show all "
                f"{plural(self.num_signs, 'sign')}; raise --num_train or lower --num_signs"
            )

    def record(self) -> dict[str, Any]:
        """Returns the options as the corpus records them: files by name and content, not by location."""
        files: dict[str, str] = {}
        for path in self.sentences:
            file = path / MANIFEST if path.is_dir() else path
            name = path.name if path.name not in files else f"{path.name} ({len(files) + 1})"
            files[name] = sha256_of(file)
        return {**asdict(self), "sentences": files}

    @property
    def digest(self) -> str:
        """A key that differs between options that give different data."""
        record = {**self.record(), "generator_version": GENERATOR_VERSION}
        # The order of the files decides who signs what.
        record["sentences"] = list(record["sentences"].items())
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]
