"""The performance codec: music as one stream of NoteOn, NoteOff, TimeShift and Velocity.

Oore et al. 2018, "This Time with Feeling: Learning Expressive Musical Performance", on a grid of 10 ms.
`gen.codecs.performance.layout` turns a file into one stream of pitches. `gen.codecs.performance.grammar` has the order
of the tokens. Encoding is canonical: equal streams give equal ids.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gen.codec import NOTHING_ASKED, Adapted, Envelope, IdArray, Part, Pieces, Vocab, stream
from gen.codecs.music_codec import MusicCodec, shared_settings
from gen.codecs.music_features import Floats
from gen.codecs.performance.controls import with_control_ids
from gen.codecs.performance.decoder import PerformanceDecoder
from gen.codecs.performance.features import performance_features
from gen.codecs.performance.grammar import PerformanceGrammar
from gen.codecs.performance.ids import layout_ids, note_lengths
from gen.codecs.performance.layout import PerformanceLayout, lay_out_performance
from gen.codecs.performance.pieces import performance_pieces
from gen.codecs.performance.vocab import (
    CONTROL,
    MAX_SHIFT,
    NOTE_OFF,
    NOTE_ON,
    NUM_VELOCITIES,
    TIME_SHIFT,
    VELOCITY,
    performance_vocab,
)
from gen.codecs.unknown import played_by
from gen.codecs.variation import Change, Stretch, loudness, transposition
from gen.errors import CheckpointError, MidiError, SettingError
from gen.music.continuation import continuation_alone, refined, refinement, with_continuation
from gen.music.excerpt import led_to_stop
from gen.music.midi.census import PEDALS, PLAYERS, TEMPOS
from gen.music.midi.read import MidiContents, read_midi_events
from gen.music.score import Note, NoteEvent, Notes, Score, Tempo, Track

TICKS_PER_BEAT = 500  # at 500,000 us a beat a tick is a millisecond, so a frame is 10 ticks exactly
_TICKS_PER_SECOND = 1000
_PIANO = 0
_VERSION = 1
_VERSION_OF_CONTROLS = 2  # since they stand where a span begins
_KEPT_KINDS = PLAYERS | {PEDALS, TEMPOS}  # of events beside notes; all become lengths and seconds
_NEARLY_ALL = 0.99  # of the notes of a corpus are no longer than those that are sampled
_MAX_FITTED = 1 << 22  # ids that are looked at


@dataclass(frozen=True)
class PerformanceCodec(MusicCodec):
    """Turns MIDI files into ids of performance tokens and back; lengths are in frames of 10 ms.

    Args:
        is_drums: takes the drum channel and leaves out all else, instead of the reverse.
    """

    is_drums: bool = False

    name: ClassVar[str] = "performance"
    unit_ids: ClassVar[slice] = slice(NOTE_ON, NOTE_OFF)
    pitch_ids: ClassVar[slice] = slice(NOTE_ON, NOTE_OFF)
    first_control_id: ClassVar[int] = CONTROL

    @property
    def vocab(self) -> Vocab:
        """The symbols of music, then those of the controls."""
        return performance_vocab(self.control_names)

    @property
    def has_key(self) -> bool:
        """True for pitched notes; drums are in no key."""
        return not self.is_drums

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> "PerformanceCodec":
        """Returns the codec whose `spec()` this is. Raises CheckpointError if it lacks a setting."""
        is_drums = spec.get("is_drums")
        if not isinstance(is_drums, bool):
            raise CheckpointError(f"codec performance: pitched notes or drums is not said ({is_drums})")
        return cls(is_drums=is_drums, **shared_settings(spec, grid_unit="frames"))

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data."""
        return {
            "name": self.name,
            "version": _VERSION_OF_CONTROLS if self.control_names else _VERSION,
            "is_drums": self.is_drums,
            "longest_note": self.longest_note,
            **self._shared_spec(),
        }

    def fitted(self, ids: IdArray) -> "PerformanceCodec":
        """Returns the codec with the lengths, the pitches and the densities of the notes of a corpus.

        No note in a sample is longer than all but one in a hundred notes of the corpus.
        """
        ids = ids[:_MAX_FITTED]
        return self._fitted_to(np.bincount(ids, minlength=len(self.vocab)), note_lengths(ids), _NEARLY_ALL)

    def merged_with(self, spec: Mapping[str, Any]) -> "PerformanceCodec":
        """Returns the codec that is fitted to the music of both. Raises SettingError if one of them is of drums."""
        other = self.from_spec(dict(spec))
        if other.is_drums != self.is_drums:
            kinds = ("pitched notes", "drums")
            raise SettingError(
                f"--from: it was trained on {kinds[other.is_drums]}, and this corpus holds {kinds[self.is_drums]}"
            )
        return self._merged_with(other)

    def read(self, path: Path) -> Score:
        """Reads a MIDI file that has notes for this codec. Raises MidiError."""
        return self._read(path).score

    def encode(self, whole: Score) -> IdArray:
        """Returns the (N,) ids of a score, none if it has no notes for this codec.

        The ids of an excerpt reach to the time at which it stops.
        """
        ids = self._ids(self._lay_out(whole))
        if whole.stop_ticks is None or not len(ids):
            return ids
        led = self._ids(self._lay_out(led_to_stop(whole, is_drum=self.is_drums)))
        stop = int(np.flatnonzero((led >= NOTE_ON) & (led < NOTE_OFF))[-1])
        stop -= int(VELOCITY <= led[stop - 1] < CONTROL)  # a Velocity belongs to that note
        return led[: max(len(ids), stop)] if np.array_equal(led[: len(ids)], ids) else ids

    def encode_file(self, path: Path) -> Iterator[Part]:
        """Yields one part: the ids of a file with the findings of reading it."""
        score, findings, census = self._read(path)
        layout = self._lay_out(score)
        yield Part(self._ids(layout), census.account(findings + layout.findings, kept=_KEPT_KINDS))

    def join(self, pieces: Iterable[NoteEvent]) -> Score:
        """Returns a score with one track, of piano or drums, whose ticks are milliseconds."""
        notes = (
            Note(
                onset_ticks=round(piece.onset_seconds * _TICKS_PER_SECOND),
                duration_ticks=round(piece.duration_seconds * _TICKS_PER_SECOND),
                pitch=piece.pitch,
                velocity=piece.velocity,
            )
            for piece in pieces
        )
        track = Track(tuple(sorted(notes)), is_drum=self.is_drums)
        tempo = Tempo(0, TICKS_PER_BEAT * 1_000_000 // _TICKS_PER_SECOND)
        return Score((track,), ticks_per_beat=TICKS_PER_BEAT, tempos=(tempo,))

    def adapted(self, prompt: Score) -> Adapted[Score]:
        """Returns the primer, with a line for its instruments that the continuation lacks."""
        kept = played_by(prompt, programs=[] if self.is_drums else [_PIANO], has_drums=self.is_drums)
        return Adapted(prompt, kept.unknown)

    def continued(self, prompt: Score, tokens: Sequence[int], *, name: str, with_prompt: bool = True) -> Score:
        """Returns the primer, note for note, with its continuation in its time; or the latter alone."""
        start = self.encode(prompt).tolist()
        num_notes = sum(1 for _ in stream(self, start))
        events = list(stream(self, [*start, *tokens]))[num_notes:]
        cut_seconds = float(self._lay_out(led_to_stop(prompt, is_drum=self.is_drums)).cut_seconds[:, 1].sum())
        score = refined(prompt, refinement(prompt))
        onsets = np.array([event.onset_seconds for event in events]) + cut_seconds
        seconds = np.array([event.duration_seconds for event in events])
        starts, ends = score.ticks(onsets), score.ticks(onsets + seconds)
        columns = [starts, np.maximum(ends - starts, 1), *np.array([event[2:4] for event in events]).reshape(-1, 2).T]
        track = Track(Notes(np.stack(columns).astype(np.int64)[:, np.lexsort(columns[::-1])]), is_drum=self.is_drums)
        added = Score((track,) if events else (), score.ticks_per_beat)
        return (with_continuation if with_prompt else continuation_alone)(prompt, added, name=name)

    def decoder(self) -> PerformanceDecoder:
        """Returns a decoder that stands at time 0."""
        return PerformanceDecoder()

    def pieces(self, ids: IdArray) -> Pieces[NoteEvent]:
        """Returns the notes, each with the ids of its beginning and of its end."""
        return performance_pieces(ids)

    def features(self, ids: IdArray) -> dict[str, Floats]:
        """Returns the (N,) features of a piece by name, after each id."""
        return performance_features(ids)

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> PerformanceGrammar:
        """Returns an automaton that stands after `begin` and writes the controls that are asked for."""
        choosers = self.control_tokens.choosers(asked)
        return PerformanceGrammar(self.vocab, choosers=choosers, longest_note=self.longest_note)

    def _changes(self) -> tuple[Change, ...]:
        """Returns the changes of pitches (never of drums), velocities and TimeShifts below the longest.

        With controls, times stay, because the tokens of controls stand where a second of the grid begins.
        """
        controls = self.control_tokens
        transposed = transposition(NOTE_ON, NOTE_OFF, pitches=self.pitches, controls=controls)
        stretched = Stretch(TIME_SHIFT, MAX_SHIFT - 1)
        return (*[transposed] * self.has_key, loudness(VELOCITY, NUM_VELOCITIES), *[stretched] * (not controls))

    def _ids(self, layout: PerformanceLayout) -> IdArray:
        return with_control_ids(layout_ids(layout), layout, self.control_tokens)

    def _read(self, path: Path) -> MidiContents:
        contents = read_midi_events(path)
        if not any(track.is_drum == self.is_drums for track in contents.score.tracks):
            what = "only pitched notes, for a model of drums" if self.is_drums else "only drums"
            raise MidiError(f"{path}: {what} ({contents.score.num_notes} notes)")
        return contents

    def _lay_out(self, score: Score) -> PerformanceLayout:
        return lay_out_performance(score, is_drums=self.is_drums)
