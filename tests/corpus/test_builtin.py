"""The corpora that come with gen."""

import pytest

from gen.corpus.builtin import Builtin, builtin_path, builtins


@pytest.mark.parametrize("builtin", builtins(), ids=lambda builtin: builtin.name)
def test_every_built_in_corpus_is_there_and_described_in_a_line(builtin: Builtin) -> None:
    path = builtin_path(builtin.name)
    assert path is not None
    assert path.exists()
    assert 10 < len(builtin.description) < 80
    assert "\n" not in builtin.description


def test_another_name_is_not_built_in() -> None:
    assert builtin_path("hamlet") is None
