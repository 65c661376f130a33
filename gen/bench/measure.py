"""Measures the speed of training and sampling, and compares it with plain torch and with the limits of the machine.

Contenders take turns in several rounds. A rate is the median of the rounds, a limit the best of them. Weights and text
are random, from a fixed seed, because speed does not depend on what a model has learnt. Nothing is written to disk.
"""

from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from types import MappingProxyType

import torch

from gen.bench.counting import stepping_bytes, stepping_flops, training_flops
from gen.bench.limits import product_limit, reading_limit
from gen.bench.machine import machine, peak_bytes, peak_device_bytes
from gen.bench.ours import draw_ours, new_model, step_ours, train_ours
from gen.bench.peer import step_peer, train_peer
from gen.bench.plan import Plan
from gen.bench.report import Memory, Report, Sampling, Training
from gen.bench.stopwatch import ROUNDS, Contender, Stopwatch, num_threads
from gen.config import to_json
from gen.kernels.stepping import has_step_kernel
from gen.models.stepper import PackedStepper, StepPrecision

TRAINING_TURNS = 3  # in a round
SAMPLING_TURNS: Mapping[StepPrecision, int] = MappingProxyType({"fp32": 5, "int8": 4})

OnTurn = Callable[[str, int, int], None]  # the current measurement, the number of measurements done, and of all


def num_measurements(plan: Plan) -> int:
    """Returns the number of measurements of `measure`, each of which takes a little more than `plan.seconds`."""
    return 1 + ROUNDS * (TRAINING_TURNS + sum(SAMPLING_TURNS[p] for p in _precisions(plan)) * len(plan.rows))


def measure(plan: Plan, on_turn: OnTurn) -> Report:
    """Measures everything; restores the number of torch's threads."""
    total, done = num_measurements(plan), 0

    def count(part: str, contender: str) -> None:
        nonlocal done
        on_turn(f"{part}: {contender}", done, total)
        done += 1

    def watch(part: str) -> Stopwatch:
        return Stopwatch(plan.device, plan.seconds, partial(count, part))

    with num_threads(plan.threads):
        ours = Contender("gen", (train_ours(plan),))
        watch("training").turn(ours)  # measures memory before other contenders use any, and warms up
        process_peak, device_peak = peak_bytes(), peak_device_bytes(plan.device)
        training = _training(plan, ours, watch("training"))
        model = new_model(plan)
        steppers = [PackedStepper(model, precision) for precision in _precisions(plan)]
        return Report(
            run=plan.run,
            machine=machine(plan.device),
            model=to_json(plan.model) | {"parameters": model.num_parameters()},
            rounds=ROUNDS,
            seconds=plan.seconds,
            training=training,
            sampling=tuple(
                _sampling(plan, stepper, rows, watch(f"sampling {rows} in {stepper.precision}"))
                for rows in plan.rows
                for stepper in steppers
            ),
            memory=Memory(
                process_bytes=process_peak,
                device_bytes=device_peak,
                parameter_bytes=sum(parameter.nbytes for parameter in model.parameters()),
            ),
        )


def _training(plan: Plan, ours: Contender, watch: Stopwatch) -> Training:
    peer = Contender("torch", (train_peer(plan),))
    product = product_limit(plan.device, plan.training.precision, may_use_tf32=True)
    rates, peer_rates, products = watch.rounds((ours, peer, product))
    return Training(
        batch_size=plan.training.batch_size,
        bptt=plan.training.bptt,
        precision=plan.training.precision,
        threads=torch.get_num_threads(),
        tokens_per_second=median(rates),
        peer_tokens_per_second=median(peer_rates),
        flops_per_token=training_flops(plan.model),
        limit_gflops=max(products) / 1e9,
    )


def _sampling(plan: Plan, stepper: PackedStepper, rows: int, watch: Stopwatch) -> Sampling:
    weight_bytes = stepping_bytes(plan.model, stepper.precision)
    contenders = [
        Contender("stepper", (step_ours(stepper, rows),)),
        Contender("generate", (draw_ours(plan, stepper, rows),)),
        Contender("torch", (step_peer(plan, rows),)),
        reading_limit(plan.device, weight_bytes),
    ]
    if stepper.precision == "fp32":
        contenders.append(product_limit(plan.device, "fp32"))
    is_single = plan.threads is None and rows < plan.few_rows and not has_step_kernel()
    with num_threads(1 if is_single else None):
        rates, drawn_rates, peer_rates, readings, *products = watch.rounds(contenders)
        threads = torch.get_num_threads()
    return Sampling(
        rows=rows,
        precision=stepper.precision,
        threads=threads,
        tokens_per_second=median(rates),
        generate_tokens_per_second=median(drawn_rates),
        peer_tokens_per_second=median(peer_rates),
        weight_bytes=weight_bytes,
        limit_gigabytes_per_second=max(readings) / 1e9,
        flops_per_token=stepping_flops(plan.model),
        limit_gflops=max(products[0]) / 1e9 if products else None,
    )


def _precisions(plan: Plan) -> tuple[StepPrecision, ...]:
    """Returns the precisions of the stepper on this device."""
    return ("fp32", "int8") if plan.device.type == "cpu" and has_step_kernel() else ("fp32",)
