"""A prompt: as it was given, as the model reads it, and together with the tokens that continue it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gen.codec import AnyCodec, decode, stream


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text or music that a sample continues.

    Args:
        codec: the codec of the model.
        whole: a document of the codec; None without a prompt.
        ids: the ids of the document as the model reads it, without begin and end.
        unknown: a line for each thing in the document that the model does not know.
    """

    codec: AnyCodec
    whole: Any
    ids: list[int]
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, codec: AnyCodec, whole: Any) -> "Prompt":
        """Returns the prompt. Raises SettingError or MidiError if the codec cannot encode it."""
        if whole is None:
            return cls(codec, None, [])
        adapted = codec.adapted(whole)
        return cls(codec, whole, codec.encode(adapted.whole).tolist(), adapted.unknown)

    def pieces(self, tokens: Iterator[int], *, with_prompt: bool = False) -> Iterator[Any]:
        """Yields the pieces of the tokens that continue the prompt as soon as they are certain.

        with_prompt: yield the pieces of the prompt first.
        """
        decoder = self.codec.decoder()
        opening = [piece for token in self.ids for piece in decoder.push(token)]
        num_held = sum(1 for _ in stream(self.codec, self.ids)) - len(opening)  # pieces that end only with later tokens
        if with_prompt and isinstance(self.whole, str):
            yield self.whole
        elif with_prompt and self.unknown:
            yield from stream(self.codec, self.codec.encode(self.whole).tolist())
        elif with_prompt:
            yield from opening
            num_held = 0
        for piece in self._drawn(decoder, tokens):
            if num_held:
                num_held -= 1
            else:
                yield piece

    def continued(self, tokens: Sequence[int], *, name: str, with_prompt: bool = True) -> Any:
        """Returns the document of prompt and tokens, or of the tokens alone; `name` is that of their writer."""
        if self.whole is None:
            return decode(self.codec, tokens)
        return self.codec.continued(self.whole, tokens, name=name, with_prompt=with_prompt)

    def _drawn(self, decoder: Any, tokens: Iterator[int]) -> Iterator[Any]:
        for token in tokens:
            if token == self.codec.vocab.end:
                break
            yield from decoder.push(token)
        yield from decoder.finish()
