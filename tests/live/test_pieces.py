from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
from mido import Message

import gen
from gen.config import SamplingConfig
from gen.errors import SettingError
from gen.generation.generate import Sampled
from gen.live.knobs import Knobs
from gen.live.pieces import PAUSE_SECONDS, Stop, endless_pieces
from gen.live.player import Piece
from gen.music.score import NoteEvent
from gen.runs.request import SampleRequest
from gen.runs.run import Run


@pytest.fixture(scope="module")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of music, its model changed so that its pieces are short."""
    folder = tmp_path_factory.mktemp("runs")
    sizes: dict[str, Any] = {"hidden_size": 8, "num_layers": 1, "embedding_size": 4, "batch_size": 4, "bptt": 16}
    run = gen.train("chorales", run="tunes", out=folder, steps=3, **sizes)
    with torch.no_grad():
        run.model.output.bias[run.codec.vocab.end] += 3
    run.header = replace(run.header, can_end=True)
    return run


def pieces(run: Run, *, limit: int | None, seed: int = 1, knobs: Knobs | None = None) -> Iterator[Piece]:
    knobs = knobs or Knobs(SamplingConfig())
    controls = {"density": knobs.density} if knobs.has_density else {}
    request = run.request(length=limit, seed=seed, controls=controls, sampling=knobs.sampling)
    return endless_pieces(run, request, stop=Stop())


def notes(those: Iterable[Piece]) -> list[NoteEvent]:
    return [piece for piece in those if isinstance(piece, NoteEvent)]


def test_a_turn_changes_what_is_drawn_from_then_on_and_not_before(tunes: Run) -> None:
    plain = list(islice(pieces(tunes, limit=4000), 60))
    knobs = Knobs(SamplingConfig())
    steered = pieces(tunes, limit=4000, knobs=knobs)
    before = list(islice(steered, 20))
    knobs.take(Message("control_change", control=1, value=8))
    after = list(islice(steered, 40))
    assert before == plain[:20]
    assert after != plain[20:]


def test_piece_follows_piece_with_the_next_seed_and_a_pause(tunes: Run) -> None:
    first, second = (notes(tunes.stream(length=length, seed=seed)) for length, seed in ((6000, 1), (3000, 2)))
    drawn = list(islice(notes(pieces(tunes, limit=6000, seed=1)), len(first) + len(second)))
    end = max(note.onset_seconds + note.duration_seconds for note in first) - first[0].onset_seconds
    expected = [note.onset_seconds - first[0].onset_seconds for note in first]
    expected += [note.onset_seconds - second[0].onset_seconds + end + PAUSE_SECONDS for note in second]
    assert [note.onset_seconds for note in drawn] == pytest.approx(expected)
    assert [note[1:] for note in drawn] == [note[1:] for note in (*first, *second)]


def test_the_length_is_that_of_all_pieces_together(tunes: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Sampled] = []
    seeds: list[int] = []
    draw = tunes.draw

    def kept(request: SampleRequest) -> Iterator[Sampled]:
        seeds.append(request.seed)
        for sampled in draw(request):
            drawn.append(sampled)
            yield sampled

    monkeypatch.setattr(tunes, "draw", kept)
    assert len(notes(pieces(tunes, limit=3000, seed=5))) > 100
    assert sum(sampled.token != tunes.codec.vocab.end for sampled in drawn) == 3000
    assert seeds == list(range(5, 5 + len(seeds)))
    assert len(seeds) > 1


def test_a_model_that_only_ends_is_one_line(tunes: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    end = Sampled(0, tunes.codec.vocab.end, 0.0)
    monkeypatch.setattr(tunes, "draw", lambda _: iter([end]))
    with pytest.raises(SettingError, match="tunes: ends every piece before its first note"):
        next(pieces(tunes, limit=None))


def test_a_run_that_was_stopped_draws_no_more(tunes: Run) -> None:
    stop = Stop()
    stream = endless_pieces(tunes, tunes.request(length=None, seed=1, sampling=SamplingConfig), stop=stop)
    next(stream)
    stop.is_asked = True
    assert len(list(stream)) < 100
