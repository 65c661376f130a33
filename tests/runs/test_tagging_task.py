"""The task of tagging: the sentences that are validated on while training, and options that have no meaning for it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.config import Reading
from gen.data.split import Excerpt, whole
from gen.errors import SettingError
from gen.runs.options import CorpusOptions
from gen.runs.tasks.options import options_of_task
from gen.runs.tasks.tagging import spread


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 400))
def test_sentences_of_a_validation_are_whole_and_spread_evenly(sizes: list[int], max_tokens: int) -> None:
    starts = np.cumsum([0, *sizes])
    excerpt = Excerpt(np.zeros(starts[-1], np.uint8), whole(starts, np.zeros(len(sizes), np.int32)), 8, 9)

    found = [*spread(excerpt, max_tokens).stretches]

    step = -(-sum(sizes) // max_tokens)
    assert found == [*excerpt.stretches][::step]
    assert step == 1 or sum(sizes) > max_tokens


def test_options_of_a_tagged_corpus_name_its_codec_and_no_labels_of_files() -> None:
    options = options_of_task(CorpusOptions(("words.txt",), task="tag"))

    assert (options.codec, options.reading.labels) == ("tagged", "none")
    assert options_of_task(options) == options


@pytest.mark.parametrize("name", ["documents", "text_column", "label_column"])
def test_options_of_other_texts_are_refused(name: str) -> None:
    given: dict[str, Any] = {name: "files"}

    with pytest.raises(SettingError, match=f"--{name.replace('_', '-')}: not for a run that tags"):
        options_of_task(CorpusOptions(("words.txt",), task="tag", reading=Reading(**given)))
