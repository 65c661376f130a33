"""Tags for the words of sentences, from a trained run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from gen.analysis.evaluate import OnProgress
from gen.analysis.lexicon import Lexicon
from gen.analysis.tag_scores import Tagging, tagging
from gen.analysis.tagging import Answers, read_tags
from gen.codecs.text.forms import normalised
from gen.codecs.text.tagged import TaggedCodec
from gen.data.split import Excerpt, whole
from gen.errors import CheckpointError, CorpusError, SettingError
from gen.models.tagger import RecurrentTagger
from gen.runs.header import recorded_corpus
from gen.runs.prepared import Recorded, open_corpus
from gen.runs.trained import TrainedRun, find_model_file, task_of

Sources = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """A sentence with a tag for each of its words.

    Args:
        tokens: its words.
        tags: one a word.
        probabilities: of these tags.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]


class Tagger:
    """Finds the tags of words; made by `load_tagger`.

    Args:
        run: that was trained to tag.

    Raises CheckpointError if the tags of the run are not those of its codec.
    """

    def __init__(self, run: TrainedRun) -> None:
        if not isinstance(run.codec, TaggedCodec) or run.codec.tags != run.label_names:
            raise CheckpointError(f"{run.path}: its tags are not those of its codec ({len(run.label_names)} tags)")
        self.run = run
        self.tag_names = run.label_names
        self._codec = run.codec

    def tag(self, sentences: Iterable[Sequence[str]]) -> Iterator[TaggedSentence]:
        """Returns the tags of sentences that are read side by side.

        Args:
            sentences: each as its words; a sentence without words is left out. Characters that the model has never seen
                are read as unknown.

        Raises SettingError if a sentence is a text, or a word is empty.
        """
        kept = [_words(sentence) for sentence in sentences if sentence]
        if not kept:
            return
        found = self._answers(self._excerpt(kept))
        tags, probabilities, start = found.tags.tolist(), found.probabilities.tolist(), 0
        for words in kept:
            stop = start + len(words)
            names = tuple(self.tag_names[tag] for tag in tags[start:stop])
            yield TaggedSentence(words, names, tuple(probabilities[start:stop]))
            start = stop

    def evaluate(self, corpus: Sources = "valid", *, on_progress: OnProgress | None = None, **reading: Any) -> Tagging:
        """Compares tags with those that the words of a corpus have.

        Args:
            corpus: "valid" or "test" for the run's own, or files of two columns.
            on_progress: called with the number of sentences that are done, and of all.
            reading: fields of Reading, such as encoding="latin-1"; only for another corpus than the run's own.

        Raises GenError if the corpus cannot be had, or none of its words has a tag that the model knows.
        """
        excerpt = self.run.excerpt(corpus, **reading)
        found = self._answers(excerpt, on_progress)
        return tagging(found, excerpt, self.tag_names, first_tag=self._codec.first_tag, lexicon=self._lexicon())

    def _answers(self, excerpt: Excerpt, on_progress: OnProgress | None = None) -> Answers:
        header = self.run.header
        return read_tags(
            cast(RecurrentTagger, self.run.model),
            excerpt,
            length=header.training.bptt,
            first_tag=self._codec.first_tag,
            logit_scale=header.logit_scale,
            on_progress=on_progress,
        )

    def _excerpt(self, sentences: Sequence[Sequence[str]]) -> Excerpt:
        """Returns sentences as a corpus whose tags are not known."""
        codec = self._codec
        words = [[normalised(word, codec.normalize) for word in sentence] for sentence in sentences]
        ids = codec.encode_words([word for sentence in words for word in sentence])
        sizes = [sum(map(len, sentence)) + len(sentence) for sentence in words]
        starts = np.concatenate(([0], np.cumsum(sizes)))
        return Excerpt(ids, whole(starts, np.zeros(len(sizes), np.int32)), codec.vocab.begin, codec.vocab.end)

    def _lexicon(self) -> Lexicon | None:
        """Returns the words of the training part; None if neither its files nor its store are there unchanged."""
        run = self.run
        recorded = recorded_corpus(run.path, run.header)
        trained_on = Recorded(run.codec, run.label_names, recorded.key, recorded.valid_key)
        try:
            corpus = open_corpus(recorded.options, recorded=trained_on)
        except CorpusError:
            return None
        return Lexicon(corpus.train, first_tag=self._codec.first_tag) if corpus.store.key == recorded.key else None


def _words(sentence: Sequence[str]) -> tuple[str, ...]:
    """Returns the words of a sentence. Raises SettingError if it is a text, which is a sequence of characters, too."""
    if isinstance(sentence, str):
        raise SettingError(f"sentences: a text, not a list of words ({sentence[:40]!r})", hint="sentence.split()")
    if not all(sentence):
        raise SettingError(f"sentences: an empty word ({[*sentence]!r:.40})")
    return tuple(sentence)


def load_tagger(run: str | Path, *, device: str = "auto") -> Tagger:
    """Loads a run that was trained to tag.

    Args:
        run: the name of a folder under checkpoints/, a path to one, or a model.safetensors.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: there is no such run, or its file is damaged, foreign or newer.
        SettingError: it was trained for another task.
    """
    path = find_model_file(run)
    if (task := task_of(path)) != "tag":
        raise SettingError(f"{run}: was trained for another task ({task})", hint="gen train FILE --task tag")
    return Tagger(TrainedRun(path, device=device))
