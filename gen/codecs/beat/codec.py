"""The beat codec: metric music of several instruments and drums, in bars and positions.

In the line of REMI (Huang and Yang 2020, "Pop Music Transformer: Beat-based Modeling and Generation of Expressive Pop
Piano Compositions"). `gen.codecs.beat.layout` states how a score is changed to fit; `gen.codecs.beat.vocab` has the
symbols, `gen.codecs.beat.grammar` their order. Encoding is canonical: equal layouts give equal ids.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gen.codec import NOTHING_ASKED, Adapted, BoolArray, Envelope, IdArray, Part, Pieces, Vocab, stream
from gen.codecs.beat.bars import own_signatures
from gen.codecs.beat.continuation import beyond_opening, in_score_time
from gen.codecs.beat.controls import with_control_ids
from gen.codecs.beat.decoder import BeatDecoder, Piece
from gen.codecs.beat.features import beat_features
from gen.codecs.beat.grammar import EVERYTHING, BeatGrammar, Limits
from gen.codecs.beat.ids import layout_ids, note_positions
from gen.codecs.beat.layout import MAX_POSITIONS, BeatLayout, has_notes, lay_out_beats
from gen.codecs.beat.pieces import beat_pieces
from gen.codecs.beat.vocab import (
    BAR,
    DRUM,
    DURATION,
    NUM_SYMBOLS,
    NUM_TEMPOS,
    NUM_VELOCITIES,
    PITCH,
    POSITION,
    PROGRAM,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
    beat_vocab,
)
from gen.codecs.controls import control_symbols
from gen.codecs.music_codec import MusicCodec, shared_settings
from gen.codecs.music_features import Floats
from gen.codecs.unknown import played_by
from gen.codecs.variation import Change, Shift, loudness, transposition
from gen.errors import CheckpointError, MidiError
from gen.music.continuation import continuation_alone, refinement, with_continuation
from gen.music.excerpt import led_to_stop
from gen.music.metre import GRID_TICKS
from gen.music.midi.census import METRES, PEDALS, PLAYERS, PROGRAMS, TEMPOS
from gen.music.midi.read import read_midi, read_midi_events
from gen.music.score import Note, NoteEvent, Score, Tempo, TimeSignature, Track

_KEPT_KINDS = PLAYERS | {METRES, PEDALS, PROGRAMS, TEMPOS}  # of events beside notes
_VERSION = 1
_NEARLY_ALL = 0.999  # of the notes of a corpus are no longer than the longest that is sampled
_FITTED_AT_ONCE = 1 << 22  # ids
_MAX_TEMPO_CHANGE = 2  # levels, which is 4 %
# Kinds of symbols of which a sample has only those of its corpus.
_CHOSEN = (slice(TIME_SIGNATURE, TEMPO), slice(TEMPO, POSITION), slice(PROGRAM, VELOCITY), slice(DRUM, DURATION))


@dataclass(frozen=True)
class BeatCodec(MusicCodec):
    """Turns MIDI files into ids of bars, positions and notes, and back; lengths are in positions.

    Args:
        seen: the symbols of TimeSignature, Tempo, Program and Drum that a sample may have; None for all.
    """

    seen: frozenset[str] | None = None

    name: ClassVar[str] = "beat"
    unit_ids: ClassVar[slice] = slice(PITCH, DURATION)
    pitch_ids: ClassVar[slice] = slice(PITCH, DRUM)
    first_control_id: ClassVar[int] = NUM_SYMBOLS

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> "BeatCodec":
        """Returns the codec whose `spec()` this is. Raises CheckpointError if a setting is wrong."""
        settings = shared_settings(spec, grid_unit="positions", max_length=MAX_POSITIONS)
        seen = spec.get("seen")
        if seen is None:
            return cls(**settings)
        if not isinstance(seen, list) or not all(isinstance(symbol, str) for symbol in seen):
            raise CheckpointError(f"codec beat: the symbols seen are no list ({seen})")
        codec = cls(seen=frozenset(seen), **settings)
        if unknown := sorted({*seen} - codec.vocab.index.keys()):
            raise CheckpointError(f"codec beat: unknown symbol ({unknown[0]})")
        return codec

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data."""
        index = self.vocab.index
        return {
            "name": self.name,
            "version": _VERSION,
            "longest_note": self.longest_note,
            "seen": None if self.seen is None else sorted(self.seen, key=index.__getitem__),
            **self._shared_spec(),
        }

    @cached_property
    def vocab(self) -> Vocab:
        """The symbols of `gen.codecs.beat.vocab`, those of the controls, then Begin and End."""
        return beat_vocab(control_symbols(self.control_names))

    def fitted(self, ids: IdArray) -> "BeatCodec":
        """Returns the codec whose samples have metres, tempos, programs and drums that a corpus has.

        No note in a sample is longer than all but one in a thousand of the corpus.
        """
        counts = np.zeros(len(self.vocab), np.int64)
        for start in range(0, len(ids), _FITTED_AT_ONCE):
            counts += np.bincount(ids[start : start + _FITTED_AT_ONCE], minlength=len(counts))
        symbols = self.vocab.symbols
        chosen = [token for kind in _CHOSEN for token in range(kind.start, kind.stop)]
        seen = frozenset(symbols[token] for token in chosen if counts[token])
        positions = np.minimum(note_positions(ids[:_FITTED_AT_ONCE]), MAX_POSITIONS)
        return replace(self._fitted_to(counts, positions, _NEARLY_ALL), seen=seen)

    def merged_with(self, spec: Mapping[str, Any]) -> "BeatCodec":
        """Returns the codec whose samples may also have what those of another codec may have."""
        other = self.from_spec(dict(spec))
        seen = None if self.seen is None or other.seen is None else self.seen | other.seen
        return replace(self._merged_with(other), seen=seen)

    def read(self, path: Path) -> Score:
        """Reads a MIDI file. Raises MidiError."""
        return read_midi(path)[0]

    def encode(self, whole: Score) -> IdArray:
        """Returns the (N,) ids of a score, none if it has no notes. Raises MidiError where it has too many bars.

        The ids of an excerpt reach to the Bar at which it stops.
        """
        if not has_notes(whole):
            return np.zeros(0, np.uint16)
        ids = self._ids(lay_out_beats(whole))
        if whole.stop_ticks is None:
            return ids
        led = self._ids(lay_out_beats(led_to_stop(whole, is_drum=True)))  # a drum, because it cuts no note
        last_bar = int(np.flatnonzero(led == BAR)[-1])
        return led[: max(len(ids), last_bar + 1)] if np.array_equal(led[: len(ids)], ids) else ids

    def encode_file(self, path: Path) -> Iterator[Part]:
        """Yields one part: the ids of a file with the findings of reading it."""
        score, findings, census = read_midi_events(path)
        try:
            layout = lay_out_beats(score)
        except MidiError as err:
            raise MidiError(f"{path}: {str(err).removeprefix('score: ')}") from err
        yield Part(self._ids(layout), census.account(findings + layout.findings, kept=_KEPT_KINDS))

    def join(self, pieces: Iterable[Piece]) -> Score:
        """Returns a score of a track for each program, then one of drums; a quarter has 384 ticks."""
        notes: list[NoteEvent] = []
        tempos: list[Tempo] = []
        signatures: list[TimeSignature] = []
        for piece in pieces:
            match piece:
                case NoteEvent():
                    notes.append(piece)
                case Tempo():
                    tempos.append(piece)
                case TimeSignature():
                    signatures.append(piece)
        empty = Score((), GRID_TICKS, tuple(tempos), tuple(signatures))
        return replace(empty, tracks=_tracks(notes, empty)) if notes else empty

    def adapted(self, prompt: Score) -> Adapted[Score]:
        """Returns a primer in the programs of the corpus; the primer itself if the codec was never fitted."""
        if self.seen is None:
            return Adapted(prompt, ())
        _, _, programs, drums = (self._seen_of(kind) for kind in _CHOSEN)
        return played_by(prompt, programs=np.flatnonzero(programs).tolist(), has_drums=bool(drums.any()))

    def continued(self, prompt: Score, tokens: Sequence[int], *, name: str, with_prompt: bool = True) -> Score:
        """Returns the primer, note for note, with its continuation on its beat; or the latter alone."""
        read = self.adapted(prompt).whole
        start = self.encode(read).tolist()
        opening = list(stream(self, start))
        pieces = beyond_opening(list(stream(self, [*start, *tokens])), opening)
        added = in_score_time(self.join(pieces), opening, led_to_stop(read, is_drum=True), factor=refinement(prompt))
        return (with_continuation if with_prompt else continuation_alone)(prompt, added, name=name)

    def own_metres(self, whole: Score) -> tuple[list[TimeSignature], int]:
        """Returns the time signatures of a score in ticks of decoded scores, and the number of those among its ids.

        Returns no signatures and 0 if silences are cut or the note value changes within the score, since then only
        those among the ids are on the grid.
        """
        layout = lay_out_beats(whole)
        signatures = own_signatures(whole, layout.grid) if not len(layout.cuts) else []
        said = sum(isinstance(piece, TimeSignature) for piece in stream(self, self.encode(whole).tolist()))
        return signatures, said if signatures else 0

    def decoder(self) -> BeatDecoder:
        """Returns a decoder that stands at time 0."""
        return BeatDecoder()

    def pieces(self, ids: IdArray) -> Pieces[NoteEvent]:
        """Returns the notes, each with the ids of its time, instrument, velocity, pitch and duration."""
        return beat_pieces(ids)

    def features(self, ids: IdArray) -> dict[str, Floats]:
        """Returns the (N,) features of a piece by name, after each id."""
        return beat_features(ids)

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> BeatGrammar:
        """Returns an automaton that stands after `begin` and writes the controls that are asked for."""
        return BeatGrammar(len(self.vocab), self._limits(), choosers=self.control_tokens.choosers(asked))

    def _changes(self) -> tuple[Change, ...]:
        """Returns the changes of pitches (never of drums), velocities and tempos; metre, positions and lengths stay."""
        tempos = np.flatnonzero(self._limits().tempos).tolist()  # of the corpus
        return (
            transposition(PITCH, pitches=self.pitches, controls=self.control_tokens),
            loudness(VELOCITY, NUM_VELOCITIES),
            Shift((TEMPO,), NUM_TEMPOS, -_MAX_TEMPO_CHANGE, _MAX_TEMPO_CHANGE, tempos[0], tempos[-1]),
        )

    def _ids(self, layout: BeatLayout) -> IdArray:
        return with_control_ids(layout_ids(layout), layout, self.control_tokens)

    def _limits(self) -> Limits:
        longest_note = self.longest_note or MAX_POSITIONS
        if self.seen is None:
            return replace(EVERYTHING, longest_note=longest_note)
        signatures, tempos, programs, drums = (self._seen_of(kind) for kind in _CHOSEN)
        if not (signatures.any() and tempos.any() and (programs | drums).any()):  # fitted to nothing
            return replace(EVERYTHING, longest_note=longest_note)
        return Limits(signatures, tempos, programs, drums, longest_note)

    def _seen_of(self, kind: slice) -> BoolArray:
        """Returns True for each symbol of a kind that a sample may have."""
        assert self.seen is not None
        return np.array([symbol in self.seen for symbol in self.vocab.symbols[kind]])


def _tracks(events: list[NoteEvent], timing: Score) -> tuple[Track, ...]:
    """Returns a track for each program, on the grid by the tempos of `timing`."""
    onsets = timing.ticks([event.onset_seconds for event in events])
    starts, tempos_us = timing.tempo_changes()
    tempos_us = tempos_us[np.searchsorted(starts, onsets, side="right") - 1]
    seconds = np.array([event.duration_seconds for event in events])
    durations = np.maximum(np.rint(seconds * (GRID_TICKS * 1e6) / tempos_us), 1).astype(np.int64)
    voices: defaultdict[tuple[bool, int], list[Note]] = defaultdict(list)
    for event, onset, duration in zip(events, onsets.tolist(), durations.tolist(), strict=True):
        voices[event.is_drum, event.program].append(Note(onset, duration, event.pitch, event.velocity))
    return tuple(Track(tuple(sorted(notes)), program, is_drum) for (is_drum, program), notes in sorted(voices.items()))
