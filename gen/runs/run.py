"""A trained run that writes: it draws samples and is measured on a corpus."""

import re
from collections.abc import Iterator, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack

from gen.analysis.evaluate import Evaluation, evaluate
from gen.codec import decode
from gen.codecs.envelope import read_envelopes
from gen.codecs.export import Document, check_target, write_document
from gen.codecs.text.char import unknown_of
from gen.config import SamplingConfig
from gen.corpus.encoding import OnProgress
from gen.errors import SettingError
from gen.generation.generate import Sampled, SampledBlock, generate_blocks, one_by_one
from gen.generation.guidance import GuidedStepper
from gen.generation.prompt import Prompt
from gen.generation.sampling import Steering
from gen.generation.stop import stop_at
from gen.models.holding import HeldLM, HeldUnit
from gen.models.recurrent import RecurrentLM, scale_logits_
from gen.models.stepper import PackedStepper, SteppedModel, Stepper, StepPrecision, default_precision
from gen.runs.request import DEFAULT_LENGTH, ControlValues, SampleRequest, SampleSettings, StreamSettings, new_seed
from gen.runs.trained import TrainedRun, as_argument, find_model_file

_ESCAPE = re.compile(r"\\(?:[abefnrtv\\]|[0-7]{1,3}|x[0-9a-fA-F]{1,2}|[uU][0-9a-fA-F]{1,8})")  # of $'...' in a shell

# What is said of runs of other tasks, and the command that they are for.
OTHER_TASKS = {
    "classify": ("classifies, and does not write", "gen classify {} FILE"),
    "tag": ("tags words, and does not write", "gen tag {} FILE"),
    "pairs": ("was trained on pairs", "gen sample {} --prompt SOURCE"),
}


