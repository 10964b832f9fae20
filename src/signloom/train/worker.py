"""One of several processes of a run on one machine: `python -m signloom.train.worker RECIPE`, the recipe as JSON.

`signloom.train.distributed.launched` starts it. With torchrun or SLURM, run `signloom train` in each process instead.
"""

from __future__ import annotations

import json
import sys

from signloom.errors import SignloomError
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.fit import fit
from signloom.train.recipe import Recipe


def main() -> int:
    """Returns the exit status; prints an error on stderr as the command line does."""
    try:
        record = json.loads(sys.argv[1])
        fit((DistillRecipe if "teacher" in record else Recipe).from_json(record))
    except SignloomError as error:
        print(f"signloom: error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
