"""Normal forms of a text that is read in parts."""

import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec
from gen.codecs.text.files import CHUNK_BYTES, read_text, text_parts
from gen.codecs.text.forms import MIXED, Form, MixedForms, Normaliser
from gen.config import Reading
from gen.corpus.prepare import prepare
from gen.errors import CheckpointError, SettingError

NFC, NFD = "caf\u00e9", "cafe\u0301"
# Letters, marks of several classes, parts of Hangul, kana with marks of both widths, what decomposes by itself.
AWKWARD = (
    "ae\u00e9\u0301\u0316\u0323\u0327\n\u1100\u1161\u11a8\uac00\u304b\u3099\uff76\uff9e\u212b\u0958\ufb01\u09c7\u09be"
)


def in_parts(text: str, form: Form, size: int) -> str:
    normaliser = Normaliser(form)
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    return "".join(normaliser.push(part, is_last=False)[1] for part in parts) + normaliser.push("", is_last=True)[1]


@given(st.text(alphabet=AWKWARD, max_size=40) | st.text(max_size=40), st.integers(1, 7))
def test_parts_normalised_are_the_whole_normalised(text: str, size: int) -> None:
    for form in ("NFC", "NFD", "NFKC"):
        assert in_parts(text, form, size) == unicodedata.normalize(form, text)


def test_no_character_that_may_begin_a_part_joins_the_one_before_it() -> None:
    joined = [
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.decomposition(chr(code))[:1] not in ("", "<")
    ]
    for character in joined:
        if len(parts := unicodedata.normalize("NFD", character)) > 1:
            assert in_parts(parts, "NFC", 1) == unicodedata.normalize("NFC", parts)


@given(st.text(alphabet=AWKWARD, max_size=30), st.integers(0, 8))
def test_a_file_is_normalised_across_the_borders_of_its_parts(
    tmp_path_factory: pytest.TempPathFactory, text: str, shift: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "forms.txt"
    whole = "x" * (CHUNK_BYTES - shift) + text + "y" * CHUNK_BYTES
    path.write_bytes(whole.encode())
    for normalize, form in (("nfc", "NFC"), ("nfkc", "NFKC")):
        read = read_text(path, Reading(normalize=normalize))  # type: ignore[arg-type]
        assert read == unicodedata.normalize(form, whole)  # type: ignore[arg-type]


def test_what_is_normalised_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{NFD} {NFC} \ufb01", encoding="utf-8")
    (part,) = text_parts(path, Reading(normalize="nfkc"))
    assert part.text == f"{NFC} {NFC} fi"
    assert part.findings == {"characters changed by --normalize nfkc": 3}  # e, its mark, and the ligature


def test_mixed_forms_are_counted_wherever_the_parts_are_cut() -> None:
    text = f"{NFC} {NFD} o\u0302 {NFD}"
    for cut in range(len(text)):
        forms = MixedForms("".join(sorted(set(text))))
        found = [forms.push(text[:cut]), forms.push(text[cut:]), forms.push("", is_last=True)]
        assert sum(part.get(MIXED, 0) for part in found) == 2  # the o with its mark stands in one form only


def test_a_corpus_in_one_form_has_no_mixed_forms(tmp_path: Path) -> None:
    for name, text in (("nfc", NFC), ("nfd", NFD), ("mixed", NFC + NFD)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        findings = prepare([str(tmp_path / name)]).report.findings
        assert dict(findings) == ({MIXED: 1} if name == "mixed" else {})


@pytest.mark.parametrize("codec", [CharCodec.build(NFC), ByteCodec()])
def test_the_form_is_kept_with_the_codec_and_prompts_are_brought_into_it(
    codec: CharCodec | ByteCodec, tmp_path: Path
) -> None:
    assert "normalize" not in codec.spec()
    (tmp_path / "a.txt").write_text(NFD, encoding="utf-8")
    store = prepare([str(tmp_path / "a.txt")], codec=codec.name, reading=Reading(normalize="nfc"))
    assert store.codec_spec["normalize"] == "nfc"
    normalising = type(codec).from_spec(store.codec_spec)
    assert normalising.encode(NFD).tolist() == normalising.encode(NFC).tolist() == store.ids.tolist()
    again = prepare([str(tmp_path / "a.txt")], codec=normalising)
    assert again.ids.tolist() == store.ids.tolist()


def test_a_spec_with_an_unknown_form_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"no normal form of Unicode \(nfx\)"):
        CharCodec.from_spec({"alphabet": "a", "normalize": "nfx"})


@pytest.mark.parametrize(("known", "given", "form"), [(NFC, NFD, "NFC"), (NFD, NFC, "NFD"), (NFC, NFC, None)])
def test_a_prompt_finds_the_alphabet_in_another_form(known: str, given: str, form: str | None) -> None:
    codec = CharCodec.build(known)
    assert codec.in_known_form(given) == (known, form)
    assert codec.encode(given).tolist() == codec.encode(known).tolist()


def test_a_prompt_that_no_form_makes_known_is_an_error_that_shows_it_as_it_is() -> None:
    with pytest.raises(SettingError, match=r"U\+0301"):
        CharCodec.build("cafe").encode(NFD)
