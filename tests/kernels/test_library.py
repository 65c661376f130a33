"""The choice of kernels, as a user meets it: commands with another compiler, cache or processor than the usual."""

import ctypes
import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from gen.errors import SettingError
from gen.kernels import library as kernels
from gen.kernels.compiling import find_compiler
from gen.kernels.variants import usable_variants, variants_of

USABLE = [variant.name for variant in usable_variants()]
needs_compiler = pytest.mark.skipif(not USABLE or find_compiler() is None, reason="no C compiler, or no kernels for it")
TINY = ("--steps", "2", "--hidden", "16", "--layers", "1", "--embedding", "4", "--batch-size", "4", "--bptt", "16")
SECONDS_TO_COMPILE = 4.0  # of the slow compiler, beside what it takes anyway


@pytest.fixture(autouse=True)
def chosen_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, no compiler tried yet, and GEN_KERNELS not set; afterwards the usual library again."""
    monkeypatch.setenv("GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(kernels.SWITCH, raising=False)
    monkeypatch.setattr(kernels, "kernels", kernels.kernels.__wrapped__)  # as every new process chooses


def a_compiler(folder: Path, script: str) -> str:
    """Returns the path of a compiler that is a shell script; it adds a line to `calls` beside it when it is called."""
    path = folder / "some-cc"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] || echo >> "{folder}/calls"\n{script}\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def num_calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines()) if (folder / "calls").exists() else 0


def run_gen(*arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gen", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, check=False)


@needs_compiler
def test_the_best_that_the_processor_can_run_is_compiled_once_and_then_found(tmp_path: Path) -> None:
    assert isinstance(kernels.library(), ctypes.CDLL)
    (file,) = tmp_path.rglob("*.so")
    assert file.name.startswith(f"{USABLE[0]}-")
    made = file.stat().st_mtime_ns
    assert kernels.library() is not None
    assert file.stat().st_mtime_ns == made
    assert re.fullmatch(rf"{USABLE[0]}, compiled at first use with \S+ [\d.]+", kernels.serving())


@needs_compiler
@pytest.mark.parametrize("name", USABLE)
def test_the_switch_holds_the_kernels_to_any_variant_of_the_processor(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(kernels.SWITCH, name)
    assert kernels.kernels().variant == name
    assert [file.name.rpartition("-")[0] for file in tmp_path.rglob("*.so")] == [name]
    assert kernels.has_bf16() == (name in ("avx512", "neon-bf16"))


@needs_compiler
def test_a_damaged_library_in_the_cache_is_compiled_anew(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from gen.kernels.library import library; library()"]
    subprocess.run(command, check=True)  # in another process: this one would keep the sound library
    (file,) = tmp_path.rglob("*.so")
    whole = file.stat().st_size
    file.write_bytes(b"not a library")
    assert kernels.library() is not None
    assert file.stat().st_size == whole


@needs_compiler
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9])
def test_the_first_part_of_a_library_in_the_cache_is_not_loaded(kept: float, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from gen.kernels.library import library; assert library() is not None"]
    subprocess.run(command, check=True)
    (file,) = tmp_path.rglob("*.so")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept * len(whole))])
    assert subprocess.run(command, check=False).returncode == 0  # in another process: loading it would end this one
    assert file.stat().st_size == len(whole)


def test_off_means_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernels.SWITCH, "off")
    assert kernels.library() is None
    assert kernels.serving() == "torch's operations, since GEN_KERNELS is off"


def test_an_older_processor_has_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gen.kernels.variants._features", lambda: frozenset({"sse2", "fp"}))
    assert (kernels.library(), kernels.has_bf16()) == (None, False)
    assert "there are no kernels for this processor" in kernels.serving()


def test_a_processor_without_bf16_takes_the_next_best(monkeypatch: pytest.MonkeyPatch) -> None:
    features = {"fma", "avx2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "asimd", "asimddp"}
    monkeypatch.setattr("gen.kernels.variants._features", lambda: frozenset(features))
    assert usable_variants()[0].name in ("avx512-vnni", "neon-dotprod")
    assert not kernels.has_bf16()


def test_without_a_compiler_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert kernels.library() is None
    assert kernels.serving() == "torch's operations, since no C compiler was found (no-such-compiler)"


def test_a_compiler_with_an_open_quotation_mark_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "'cc")
    assert kernels.library() is None
    assert kernels.serving() == "torch's operations, since no C compiler was found ('cc)"


@needs_compiler
def test_a_compiler_beside_the_user_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is called in the folder of the sources, where a relative path would lead to nothing."""
    a_compiler(tmp_path, 'exec cc "$@"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC", "./some-cc")
    assert kernels.library() is not None


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'window.c: In function x:' >&2; echo 'window.c:3:1: error: no' >&2; exit 1", "window.c:3:1: error: no"),
        ("exit 3", "exit status 3"),
        ("kill -9 $$", "exit status -9"),
    ],
)
def test_a_compiler_that_fails_means_no_kernels_and_is_not_asked_again(
    script: str, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", a_compiler(tmp_path, script))
    for _ in range(2):
        assert kernels.library() is None
        assert kernels.serving() == f"torch's operations, since the compiler failed: {why}"
    tried = num_calls(tmp_path)
    assert not list(tmp_path.rglob("*.so"))
    for note in tmp_path.rglob("*.failed"):
        os.utime(note, (1, 1))  # long ago
    assert kernels.library() is None
    assert num_calls(tmp_path) == 2 * tried


@needs_compiler
def test_a_compiler_that_is_mended_is_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", a_compiler(tmp_path, "exit 1"))
    assert kernels.library() is None
    a_compiler(tmp_path, 'exec cc "$@"')
    assert kernels.library() is not None


def test_a_compiler_that_hangs_means_no_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gen.kernels.compiling.SECONDS_TO_BUILD", 0.05)
    monkeypatch.setenv("CC", a_compiler(tmp_path, "exec sleep 60"))
    assert kernels.library() is None
    assert kernels.serving() == "torch's operations, since the compiler failed: it took more than 0.05 s"


def test_what_cannot_be_loaded_means_no_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = 'while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"'
    monkeypatch.setenv("CC", a_compiler(tmp_path, script))
    for _ in range(2):
        assert kernels.library() is None
        assert "what the compiler made cannot be loaded" in kernels.serving()
    assert num_calls(tmp_path) == len(USABLE)


@needs_compiler
@pytest.mark.skipif(len(USABLE) < 2, reason="the processor can run one variant only")
def test_a_compiler_too_old_for_the_best_builds_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    best, second = usable_variants()[:2]
    flag = next(flag for flag in best.flags if flag not in second.flags)
    script = f'for a in "$@"; do [ "$a" = {flag} ] && echo "error: unknown {flag}" >&2 && exit 1; done; exec cc "$@"'
    monkeypatch.setenv("CC", a_compiler(tmp_path, script))
    assert kernels.kernels().variant == USABLE[1]
    assert kernels.serving().endswith(f"(the compiler failed: error: unknown {flag})")


@needs_compiler
def test_a_compiler_without_the_optional_flags_builds_without_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = 'for a in "$@"; do case "$a" in -mamx*) exit 1;; esac; done; exec cc "$@"'
    monkeypatch.setenv("CC", a_compiler(tmp_path, script))
    assert kernels.kernels().variant == USABLE[0]


def test_a_cache_that_cannot_be_written_means_no_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("CC", a_compiler(tmp_path, "exit 1"))
    assert kernels.library() is None
    assert num_calls(tmp_path) == 0


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_a_better_variant_needs_all_that_the_next_one_needs(architecture: str) -> None:
    variants = variants_of(architecture)
    assert all(better.needs > worse.needs for better, worse in pairwise(variants))


def test_a_variant_that_does_not_exist_is_one_line_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the quick brown fox\n" * 99, encoding="utf-8")
    done = run_gen("train", tmp_path / "a.txt", "--run", "a", "--out", tmp_path, *TINY, GEN_KERNELS="mmx")
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert "error: GEN_KERNELS: unknown (mmx)" in done.stderr


def test_a_variant_of_another_processor_is_a_setting_error(monkeypatch: pytest.MonkeyPatch) -> None:
    other = "neon" if "neon" not in USABLE else "avx2"
    monkeypatch.setenv(kernels.SWITCH, other)
    with pytest.raises(SettingError, match=rf"^GEN_KERNELS: not for this processor \({other}\)$"):
        kernels.library()


@needs_compiler
def test_compiling_counts_neither_as_training_nor_as_sampling(tmp_path: Path) -> None:
    slow = a_compiler(tmp_path, f'sleep {SECONDS_TO_COMPILE}; exec cc "$@"')
    (tmp_path / "a.txt").write_text("the quick brown fox\n" * 99, encoding="utf-8")
    trained = run_gen("train", tmp_path / "a.txt", "--run", "a", "--out", tmp_path, *TINY, "--json", CC=slow)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["seconds"] < SECONDS_TO_COMPILE
    for file in tmp_path.rglob("*.so"):
        file.unlink()
    sampled = run_gen("sample", tmp_path / "a", "--length", "20", "--stats", CC=slow)
    found = re.search(r"([\d.]+) s, ", sampled.stderr)
    assert found is not None, sampled.stderr
    assert float(found[1]) < SECONDS_TO_COMPILE
    assert num_calls(tmp_path) == 2
