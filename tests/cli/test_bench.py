import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from gen.bench.measure import measure
from gen.bench.plan import plan_of_sizes
from gen.cli.bench import table
from gen.kernels.stepping import has_step_kernel
from tests.cli.conftest import Gen, spawn

QUICK = ("--seconds", "0.001", "--num-samples", "1", "--num-samples", "3", "--device", "cpu")
SMALL = ("--hidden", "8", "--embedding", "4", "--batch-size", "3", "--bptt", "8", "--precision", "fp32")


def test_json_is_one_object_with_every_figure_and_the_machine(gen: Gen) -> None:
    code, out, _ = gen("bench", *QUICK, *SMALL, "--cell", "gru", "--layers", "2", "--vocab", "11", "--json")
    assert (code, len(out.splitlines())) == (0, 1)
    report = json.loads(out)
    assert list(report) == ["run", "machine", "model", "rounds", "seconds", "training", "sampling", "memory"]
    names = {"cpu", "cores", "threads", "device", "variant", "kernels", "gen", "torch", "python"}
    assert names <= report["machine"].keys()
    sizes = [report["model"][name] for name in ("cell", "num_layers", "hidden_size", "embedding_size", "vocab_size")]
    assert sizes == ["gru", 2, 8, 4, 11]
    assert report["model"]["parameters"] * 4 == report["memory"]["parameter_bytes"]
    precisions = ["fp32", "int8"] if has_step_kernel() else ["fp32"]
    assert [(one["rows"], one["precision"]) for one in report["sampling"]] == [
        (n, p) for n in (1, 3) for p in precisions
    ]
    for part in (report["training"], *report["sampling"]):
        assert all(value > 0 for value in part.values() if isinstance(value, float))


def test_training_and_sampling_name_what_they_were_compared_with(gen: Gen) -> None:
    report = json.loads(gen("bench", *QUICK, *SMALL, "--json").out)
    assert list(report["training"]) == [
        *("batch_size", "bptt", "precision", "threads", "tokens_per_second", "peer_tokens_per_second"),
        *("flops_per_token", "limit_gflops", "ratio", "gflops", "share"),
    ]
    assert list(report["sampling"][0]) == [
        *("rows", "precision", "threads", "tokens_per_second", "generate_tokens_per_second", "peer_tokens_per_second"),
        *("weight_bytes", "limit_gigabytes_per_second", "flops_per_token", "limit_gflops"),
        *("ratio", "generate_ratio", "gigabytes_per_second", "bytes_share", "gflops", "flops_share"),
    ]


def test_the_table_is_on_stdout_and_progress_on_stderr(gen: Gen) -> None:
    code, out, err = gen("bench", *QUICK, *SMALL)
    assert code == 0
    words = ("trainer, tokens/s", "generate, tokens/s", "nn.LSTM", "memory", "kernels: ")
    assert [word in out for word in words] == [True] * 5
    count = 1 + 3 * (3 + 2 * (5 + (4 if has_step_kernel() else 0)))  # rounds, contenders, numbers of rows
    assert err.splitlines()[0] == f"{count} measurements of 0.001 s, about 0:00"
    precisions = ["fp32", "int8"] if has_step_kernel() else ["fp32"]
    parts = [f"sampling {rows} in {precision}" for rows in (1, 3) for precision in precisions]
    assert [line.split("  ")[0] for line in err.splitlines()[1:]] == ["training", *parts]


def test_the_table_fits_in_80_columns_however_long_names_and_numbers_are() -> None:
    sizes = {"hidden_size": 8, "embedding_size": 4, "batch_size": 3, "bptt": 8, "precision": "fp32"}
    report = measure(plan_of_sizes(sizes, device="cpu", seconds=0.001, rows=(1, 3)), lambda *_: None)
    training = replace(report.training, batch_size=65536, bptt=1 << 20, tokens_per_second=9e12, limit_gflops=8e9)
    sampling = tuple(replace(rows, rows=65536, threads=1024, tokens_per_second=7e12) for rows in report.sampling)
    machine = report.machine | {"cpu": "A processor of a very long name " * 4}
    wide = replace(report, run="r" * 200, machine=machine, training=training, sampling=sampling)
    for shown in (report, wide):
        assert max(len(line) for line in table(shown).splitlines()) <= 80


def test_a_run_is_measured_in_its_own_sizes(gen: Gen, text_run: Path) -> None:
    report = json.loads(gen("bench", text_run, *QUICK, "--batch-size", "2", "--json").out)
    assert (report["run"], report["model"]["hidden_size"], report["model"]["vocab_size"]) == ("fox", 8, 32)
    assert (report["training"]["batch_size"], report["training"]["bptt"]) == (2, 16)


def test_a_run_that_writes_music_is_sampled_with_its_grammar(gen: Gen, music_run: Path) -> None:
    outcome = gen("bench", music_run / "model.safetensors", *QUICK)
    assert (outcome.code, outcome.out.split(":")[0]) == (0, "tunes")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--hidden", "0"], "--hidden: must be at least 1 (0)"),
        (["--layers", "65"], "--layers: must be at most 64 (65)"),
        (["--vocab", "2"], "--vocab: must be 3 to 16777216 (2)"),
        (["--bptt", "0"], "--bptt: must be at least 1 (0)"),
        (["--batch-size", "0"], "--batch-size: must be at least 1 (0)"),
        (["--seconds", "0"], "--seconds: must be above 0 and at most 600 (0)"),
        (["--seconds", "nan"], "--seconds: must be above 0 and at most 600 (nan)"),
        (["--seconds", "long"], "--seconds: not a number (long)"),
        (["--threads", "0"], "--threads: must be 1 to 1024 (0)"),
        (["--num-samples", "0"], "--num-samples: must be 1 to 65536 (0)"),
        (["--cell", "tree"], "--cell: unknown (tree)"),
        (["--device", "tpu"], "--device: unknown (tpu)"),
        (["--precision", "fp16", "--device", "cpu"], "--precision: fp16 needs a GPU (cpu)"),
        (["no-such-run"], "no-such-run: no such run"),
        (["one", "two"], "gen bench: unexpected argument (two)"),
    ],
)
def test_what_cannot_be_measured_is_one_line_with_exit_code_2(gen: Gen, arguments: list[str], line: str) -> None:
    code, out, err = gen("bench", *arguments)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == f"error: {line}"
    assert [other.partition(":")[0] for other in err.splitlines()[1:]] in ([], ["hint"])


@pytest.mark.parametrize("option", ["--cell=gru", "--layers=2", "--hidden=9", "--embedding=9", "--vocab=9"])
def test_a_run_and_a_size_contradict_each_other(gen: Gen, text_run: Path, option: str) -> None:
    code, out, err = gen("bench", text_run, option)
    assert (code, out) == (2, "")
    name, _, value = option.partition("=")
    assert err.splitlines()[0] == f"error: {name}: {text_run} has its own ({value})"


def test_help_ends_with_two_commands(gen: Gen) -> None:
    lines = gen("bench", "--help").out.rstrip().splitlines()
    assert all(line.strip().startswith("gen bench") for line in lines[-2:])


def test_ctrl_c_ends_with_exit_code_130_and_nothing_on_stdout() -> None:
    process = spawn(["bench", *SMALL, "--seconds", "60", "--json"])
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(b"training"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")
