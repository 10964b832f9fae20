"""The start of a run: what it has learnt, and an earlier run in its folder, change places when its state is saved."""

from __future__ import annotations

from signloom.files.staging import Stage, remove
from signloom.run_folder import Run


class Replacement:
    """A run in a folder that may hold an earlier one. Until its first state, `Run.written` keeps its files apart.

    A new run that is killed or fails before that leaves the earlier one as it was, or nothing that has to be resumed or
    overwritten. Only the logs join the old ones; those of TensorBoard are removed with the earlier run.
    """

    def __init__(self, run: Run, *, resume: bool) -> None:
        self.run, self.resume = run, resume
        self._stage = Stage(run.path)
        # Listed now: Lightning opens the new run's file before `begin`.
        events = [] if resume else run.tensorboard.glob("*")
        self._old = [f"{run.tensorboard.name}/{path.name}" for path in events]

    def begin(self) -> None:
        """Prepares the folder, once every process has read what it starts from."""
        self._stage.clear()
        if self.resume:
            return
        self._old += self.run.files()
        if not self.run.is_trained:
            # Nothing there is worth keeping: a run that ended before its first state.
            remove(self.run.path / name for name in self._old)
            self._old = []
        self._stage.path.mkdir()

    def hold(self) -> None:
        """Keeps apart what is written from now on, until `state_saved`.

        The state of a run that ends within an epoch belongs to the record of that epoch, which comes later: a run that
        is killed between them goes on from the state before.
        """
        self._stage.path.mkdir(exist_ok=True)

    def state_saved(self) -> None:
        """Lets the new run take the place of the earlier one, if that is still there."""
        if self._stage.path.is_dir():
            new = [path.name for path in self._stage.path.iterdir() if path.is_file()]
            self._stage.commit(new, remove=self._old)
            self._old = []
