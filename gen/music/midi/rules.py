"""The rules for reading MIDI: what is refused, what is repaired, and what is counted.

Each rule that applied to a file is counted under the name in quotes; `REPAIRS` are the names of those that repair
something. The layouts of codecs (`gen.codecs.performance.layout`, `gen.codecs.beat.layout`) have rules of their own.

Refused, with the reason (`gen.music.midi.chunks`, `gen.music.midi.read`): a file that is not regular, has no `MThd` or
an incomplete header, is larger than `MAX_BYTES`, has a type above 2, division 0 or an impossible SMPTE division, has no
track or no valid note, or has a last note after `MAX_SECONDS`. In the preparation of a corpus, also a file that exceeds
the limits of time and memory (`gen.corpus.resource_limits`).

Damage, up to which everything is read (`gen.music.midi.chunks`, `gen.music.midi.events`, `gen.music.midi.read`):
- The MIDI file inside a RIFF of the form RMID is read; the lengths in the RIFF are used only if they are possible. Up
  to 4 KiB of other bytes before a header of length 6 are skipped: "bytes before the header".
- Of a header longer than 6 bytes the first six are read. A number of tracks of 0 is ignored.
- Chunks of unknown names, bytes between chunks, tracks beyond the number in the header or beyond `MAX_TRACKS` are
  skipped: "chunks skipped". Bytes after the last chunk: "bytes after the end".
- If a file has fewer tracks than its header says, these are read: "tracks missing".
- A track whose length leads neither to another chunk nor to the end of the file ends at an end-of-track event: at the
  next one before another track, or at the last one of the file. Without one it ends at its length or with the file:
  "wrong lengths of tracks".
- A track is read up to the first of these: an event that goes beyond the end of the track, a status that MIDI does not
  define, a data byte without a status before it, a number of over 4096 bytes, a time after `MAX_TICKS`: "tracks cut
  short". The contents of events that are not used are not checked.
- Data bytes over 127 are read as 127: "files with data bytes over 127".
- A tempo, time or key signature with too few bytes is left out: "meta events too short". So are a tempo of 0: "tempos
  of 0"; a metre of no notes or of notes shorter than 1/`MAX_DENOMINATOR`: "impossible metres"; a key of more than 7
  sharps or flats, or of a mode other than major and minor: "impossible keys".
- A file of type 2 holds independent patterns. Only the first pattern with a note-on is read: "patterns left out".
- Time in SMPTE frames is converted to beats of one second, or of 1.001 s at 29.97 frames per second, which is exact.
  The tempo events of such a file mean nothing by the standard and are left out: "files in SMPTE time", no repair.

Channels:
- A channel is one of the sixteen of a port (`gen.music.midi.devices`). Ports beyond `MAX_PORTS` count as the last; a
  file with notes in more than `MAX_VOICES` combinations of track and channel is refused.
- Channel 10 of each port plays drums, and so do others if the file says so (`gen.music.midi.parts`).
- Bends, controllers, pressures, texts and other events are counted by kind (`gen.music.midi.census`). If a codec does
  not use them: "pitch bends left out" and so on, no repair. Of two tempos, time signatures or key signatures at one
  tick the earlier is left out, and so is a program change without a pitched note before the next one.

Repaired while reading (`gen.music.midi.pairing`):
- A note-off ends the oldest sounding note of its track, channel and pitch. If there is none: "stray note-offs", no
  repair, because nothing is lost.
- A note without a note-off lasts until the next note-on of that pitch, until the end of its track, or for one beat,
  whichever is first, but at least until the end of the notes of that pitch before it: "notes without an end".
- A note that ends at the tick where it starts lasts one tick: "notes of length 0".

Sustain pedal (`gen.music.pedal`): it acts on a channel in all tracks. A pedal that is never lifted goes up at the last
note-off of its channel. A note whose note-off falls in a span [down, up) sounds until the pedal goes up or its pitch is
struck again, whichever is first: "notes held by the pedal".
"""

from gen.music.midi.protocol import CHANNELS
from gen.music.score import DENOMINATORS

VERSION = 3  # of these rules and those of the layouts of codecs; stores made by another version are made anew
MAX_BYTES = 8 << 20  # events and notes take up to a hundred times the memory; few files are larger than 1 MiB
MAX_TRACKS = 4096  # each track costs up to 16 voices; real files have some dozens
MAX_PORTS = 256  # the numbers that a port prefix can hold
MAX_VOICES = CHANNELS * MAX_TRACKS  # pairs of track and channel with notes
MAX_TICKS = 2**31 - 1  # at more, other readers overflow to negative times
MAX_SECONDS = 24 * 3600
MAX_DENOMINATOR = DENOMINATORS[-1]

NOTES = "notes"
CHUNKS_SKIPPED = "chunks skipped"
BYTES_AFTER_END = "bytes after the end"
BYTES_BEFORE_HEADER = "bytes before the header"
TRACKS_MISSING = "tracks missing"
LENGTHS_WRONG = "wrong lengths of tracks"
TRACKS_CUT = "tracks cut short"
METAS_LEFT_OUT = "meta events too short"
TEMPOS_LEFT_OUT = "tempos of 0"
METRES_LEFT_OUT = "impossible metres"
KEYS_LEFT_OUT = "impossible keys"
PATTERNS_LEFT_OUT = "patterns left out"
SMPTE_TIME = "files in SMPTE time"
DATA_CLIPPED = "files with data bytes over 127"
STRAY_OFFS = "stray note-offs"
WITHOUT_END = "notes without an end"
LENGTH_0 = "notes of length 0"
PEDALLED = "notes held by the pedal"
DRUMS_LEFT_OUT = "drum notes left out"
PITCHED_LEFT_OUT = "pitched notes left out"
PROGRAMS_MERGED = "programs merged"
UNISONS = "unisons joined"
OVERLAPS = "overlapping notes cut"
VOICE_CUTS = "notes cut by another voice"
SILENCES = "silences cut"

REPAIRS = frozenset(
    {
        CHUNKS_SKIPPED,
        BYTES_AFTER_END,
        BYTES_BEFORE_HEADER,
        TRACKS_MISSING,
        LENGTHS_WRONG,
        TRACKS_CUT,
        METAS_LEFT_OUT,
        TEMPOS_LEFT_OUT,
        METRES_LEFT_OUT,
        KEYS_LEFT_OUT,
        PATTERNS_LEFT_OUT,
        DATA_CLIPPED,
        WITHOUT_END,
        LENGTH_0,
        OVERLAPS,
        SILENCES,
    }
)
