"""The characters of samples with their costs, while they are drawn."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gen.cli.screen.costs import Cost
    from gen.generation.generate import SampledBlock
    from gen.generation.prompt import Prompt


class Ledger:
    """The nats of the tokens that are drawn, until the characters that they make are shown."""

    def __init__(self, num_rows: int) -> None:
        self._drawn: list[deque[float]] = [deque() for _ in range(num_rows)]  # by row

    def noted(self, drawn: Iterable["SampledBlock"]) -> Iterator["SampledBlock"]:
        """Yields the blocks and notes the nats of their tokens."""
        for block in drawn:
            for row, _, nats in block.samples():
                self._drawn[row].extend(nats.tolist())
            yield block

    def characters(
        self, row: int, tokens: Iterable[int], prompt: "Prompt", *, has_prompt: bool, stops: Sequence[str]
    ) -> Iterator[tuple[str, "Cost"]]:
        """Yields the prompt, and each character of one row with its nats; they end before a stop text.

        Args:
            tokens: those of the row, each after it was noted.
        """
        from gen.generation.stop import stop_at

        unpaid: deque[float] = deque()  # of the tokens since the last character
        costs: deque[float] = deque()  # of the characters that are not yet yielded

        def paid() -> Iterator[int]:
            for token in tokens:
                unpaid.append(self._drawn[row].popleft())
                yield token

        def pieces() -> Iterator[str]:
            for piece in prompt.pieces(paid()):
                costs.extend((sum(unpaid), *[0.0] * (len(piece) - 1)))
                unpaid.clear()
                yield piece

        if has_prompt and prompt.whole is not None:
            yield prompt.whole, None
        for text in stop_at(pieces(), stops) if stops else pieces():
            for character in text:
                yield character, costs.popleft()