class Run(TrainedRun):
    """A trained model with its codec; made by `load`.

    Args:
        path: of its model.safetensors.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: the file is damaged, foreign or newer.
        SettingError: the run was trained for another task.
    """

    model: RecurrentLM

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        super().__init__(path, device=device)
        if self.config.task != "write":
            what, command = OTHER_TASKS[self.config.task]
            raise SettingError(f"{self.name}: {what}", hint=command.format(as_argument(path)))
        scale_logits_(self.model, self.header.logit_scale)
        self._steppers: dict[StepPrecision, PackedStepper] = {}

    def holding(self, units: Sequence[HeldUnit]) -> "Run":
        """Returns a copy of the run in whose network some units are held at a value. Raises SettingError."""
        other = copy(self)
        other.model, other._steppers = HeldLM(self.model, units), {}
        return other

    def stepper(self, precision: StepPrecision = "fp32") -> PackedStepper:
        """Returns the weights laid out for one token at a time; a second call returns the same stepper.

        Raises SettingError if the precision cannot be had here.
        """
        if precision not in self._steppers:
            self._steppers[precision] = PackedStepper(self.model, precision)
        return self._steppers[precision]

    def request(
        self,
        prompt: Any = None,
        *,
        length: int | None = DEFAULT_LENGTH,
        sampling: SamplingConfig | Steering | None = None,
        seed: int | None = None,
        label: str | None = None,
        num_samples: int = 1,
        precision: StepPrecision | None = None,
        controls: ControlValues | None = None,
        min_length: int = 0,
    ) -> SampleRequest:
        """Returns a request for samples, which `draw` takes. `generate`, `stream` and `sample` have its arguments.

        Args:
            prompt: the text or the Score that a sample continues; None for nothing.
            length: the most tokens beyond the prompt; None for no limit.
            sampling: the choice of a token; or a function that returns it before every token, to steer. At temperature
                1 the network is as sure as it was trained to be, or as its validation part says if that is surer.
            seed: None draws one.
            label: one of `label_names`; None for none.
            num_samples: the number of samples, drawn side by side.
            precision: "fp32"; "fp16", only on a GPU, or "int8", only on a CPU: faster, for a little accuracy, which
                `evaluate` measures. None for fp16 on a CUDA device, else fp32.
            controls: by a name of `codec.controls.names`, its value: one for the whole piece, or points over seconds
                from the start of the piece, a primer included ("0:2 30s:8"), or a function of these seconds. A density
                that the corpus has not becomes the nearest that it has. The samples lean towards the controls
                (gen.generation.guidance), which takes two steps of the model a token.
            min_length: the number of tokens before which a sample does not end by itself.

        Raises:
            SettingError: the label or a control is unknown, or the prompt is of another kind or has an unknown symbol.
            MidiError: the prompt is music that the codec cannot encode.
        """
        return SampleRequest(
            prompt=self.prompt(prompt),
            length=length,
            sampling=sampling or SamplingConfig(),
            seed=new_seed() if seed is None else seed,
            label=self._label_number(label),
            num_samples=num_samples,
            precision=precision or default_precision(self.model.device),
            controls=read_envelopes(controls or {}, self.codec.controls),
            min_length=min_length,
        )

    def draw(self, request: SampleRequest) -> Iterator[Sampled]:
        """Returns the tokens of a request as they are drawn.

        Raises SettingError at once if a setting is out of range, or the precision cannot be had here.
        """
        return one_by_one(self.draw_blocks(request))

    def draw_blocks(self, request: SampleRequest) -> Iterator[SampledBlock]:
        """Returns the tokens of a request as they are drawn, in arrays: less work for the caller of many samples.

        Errors as in `draw`.
        """
        return generate_blocks(
            self._stepper_for(request),
            prompt=request.prompt.ids,
            begin=self.codec.vocab.begin,
            end=self.codec.vocab.end if self.header.can_end else None,
            length=request.length,
            sampling=self._as_sure_as_trained(request.sampling),
            seed=request.seed,
            num_samples=request.num_samples,
            label=request.label,
            min_length=request.min_length,
            new_grammar=partial(self.codec.grammar, request.controls),
        )

    def generate(self, prompt: Any = None, **settings: Unpack[SampleSettings]) -> Iterator[Sampled]:
        """Returns the tokens of samples as they are drawn. Arguments as in `request`, errors as there and in `draw`."""
        return self.draw(self.request(prompt, **settings))

    def stream(
        self,
        prompt: Any = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] | None = None,
        **settings: Unpack[StreamSettings],
    ) -> Iterator[Any]:
        """Returns what one sample adds to its prompt, piece by piece as it is drawn: strings, or note events.

        Arguments as in `request`. A text ends before `stop`, or before the first of several such strings; the prompt
        is not searched for them.
        """
        stops = self.stops((stop,) if isinstance(stop, str) else stop or ())
        sampling = SamplingConfig(temperature, top_k, top_p, min_p, repetition_penalty)
        request = self.request(prompt, sampling=sampling, num_samples=1, **settings)
        pieces = request.prompt.pieces(item.token for item in self.draw(request))
        return stop_at(pieces, stops) if stops else pieces

    def sample(self, prompt: Any = None, **settings: Unpack[SampleSettings]) -> list[Any]:
        """Returns whole samples, texts or Scores: the prompt as it was given, then what was drawn.

        Arguments as in `request`.
        """
        request = self.request(prompt, **settings)
        rows: list[list[int]] = [[] for _ in range(request.num_samples)]
        for block in self.draw_blocks(request):
            for row, tokens, _ in block.samples():
                rows[row] += tokens.tolist()
        return [request.prompt.continued(row, name=self.name) for row in rows]

    def write(self, path: str | Path, sample: Any, *, font: Path | None = None) -> None:
        """Writes a sample: a text as .txt or .json (token ids), a Score also as .mid, .wav, .png or .svg.

        Args:
            path: of the file, whose suffix chooses the format.
            sample: as from `sample`.
            font: a SoundFont for .wav; None takes one that this machine has.

        Raises SettingError if the file cannot be written, or not in this format.
        """
        path = Path(path)
        check_target(path, font=font)
        self._check_kind(sample, f"{path}: {self.name} writes")
        write_document(path, Document(self.codec, sample), font=font)

    def evaluate(
        self,
        corpus: str | Path | Sequence[str | Path] = "valid",
        *,
        context: int | None = None,
        on_progress: OnProgress | None = None,
        precision: StepPrecision = "fp32",
        unknown: Literal["error", "skip"] = "error",
        **reading: Any,
    ) -> Evaluation:
        """Measures the model.

        Args:
            corpus: "valid" or "test" for the run's own, else as in `gen train`.
            context: None for one pass with carried state, N for fresh windows of N tokens.
            on_progress: called with the number of targets that are done, and of all.
            precision: "fp16" and "int8" measure the rounded weights, with which `draw` in that precision works.
            unknown: "skip" leaves out characters that the model lacks, and counts them.
            reading: fields of Reading for a corpus that is not the run's own, such as encoding="latin-1".

        Raises:
            SettingError: int8 cannot be had here, or `reading` is given for the run's own corpus.
            GenError: the corpus cannot be had or has changed, or holds a symbol that the model does not know.
        """
        store, excerpt = self.stored_excerpt(corpus, unknown=unknown, **reading)
        result = evaluate(
            self.measured_model(precision),
            excerpt,
            units=self.codec.units(),
            unit=self.codec.unit,
            context=context,
            on_progress=on_progress,
        )
        return replace(result, unknown=unknown_of(store.report.findings)) if unknown == "skip" else result

    def measured_model(self, precision: StepPrecision = "fp32") -> RecurrentLM | SteppedModel:
        """Returns the model that `evaluate` measures. Raises SettingError if the precision cannot be had."""
        return self.model if precision == "fp32" else SteppedModel(self.model, self.stepper(precision))

    def copied(self) -> "Run":
        """Returns the run with weights of its own; whoever changes them changes no other run and no file."""
        other = copy(self)
        other.model, other._steppers = deepcopy(self.model), {}
        return other

    def prompt(self, whole: Any) -> Prompt:
        """Returns a text or a Score as the model reads it; None for nothing. Raises SettingError or MidiError."""
        if whole is not None:
            self._check_kind(whole, f"prompt: {self.name} goes on from")
        return Prompt.of(self.codec, whole)

    def stops(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Returns stop texts as the model would write them. Raises SettingError if the model cannot write one."""
        if texts and self.codec.kind != "text":
            raise SettingError(f"--stop: only for text models ({self.name} writes {self.codec.unit}s)")
        return tuple(self._stop(text) for text in texts)

    def _check_kind(self, whole: Any, complaint: str) -> None:
        is_text = self.codec.kind == "text"
        if isinstance(whole, str) != is_text:
            wanted = "a text" if is_text else "a Score (gen.load(...).codec.read(path))"
            raise SettingError(f"{complaint} {wanted} ({type(whole).__name__})")

    def _stop(self, text: str) -> str:
        try:
            written: str = decode(self.codec, self.codec.encode(text))
        except SettingError as err:
            escape = _ESCAPE.search(text)
            hint = f"for the character that {escape[0]} stands for, write --stop $'{escape[0]}'" if escape else err.hint
            raise SettingError(f"--stop: {str(err).removeprefix('prompt: ')}", hint=hint) from err
        return written

    def _stepper_for(self, request: SampleRequest) -> Stepper:
        stepper = self.stepper(request.precision)
        controls = self.codec.controls if request.controls else None
        return stepper if controls is None else GuidedStepper(stepper, controls.neutral())

    def _as_sure_as_trained(self, sampling: SamplingConfig | Steering) -> SamplingConfig | Steering:
        """Lowers the temperature if calibration made the network less sure; `gen.analysis.calibrate` says why."""
        factor = min(1.0, self.header.logit_scale)

        def scaled(config: SamplingConfig) -> SamplingConfig:
            return replace(config, temperature=config.temperature * factor)

        return scaled(sampling) if isinstance(sampling, SamplingConfig) else lambda: scaled(sampling())

    def _label_number(self, label: str | None) -> int:
        if label is None:
            return 0
        if label not in self.label_names:
            known = ", ".join(self.label_names) or "it was trained without labels"
            raise SettingError(f"--label: unknown to {self.name} ({label})", hint=f"known: {known}")
        return self.label_names.index(label) + 1


def load(run: str | Path, *, device: str = "auto") -> Run:
    """Loads a run.

    Args:
        run: the name of a folder under checkpoints/, a path to one, or a model.safetensors.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: there is no such run, or its file is damaged, foreign or newer.
    """
    return Run(find_model_file(run), device=device)
