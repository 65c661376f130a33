"""Blocks of tokens as arrays against the same tokens one by one, for every codec."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from gen.codec import AnyCodec
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec
from gen.config import ModelConfig, SamplingConfig
from gen.generation.generate import Sampled, SampledBlock, generate, generate_blocks, one_by_one
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import PackedStepper

FILTERED = SamplingConfig(0.9, top_k=30, top_p=0.95, min_p=0.01, repetition_penalty=1.2)
CODECS: dict[str, Callable[[], AnyCodec]] = {
    "char": lambda: CharCodec.build("to be or not to be"),
    "byte": ByteCodec,
    "performance": PerformanceCodec,
    "beat": BeatCodec,
}


def arguments(codec: AnyCodec, **changed: Any) -> dict[str, Any]:
    """Returns a stepper of an untrained model and what else `generate` needs; its samples end one after the other."""
    config = ModelConfig(len(codec.vocab), num_layers=1, hidden_size=16, embedding_size=8)
    model = RecurrentLM(config, torch.Generator().manual_seed(3))
    with torch.no_grad():
        model.output.bias[codec.vocab.end] = math.log(len(codec.vocab) / 4)  # as likely as a quarter of all
    usual = {
        "stepper": PackedStepper(model),
        "prompt": [],
        "begin": codec.vocab.begin,
        "end": codec.vocab.end,
        "length": 60,
        "sampling": SamplingConfig(),
        "seed": 4,
        "num_samples": 9,
        "new_grammar": partial(codec.grammar, {}),
    }
    return usual | changed


def read(blocks: Iterator[SampledBlock], end: int | None) -> list[Sampled]:
    """Returns the tokens of blocks in the order in which they are drawn, by the ends that stand among them."""
    found, ended = [], set()
    for rows, tokens, nats, _ in blocks:
        for at in range(tokens.shape[1]):
            for index, row in enumerate(rows.tolist()):
                if row not in ended:
                    found.append(Sampled(row, int(tokens[index, at]), float(nats[index, at])))
                if tokens[index, at] == end:
                    ended.add(row)
    return found


@pytest.mark.parametrize("sampling", [SamplingConfig(), FILTERED, lambda: FILTERED])
@pytest.mark.parametrize("name", CODECS)
def test_arrays_hold_the_tokens_that_are_drawn_one_by_one(name: str, sampling: Any) -> None:
    codec = CODECS[name]()
    given = arguments(codec, sampling=sampling)
    tuples = list(generate(**given))
    num_ended = sum(item.token == codec.vocab.end for item in tuples)
    assert num_ended > 2 or name == "performance"  # where notes at random are never all silent
    assert read(generate_blocks(**given), codec.vocab.end) == tuples
    alone = list(generate(**(given | {"num_samples": 1})))
    assert [item for item in tuples if item.row == 0] == alone


@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("min_length", [0, 40])
def test_without_a_grammar_many_tokens_are_in_a_block(*, end: bool, min_length: int) -> None:
    codec = CODECS["char"]()
    given = arguments(codec, min_length=min_length, length=150, new_grammar=lambda: None)
    given["end"] = codec.vocab.end if end else None
    blocks = list(generate_blocks(**given))
    assert read(iter(blocks), given["end"]) == list(generate(**given))
    for block in blocks:
        has_ended = np.cumsum(block.tokens == codec.vocab.end, axis=1) - (block.tokens == codec.vocab.end) > 0
        assert (block.is_drawn == ~has_ended).all()
    assert sum(int(block.is_drawn.sum()) for block in blocks) == sum(1 for _ in one_by_one(blocks))


def test_samples_of_a_block_leave_out_what_follows_an_end() -> None:
    block = SampledBlock(
        np.array([2, 5]),
        np.array([[7, 9, 7], [7, 7, 7]]),
        np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        np.array([[True, True, False], [True, True, True]]),
    )
    found = [(row, tokens.tolist(), nats.tolist()) for row, tokens, nats in block.samples()]
    assert found == [(2, [7, 9], [1.0, 2.0]), (5, [7, 7, 7], [4.0, 5.0, 6.0])]
    assert list(one_by_one([block])) == [(2, 7, 1.0), (5, 7, 4.0), (2, 9, 2.0), (5, 7, 5.0), (5, 7, 6.0)]


def test_whoever_changes_a_block_changes_no_other() -> None:
    given = arguments(CODECS["char"](), end=None, new_grammar=lambda: None)
    expected = [block.tokens.tolist() for block in generate_blocks(**given)]
    found = []
    for block in generate_blocks(**given):
        found.append(block.tokens.tolist())
        for array in block:
            array[:] = 0
    assert found == expected


def test_an_endless_stream_of_blocks_is_drawn_as_it_is_asked_for() -> None:
    given = arguments(CODECS["char"](), end=None, length=None, new_grammar=lambda: None)
    first = list(islice(generate_blocks(**given), 5))
    assert [block.rows.tolist() for block in first] == [list(range(9))] * 5
    assert first[0].tokens.shape == (9, 1)
