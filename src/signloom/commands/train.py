"""Train a recogniser on a corpus.

The run folder holds at every moment the model with the lowest word error rate on the dev split (the test split is
never read), the state to resume from, curves, history (json and csv), TensorBoard files and the log. Recipes, several
processes, SLURM and resuming are described in docs/training.md.
"""

from __future__ import annotations

from signloom.train.recipe import Recipe

Options = Recipe


def run(options: Recipe) -> int:
    """The exit status of a training run: 0 when it finished."""
    options.check()
    from signloom.inference.torch_engine import recognizer_of
    from signloom.train.distributed import World
    from signloom.train.fit import fit

    result = fit(options)
    if World.of_environment().rank:
        return 0
    best = result.best
    print(
        f"best dev WER {100 * best.dev_wer:.1f} % (plain rule) at epoch {best.epoch} of {len(result.history.epochs)}, "
        f"{result.seconds:.0f} s of training, {recognizer_of(result.model.engine).num_parameters:,} parameters\n"
        f"model and curves: {result.run}\n"
        f"next: signloom evaluate {result.run} --data_dir {options.data_dir} --split test"
    )
    return 0
