"""How long decoding takes, beside flashlight-text and pyctcdecode, and how often they find the same.

Emissions are those of a trained model: clips of one signer are joined to utterances of 800 frames, from which the model
makes T' = 200. The sides take turns; times are CPU seconds of one thread, which other work on the machine disturbs
least. Install flashlight-text and pyctcdecode to have them measured; a side that is not installed is named as such. The
model:

    signloom synth --preset easy --num_signs 1000 --num_train 3000 --num_dev 60 --num_test 60 --min_glosses 8 \\
        --max_glosses 16 --seed 0 --output big
    signloom train --data_dir big --output big_run --epochs 9 --seed 0
    python benchmarks/decoding.py --model big_run --data_dir big
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch

from signloom.corpus import Corpus
from signloom.ctc.collapse import collapse
from signloom.ctc.decoding import Decoder, Decoding
from signloom.ctc.greedy import greedy_ids
from signloom.ctc.kneser_ney import kneser_ney
from signloom.inference.model import Model, load
from signloom.train.data import UtteranceDataset, collate

NUM_FRAMES = 800
BATCH = 16


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a trained model")
    parser.add_argument("--data_dir", type=Path, required=True, help="the corpus it was trained on")
    parser.add_argument("--rounds", type=int, default=7, help="times that each side decodes all utterances")
    parser.add_argument("--lm_weight", type=float, default=0.4, help="of the language model, where it takes part")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, corpus = load(options.model), Corpus.open(options.data_dir)
    emissions = list(joined(model, corpus))
    vocabulary = model.vocabulary
    language_model = kneser_ney(item.glosses for item in corpus.split("train")).model
    fused = Decoder(vocabulary, Decoding(lm_weight=options.lm_weight, insertion_bonus=1.0), language_model)
    sides: dict[str, Callable[[np.ndarray], tuple[int, ...]]] = {
        "ours": Decoder(vocabulary, Decoding()).n_best,
        "ours, with a 3-gram language model": fused.n_best,
    }
    missing = []
    for name, make in (("flashlight-text", flashlight), ("pyctcdecode", pyctcdecode)):
        try:
            sides[name] = make(len(vocabulary))
        except ImportError as error:
            missing.append(f"{name} is not measured: {error}")
    print(
        f"{len(emissions)} emissions, T' = {emissions[0].shape[0]}, V = {len(vocabulary)}; beam 10, 20 tokens a frame"
    )
    print(f"blank is the most probable word of {np.mean([(e.argmax(1) == 0).mean() for e in emissions]):.0%} of frames")

    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, decode in sides.items():
            started = time.process_time()
            for log_probs in emissions:
                decode(log_probs)
            times[name].append(1000 * (time.process_time() - started) / len(emissions))
    best = {name: min(values) for name, values in times.items()}
    rows = [
        (name, f"{best[name]:.2f}", f"{np.median(values):.2f}", f"{best[name] / best['ours']:.2f}")
        for name, values in times.items()
    ]
    print(common.table(("decoder", "ms an utterance, best", "median", "times ours"), rows))
    print("\n".join(missing))
    results: dict[str, Any] = {"ms": times}
    if "flashlight-text" in sides:
        results["agreement"] = agreement(emissions, sides["ours"], sides["flashlight-text"])
        print(
            "flashlight-text finds the same in {same} of {utterances}; the log-probability of ours over all paths is "
            "higher in {higher}, lower in {lower}".format(**results["agreement"])
        )
    results["greedy"] = greedy_share(model, corpus, options.rounds)
    print(
        "a batch of {batch}: forward {forward_ms:.1f} ms, greedy decoding {greedy_ms:.3f} ms, {share:.2%} of it".format(
            **results["greedy"]
        )
    )
    common.finish(options, results)


def joined(model: Model, corpus: Corpus) -> Iterator[np.ndarray]:
    """Emissions of dev and test clips, those of a signer joined to utterances of `NUM_FRAMES` frames."""
    config = model.engine.config
    points: dict[str | None, list[np.ndarray]] = {}
    for item in (*corpus.split("dev"), *corpus.split("test")):
        parts = points.setdefault(item.signer, [])
        parts.append(corpus.load(item).resampled(config.fps).select(config.view))
        if sum(map(len, parts)) >= NUM_FRAMES:
            clip = np.concatenate(parts)[:NUM_FRAMES]
            parts.clear()
            yield model.engine.log_probs(clip[None])[0][0]


def flashlight(num_words: int) -> Callable[[np.ndarray], tuple[int, ...]]:
    from flashlight.lib.text.decoder import CriterionType, LexiconFreeDecoder, LexiconFreeDecoderOptions, ZeroLM

    # The threshold is out of the way: the beam alone prunes, as in ours.
    options = LexiconFreeDecoderOptions(
        beam_size=10,
        beam_size_token=20,
        beam_threshold=1e9,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=CriterionType.CTC,
    )
    model = ZeroLM()
    decoder = LexiconFreeDecoder(options, model, -1, 0, [])

    def decode(log_probs: np.ndarray, _keep: object = model) -> tuple[int, ...]:
        return decoder.decode(log_probs.ctypes.data, *log_probs.shape)[0].tokens

    return decode


def pyctcdecode(num_words: int) -> Callable[[np.ndarray], tuple[int, ...]]:
    logging.disable(logging.WARNING)
    from pyctcdecode import build_ctcdecoder

    # It decodes characters: each word is one of Unicode's private ones. Its own pruning (tokens below e^-5 of a frame,
    # beams below e^-10 of the best) is left on.
    decoder = build_ctcdecoder(["", *(chr(0xE000 + number) for number in range(1, num_words))])

    def decode(log_probs: np.ndarray) -> tuple[int, ...]:
        return tuple(decoder.decode_beams(log_probs, beam_width=10))

    return decode


def agreement(
    emissions: list[np.ndarray],
    ours: Callable[[np.ndarray], Any],
    theirs: Callable[[np.ndarray], Any],
) -> dict[str, int]:
    """How often both find the same, and whose find is the more probable where they do not."""
    found = {"utterances": len(emissions), "same": 0, "higher": 0, "lower": 0}
    for log_probs in emissions:
        mine = ours(log_probs)[0].ids
        # Their path begins and ends with a silence (-1), which is no word.
        other = tuple(collapse([max(0, token) for token in theirs(log_probs)]))
        found["same"] += mine == other
        gain = score(log_probs, mine) - score(log_probs, other)
        found["higher"] += gain > 1e-6
        found["lower"] += gain < -1e-6
    return found


def score(log_probs: np.ndarray, ids: tuple[int, ...]) -> float:
    """The log-probability of a gloss sequence over all its paths."""
    emission = torch.from_numpy(log_probs).double()[:, None]
    lengths = torch.tensor([len(log_probs)]), torch.tensor([len(ids)])
    return -float(torch.nn.functional.ctc_loss(emission, torch.tensor([ids]), *lengths, reduction="sum"))


def greedy_share(model: Model, corpus: Corpus, rounds: int) -> dict[str, float]:
    """What greedy decoding of a whole batch takes beside the model's forward."""
    config = model.engine.config
    data = UtteranceDataset(
        corpus, corpus.split("test"), model.vocabulary, view=config.view, fps=config.fps, augmentation=None
    )
    batch = collate([data[at] for at in range(min(BATCH, len(data)))])
    points, lengths = batch.points.numpy(), batch.lengths.numpy()
    forward, greedy = [], []
    for _ in range(rounds + 1):
        started = time.process_time()
        log_probs, output_lengths = model.engine.log_probs(points, lengths)
        middle = time.process_time()
        greedy_ids(log_probs, output_lengths)
        forward.append(1000 * (middle - started))
        greedy.append(1000 * (time.process_time() - middle))
    share = min(greedy[1:]) / min(forward[1:])
    return {"batch": len(batch.ids), "forward_ms": min(forward[1:]), "greedy_ms": min(greedy[1:]), "share": share}


if __name__ == "__main__":
    main()
