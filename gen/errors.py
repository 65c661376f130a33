"""The errors that a user can cause and correct.

    GenError                exit code 2: one line `error: PLACE: WHAT (VALUE)`, perhaps a hint
      SettingError          an option or argument out of range, unknown or contradictory
      CorpusError           a corpus that cannot be read or used
      MidiError             one MIDI file that cannot be used
      CheckpointError       a checkpoint that is missing, damaged, foreign or newer
        NotFiniteError      a model that computes NaN or infinite logits
      TrainingError         a run that cannot continue

Any other exception that reaches the top is a bug of gen and ends with exit code 1.
"""


class GenError(Exception):
    """An error that the user can correct.

    Args:
        message: `place: what (value)`, lower case, no full stop.
        hint: an instruction for correcting it, or None.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class SettingError(GenError):
    """An option or argument is out of range, unknown or contradicts another."""


class CorpusError(GenError):
    """A corpus, or one text of it, cannot be read or used."""


class MidiError(GenError):
    """One MIDI file cannot be used; the preparation of a corpus continues with the others."""


class CheckpointError(GenError):
    """A checkpoint is missing, damaged, foreign or of a newer format."""


class NotFiniteError(CheckpointError):
    """A model computes logits that are NaN or infinite, so that it predicts nothing.

    Args:
        value: one of them, or what was computed from them.
    """

    def __init__(self, value: float) -> None:
        super().__init__(
            f"model: its logits are not finite ({value})",
            hint="its weights are damaged or its training diverged; use another checkpoint",
        )


class TrainingError(GenError):
    """A training run cannot continue."""
