"""The performance codec: music as one stream of NoteOn, NoteOff, TimeShift and Velocity.

Oore et al. 2018, "This Time with Feeling: Learning Expressive Musical Performance", on a grid of 10 ms. How a file
becomes one stream of pitches stands in `gen.codecs.performance.layout`; the order of the tokens in
`gen.codecs.performance.grammar`. Encoding is canonical: equal streams give equal ids.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gen.codec import NOTHING_ASKED, Envelope, IdArray, Kind, Known, Part, Variation, Vocab, stream
from gen.codecs.controls import ControlIds, ordered_controls
from gen.codecs.music_codec import ALL_PITCHES, joined_settings, settings_of, settings_spec
from gen.codecs.performance.controls import with_control_ids
from gen.codecs.performance.decoder import PerformanceDecoder
from gen.codecs.performance.grammar import PerformanceGrammar
from gen.codecs.performance.ids import layout_ids, note_lengths
from gen.codecs.performance.layout import PerformanceLayout, lay_out_performance
from gen.codecs.performance.variation import PerformanceVariation
from gen.codecs.performance.vocab import (
    CONTROL,
    NOTE_OFF,
    NOTE_ON,
    VELOCITY,
    performance_vocab,
)
from gen.codecs.unknown import played_by
from gen.errors import CheckpointError, MidiError, SettingError
from gen.music.continuation import gone_on, gone_on_alone, refined, refinement
from gen.music.excerpt import led_to_stop
from gen.music.midi.census import PEDALS, PLAYERS, TEMPOS
from gen.music.midi.read import Reading, read_midi_events
from gen.music.score import Note, NoteEvent, Notes, Score, Tempo, Track

TICKS_PER_BEAT = 500  # at 500,000 us a beat a tick is a millisecond, so a frame is 10 ticks exactly
_TICKS_PER_SECOND = 1000
_PIANO = 0
_VERSION = 1
_VERSION_OF_CONTROLS = 2  # since they stand where a span begins
_KEPT_KINDS = PLAYERS | {PEDALS, TEMPOS}  # of events beside notes; all become lengths and seconds
_NEARLY_ALL = 0.99  # of the notes of a corpus are no longer than those that are sampled
_MAX_FITTED = 1 << 22  # ids that are looked at


@dataclass(frozen=True, slots=True)
class PerformanceCodec:
    """Turns MIDI files into ids of performance tokens and back.

    Args:
        is_drums: takes the drum channel and leaves out all else, instead of the reverse.
        longest_note: frames of 10 ms that a note which is sampled may sound; None for no limit. Files are read as
            they are.
        pitches: the lowest and the highest that a transposition in training may reach.
        controls: in the order of their tokens.
        densities: levels of that control that may be asked for; () for all.
    """

    is_drums: bool = False
    longest_note: int | None = None
    pitches: tuple[int, int] = ALL_PITCHES
    controls: tuple[str, ...] = ()
    densities: tuple[int, ...] = ()

    name: ClassVar[str] = "performance"
    kind: ClassVar[Kind] = "music"
    unit: ClassVar[str] = "note"
    suffix: ClassVar[str] = ".mid"

    @property
    def vocab(self) -> Vocab:
        """The symbols of music, then those of the controls."""
        return performance_vocab(self.controls)

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> "PerformanceCodec":
        """Returns the codec whose `spec()` this is. Raises CheckpointError if it lacks a setting."""
        is_drums = spec.get("is_drums")
        if not isinstance(is_drums, bool):
            raise CheckpointError(f"codec performance: pitched notes or drums is not said ({is_drums})")
        longest_note = spec.get("longest_note")
        if longest_note is not None and not (type(longest_note) is int and longest_note >= 1):
            raise CheckpointError(f"codec performance: longest note is no number of frames ({longest_note})")
        return cls(is_drums=is_drums, longest_note=longest_note, **settings_of(spec))

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data."""
        return {
            "name": self.name,
            "version": _VERSION_OF_CONTROLS if self.controls else _VERSION,
            "is_drums": self.is_drums,
            "longest_note": self.longest_note,
            **settings_spec(self.pitches, self.controls, self.densities),
        }

    def with_controls(self, names: tuple[str, ...]) -> "PerformanceCodec":
        """Returns the codec with controls. Raises SettingError if one is unknown, or not for drums."""
        return replace(self, controls=ordered_controls(names, has_key=not self.is_drums))

    def fitted(self, ids: IdArray) -> "PerformanceCodec":
        """Returns the codec that knows of a corpus how long notes last, how far pitches reach, how dense notes are.

        Its samples hold no note longer than all but one in a hundred notes of the corpus.
        """
        ids = ids[:_MAX_FITTED]
        lengths = note_lengths(ids)
        longest_note = max(1, math.ceil(np.quantile(lengths, _NEARLY_ALL))) if len(lengths) else None
        counts = np.bincount(ids, minlength=len(self.vocab))
        found = np.flatnonzero(counts[NOTE_ON:NOTE_OFF]).tolist()
        pitches = (found[0], found[-1]) if found else ALL_PITCHES
        densities = self._control_ids().levels_in(counts)
        return replace(self, longest_note=longest_note, pitches=pitches, densities=densities)

    def knowing(self, spec: Mapping[str, Any]) -> "PerformanceCodec":
        """Returns the codec that also knows what another was fitted to. Raises SettingError if one is of drums."""
        other = self.from_spec(dict(spec))
        if other.is_drums != self.is_drums:
            kinds = ("pitched notes", "drums")
            raise SettingError(
                f"--from: it was trained on {kinds[other.is_drums]}, and this corpus holds {kinds[self.is_drums]}"
            )
        return replace(self, **joined_settings((self, other)))

    def read(self, path: Path) -> Score:
        """Reads a MIDI file that has notes for this codec. Raises MidiError."""
        return self._read(path).score

    def write(self, path: Path, whole: Score) -> None:
        """Writes a MIDI file; it appears whole or not at all. Raises MidiError or SettingError."""
        from gen.music.midi.write import write_midi  # mido takes longer to import than all that reading needs

        write_midi(path, whole)

    def encode(self, whole: Score) -> IdArray:
        """Returns the (N,) ids of a score, none if it has no notes for this codec.

        Those of a score that was cut go on to the time at which it stops.
        """
        ids = self._ids(self._lay_out(whole))
        if whole.stop_ticks is None or not len(ids):
            return ids
        led = self._ids(self._lay_out(led_to_stop(whole, is_drum=self.is_drums)))
        stop = int(np.flatnonzero((led >= NOTE_ON) & (led < NOTE_OFF))[-1])
        stop -= int(VELOCITY <= led[stop - 1] < CONTROL)  # it is of that note
        return led[: max(len(ids), stop)] if np.array_equal(led[: len(ids)], ids) else ids

    def encode_file(self, path: Path) -> Iterator[Part]:
        """Yields one part: the ids of a file and what reading it found."""
        score, findings, census = self._read(path)
        layout = self._lay_out(score)
        yield Part(self._ids(layout), census.account(findings + layout.findings, kept=_KEPT_KINDS))

    def join(self, pieces: Iterable[NoteEvent]) -> Score:
        """Returns a score of one track of piano, or of drums, in which a tick is a millisecond."""
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

    def known(self, prompt: Score) -> Known[Score]:
        """Returns the primer, and which of its instruments are not the one that goes on."""
        kept = played_by(prompt, programs=[] if self.is_drums else [_PIANO], has_drums=self.is_drums)
        return Known(prompt, kept.unknown)

    def gone_on(self, prompt: Score, tokens: Sequence[int], *, name: str, with_prompt: bool = True) -> Score:
        """Returns the primer, note for note, and what goes on from it in its time; or the latter alone."""
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
        return (gone_on if with_prompt else gone_on_alone)(prompt, added, name=name)

    def decoder(self) -> PerformanceDecoder:
        """Returns a decoder that stands at time 0."""
        return PerformanceDecoder()

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> PerformanceGrammar:
        """Returns an automaton that stands after `begin` and writes the controls that are asked for."""
        controls = self._control_ids()
        choosers = controls.choosers(asked, levels=self.densities)
        return PerformanceGrammar(self.vocab, controls, choosers=choosers, longest_note=self.longest_note)

    def known_values(self, control: str) -> tuple[float | str, ...]:
        """Returns what may be asked of a control: notes a second, ascending, or keys."""
        return self._control_ids().known_values(control, self.densities)

    def variation(self, *, is_augmented: bool) -> Variation | None:
        """Returns what draws how a segment is read; None if nothing can vary."""
        if not is_augmented and not self.controls:
            return None
        return PerformanceVariation(
            len(self.vocab),
            self._control_ids(),
            is_augmented=is_augmented,
            is_drums=self.is_drums,
            pitches=self.pitches,
        )

    def neutral(self) -> NDArray[np.int64] | None:
        """Returns (V,) the table that reads every control as `any`; None without controls."""
        return self._control_ids().neutral(len(self.vocab))

    def units(self) -> NDArray[np.int64]:
        """Returns (V,) how many notes each id completes: 1 for a NoteOn."""
        units = np.zeros(len(self.vocab), dtype=np.int64)
        units[NOTE_ON:NOTE_OFF] = 1
        return units

    def _control_ids(self) -> ControlIds:
        return ControlIds(self.controls, CONTROL)

    def _ids(self, layout: PerformanceLayout) -> IdArray:
        return with_control_ids(layout_ids(layout), layout, self._control_ids())

    def _read(self, path: Path) -> Reading:
        reading = read_midi_events(path)
        if not any(track.is_drum == self.is_drums for track in reading.score.tracks):
            what = "only pitched notes, for a model of drums" if self.is_drums else "only drums"
            raise MidiError(f"{path}: {what} ({reading.score.num_notes} notes)")
        return reading

    def _lay_out(self, score: Score) -> PerformanceLayout:
        return lay_out_performance(score, is_drums=self.is_drums)
