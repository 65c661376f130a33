"""Names of the instruments, drums and drum kits of General MIDI (General MIDI System Level 1, MMA 1991; kits: GM2)."""

_PROGRAM_NAMES = (
    "acoustic grand piano|bright acoustic piano|electric grand piano|honky-tonk piano|electric piano 1|electric piano 2"
    "|harpsichord|clavinet|celesta|glockenspiel|music box|vibraphone|marimba|xylophone|tubular bells|dulcimer"
    "|drawbar organ|percussive organ|rock organ|church organ|reed organ|accordion|harmonica|bandoneon"
    "|nylon guitar|steel guitar|jazz guitar|clean guitar|muted guitar|overdriven guitar|distortion guitar"
    "|guitar harmonics|acoustic bass|fingered bass|picked bass|fretless bass|slap bass 1|slap bass 2|synth bass 1"
    "|synth bass 2|violin|viola|cello|contrabass|tremolo strings|pizzicato strings|harp|timpani"
    "|string ensemble 1|string ensemble 2|synth strings 1|synth strings 2|choir aahs|voice oohs|synth voice"
    "|orchestra hit|trumpet|trombone|tuba|muted trumpet|french horn|brass section|synth brass 1|synth brass 2"
    "|soprano sax|alto sax|tenor sax|baritone sax|oboe|english horn|bassoon|clarinet"
    "|piccolo|flute|recorder|pan flute|bottle|shakuhachi|whistle|ocarina"
    "|square lead|sawtooth lead|calliope lead|chiff lead|charang lead|voice lead|fifths lead|bass and lead"
    "|new age pad|warm pad|polysynth pad|choir pad|bowed pad|metallic pad|halo pad|sweep pad"
    "|rain|soundtrack|crystal|atmosphere|brightness|goblins|echoes|sci-fi"
    "|sitar|banjo|shamisen|koto|kalimba|bagpipe|fiddle|shanai"
    "|tinkle bell|agogo|steel drums|woodblock|taiko|melodic tom|synth drum|reverse cymbal"
    "|fret noise|breath noise|seashore|bird tweet|telephone|helicopter|applause|gunshot"
)
_FIRST_DRUM = 35
_DRUM_NAMES = (
    "bass drum 2|bass drum|side stick|snare|hand clap|electric snare|low floor tom|closed hi-hat|high floor tom"
    "|pedal hi-hat|low tom|open hi-hat|low-mid tom|high-mid tom|crash cymbal|high tom|ride cymbal|china cymbal"
    "|ride bell|tambourine|splash cymbal|cowbell|crash cymbal 2|vibraslap|ride cymbal 2|high bongo|low bongo"
    "|muted conga|open conga|low conga|high timbale|low timbale|high agogo|low agogo|cabasa|maracas|short whistle"
    "|long whistle|short guiro|long guiro|claves|high woodblock|low woodblock|muted cuica|open cuica"
    "|muted triangle|open triangle"
)
_PROGRAMS = _PROGRAM_NAMES.split("|")
_DRUMS = _DRUM_NAMES.split("|")
_ROLAND = {22: "hi-hat edge", 26: "open hi-hat edge"}  # of Roland's V-Drums, on which much drum data was recorded
_PITCHES_OF_GROUP = {
    "kick": (35, 36),
    "snare": (38, 40),
    "rim": (37, 39),
    "hat": (22, 42, 44),
    "open": (26, 46),
    "tom": (41, 43, 45, 47, 48, 50, 58),
    "crash": (49, 52, 55, 57),
    "ride": (51, 53, 59),
    "other": (),
}
DRUM_GROUPS = tuple(_PITCHES_OF_GROUP)
_GROUP_OF_PITCH = {pitch: group for group, pitches in _PITCHES_OF_GROUP.items() for pitch in pitches}
_KITS = {8: "room", 16: "power", 24: "electronic", 25: "analogue", 32: "jazz", 40: "brush", 48: "orchestra"}


def instrument_name(program: int, is_drum: bool = False) -> str:
    """Returns the name of a General MIDI program 0..127, or of the drum kit that it selects on the drum channel."""
    if is_drum:
        return f"{_KITS[program]} drums" if program in _KITS else "drums"
    return _PROGRAMS[program]


def drum_name(pitch: int) -> str:
    """Returns the name of the drum that a pitch 0..127 plays; its number if no standard names it."""
    index = pitch - _FIRST_DRUM
    return _DRUMS[index] if 0 <= index < len(_DRUMS) else _ROLAND.get(pitch, f"drum {pitch}")


def drum_group(pitch: int) -> str:
    """Returns the one of `DRUM_GROUPS` that the drum of a pitch belongs to."""
    return _GROUP_OF_PITCH.get(pitch, "other")
