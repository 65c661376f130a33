"""Counts of the events that mido reads in a file, by the names of `gen corpus`."""

from collections import Counter

import mido

TYPES = {
    "polytouch": "key pressures",
    "aftertouch": "channel pressures",
    "pitchwheel": "pitch bends",
    "program_change": "program changes",
    "sequence_number": "sequence numbers",
    "text": "texts",
    "copyright": "copyright notices",
    "track_name": "track names",
    "instrument_name": "instrument names",
    "lyrics": "lyrics",
    "marker": "markers",
    "cue_marker": "cue points",
    "device_name": "device names",
    "channel_prefix": "channel prefixes",
    "midi_port": "port prefixes",
    "set_tempo": "tempos",
    "smpte_offset": "SMPTE offsets",
    "time_signature": "time signatures",
    "key_signature": "key signatures",
    "sequencer_specific": "sequencer's own events",
    "sysex": "system exclusive messages",
    "quarter_frame": "other system messages",
    "songpos": "other system messages",
    "song_select": "other system messages",
    "tune_request": "other system messages",
    "clock": "other system messages",
    "start": "other system messages",
    "continue": "other system messages",
    "stop": "other system messages",
    "active_sensing": "other system messages",
}
CONTROLLERS = {
    0: "bank changes",
    1: "modulation changes",
    6: "parameter changes",
    7: "volume changes",
    8: "balance changes",
    10: "pan changes",
    11: "expression changes",
    32: "bank changes",
    33: "modulation changes",
    38: "parameter changes",
    39: "volume changes",
    40: "balance changes",
    42: "pan changes",
    43: "expression changes",
    64: "sustain pedal changes",
    66: "sostenuto pedal changes",
    67: "soft pedal changes",
    69: "hold pedal changes",
    91: "reverb changes",
    93: "chorus changes",
}


def mido_counts(file: mido.MidiFile) -> Counter[str]:
    """Returns the number of events of each kind that mido reads, without note-ons, note-offs and ends of tracks."""
    messages = [message for track in file.tracks for message in track]
    return Counter(kind for kind in map(kind_of, messages) if kind is not None)


def kind_of(message: mido.Message | mido.MetaMessage) -> str | None:
    """Returns the kind of a message; None for a note or the end of a track."""
    if message.type in ("note_on", "note_off", "end_of_track"):
        return None
    if message.type == "control_change":
        number = message.control
        if 96 <= number <= 101:
            return "parameter changes"
        return CONTROLLERS.get(number, "channel mode messages" if number >= 120 else "other controller changes")
    if message.type == "unknown_meta" and message.type_byte == 0x08:
        return "program names"
    return TYPES.get(message.type, "other meta events")
