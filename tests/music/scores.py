"""Random scores for property tests."""

from hypothesis import strategies as st

from gen.music.score import KeySignature, Note, PedalSpan, Score, Tempo, TimeSignature, Track

gaps = st.integers(0, 2000)
lengths = st.integers(1, 2000)
latin_names = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=3)


@st.composite
def tracks(draw: st.DrawFn, *, is_drum: bool = False) -> Track:
    """Draws tracks with at least one note, in which no pitch sounds twice at once."""
    notes = []
    for pitch in draw(st.sets(st.integers(0, 127), min_size=1, max_size=5)):
        tick = 0
        for gap, length, velocity in draw(st.lists(st.tuples(gaps, lengths, st.integers(1, 127)), min_size=1)):
            notes.append(Note(tick + gap, length, pitch, velocity))
            tick += gap + length
    spans = []
    tick = 0
    for gap, length in draw(st.lists(st.tuples(gaps, lengths), max_size=3)):
        spans.append(PedalSpan(tick + gap, length))
        tick += gap + length
    return Track(tuple(sorted(notes)), draw(st.integers(0, 127)), is_drum, draw(latin_names), tuple(spans))


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Draws scores with one to three pitched tracks, perhaps drums, and a tempo map that starts at 0."""
    drums = draw(st.lists(tracks(is_drum=True), max_size=1))
    changes = sorted(draw(st.sets(st.integers(1, 9000), max_size=4)) | {0})
    return Score(
        (*draw(st.lists(tracks(), min_size=1, max_size=3)), *drums),
        ticks_per_beat=draw(st.integers(24, 1000)),
        tempos=tuple(Tempo(tick, draw(st.integers(100_000, 2_000_000))) for tick in changes),
        time_signatures=(TimeSignature(0, draw(st.integers(1, 12)), 2 ** draw(st.integers(0, 4))),),
        key_signatures=(KeySignature(draw(gaps), draw(st.sampled_from(("C", "F#m", "Bb")))),),
    )
