"""What an export must pass. Each gate compares one measured value with one limit.

The first gate that does not hold stops the export with its reason; those that hold are kept in
``model_card.json``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from frugalfl.errors import ExportError
from frugalfl.metrics import Measure, words

#: TFLite-Micro and LiteRT's reference kernels may differ by this many steps ...
MAX_LSB = {"int8": 2, "int16": 3}
#: ... or by more, if that costs no more than so much signal-to-noise ratio (dB).
MAX_LOST_DB = 0.5
#: The float file may differ from its model by this share of the largest output.
MAX_FLOAT_ERROR = 1e-3
#: Least signal-to-noise ratio of the integer outputs against the float ones (dB): noise of a
#: hundredth of the signal. Five small networks had 30 to 42 dB with ranges from 200 rows, 19 to
#: 30 dB from 8 rows, and 11 to 22 dB with a quantizer that took its ranges wrongly.
MIN_SQNR_DB = 20.0
_TENSOR_TYPES = ("int8", "int16")


@dataclass(frozen=True)
class Gate:
    """One condition and what was measured.

    Attributes:
        name: What was measured.
        value: What it was; None if this host cannot measure it.
        limit: What it was held against.
        unit: Of both; empty for counts and words.
        reason: Why the gate does not hold and what to do, one line; None if it holds.
    """

    name: str
    value: float | str | None
    limit: float | str
    unit: str = ""
    reason: str | None = None

    def check(self) -> None:
        """Go on, or stop the export.

        Raises:
            ExportError: The gate does not hold.
        """
        if self.reason is not None:
            raise ExportError(self.reason)


def reasons(gates: Iterable[Gate]) -> list[str]:
    """Return why those gates that do not hold do not."""
    return [gate.reason for gate in gates if gate.reason is not None]


def integer_tensors(input_type: str, output_type: str) -> Gate:
    """Integers go in and come out, so that firmware needs no float code around the model."""
    ends = (("input", input_type), ("output", output_type))
    wrong = next((end for end in ends if end[1] not in _TENSOR_TYPES), None)
    reason = wrong and f"the model's {wrong[0]} is {wrong[1]}, not int8; quantize it first"
    return Gate("input, output", f"{input_type}, {output_type}", "int8 or int16", "", reason)


def known_operators(operators: Sequence[str], allowed: Collection[str]) -> Gate:
    """The microcontroller has a kernel for every operator."""
    missing = sorted(set(operators) - set(allowed))
    reason = (
        f"TFLite-Micro has no kernel for {', '.join(missing)}; "
        "write it with other layers, as docs/authoring.md shows"
    )
    return Gate("operators without a kernel", len(missing), 0, "", reason if missing else None)


def float_operators(operators: Sequence[str], target: str) -> Gate:
    """A core without float hardware computes in integers only."""
    names = ", ".join(sorted(set(operators)))
    reason = (
        f"{names} would compute in float32, and {target} has no hardware for it; "
        "use a layer that stays int8, such as ReLU"
    )
    return Gate("operators in float32", len(operators), 0, "", reason if operators else None)


def conversion(error: float, framework: str) -> Gate:
    """The float file computes what the model that was converted does.

    Args:
        error: Largest difference of an output, as a share of the largest output.
        framework: What that model was written in.
    """
    reason = (
        f"converted, the float model is off by {error:.2g} of its largest output "
        f"(limit {MAX_FLOAT_ERROR:.2g})"
    )
    holds = error <= MAX_FLOAT_ERROR
    return Gate(
        f"float file against {framework}", error, MAX_FLOAT_ERROR, "", None if holds else reason
    )


def same_steps(max_lsb: int | None, lost_db: float | None, activations: str) -> Gate:
    """TFLite-Micro computes what LiteRT's reference kernels do.

    The two round sums differently, so a step now and then is expected, and a layer with large
    weights turns one step of its input into several. Where more than the limit is all that, neither
    is nearer to the float model.

    Args:
        max_lsb: Largest difference of an output, integer steps; None if it does not run here.
        lost_db: How much lower TFLite-Micro's signal-to-noise ratio is (dB); None likewise.
        activations: What the steps are of: ``int8`` or ``int16``.
    """
    limit, reason = MAX_LSB[activations], None
    if max_lsb is not None and lost_db is not None and max_lsb > limit and lost_db > MAX_LOST_DB:
        reason = (
            f"TFLite-Micro is {max_lsb} {activations} steps off LiteRT's reference kernels "
            f"(limit {limit}), with {lost_db:.1f} dB more noise; a microcontroller would compute "
            "something else"
        )
    return Gate("TFLite-Micro against LiteRT", max_lsb, limit, "LSB", reason)


def accuracy_drop(exact: float, worst: float, limit: float, framework: str) -> Gate:
    """Integers cost little accuracy.

    Args:
        exact: The float model's accuracy, as a share.
        worst: The lowest of the int8 stages.
        limit: How far below that may be, as a share.
        framework: What the float model was written in.
    """
    reason = (
        f"int8 accuracy {worst:.1%} is more than {limit:.1%} below {framework}'s {exact:.1%}; "
        "give more typical calibration rows or fine-tune longer"
    )
    drop = exact - worst
    return Gate(
        "accuracy lost to int8", 100 * drop, 100 * limit, "points", reason if drop > limit else None
    )


def measure_lost(
    name: str,
    measure: Measure,
    exact: float,
    int8: Collection[float | None],
    spread: float,
    framework: str,
) -> Gate:
    """Integers cost little of the task's first measure, which may see what accuracy cannot.

    Args:
        name: Of the measure.
        measure: Its direction and unit.
        exact: The float model's.
        int8: Those of the int8 stages; None if it is not defined.
        spread: Standard deviation of the targets.
        framework: What the float model was written in.
    """
    what = words(name)
    known = [value for value in int8 if value is not None]
    gate = f"{what} lost to int8"
    limit = measure.most_lost
    if len(known) < len(int8):
        reason = f"int8 {what} is not defined, and {framework}'s is {exact:.3f}; was it written for"
        return Gate(gate, None, 100 * limit, "points", f"{reason} outputs with many equal values?")
    higher = measure.better == "higher"
    worst = min(known) if higher else max(known)
    lost = measure.lost(exact, worst, spread)
    reason = (
        f"int8 {what} {worst:.4g} is more than {measure.limit_text} "
        f"{'below' if higher else 'above'} {framework}'s {exact:.4g}; "
        "give more typical calibration rows or fine-tune longer"
    )
    unit = "points" if measure.unit in ("share", "") and higher else "%"
    return Gate(gate, 100 * lost, 100 * limit, unit, reason if lost > limit else None)


def signal_to_noise(sqnr_db: float, least: float) -> Gate:
    """Integers add little noise, even if no accuracy shows it (a regression, an autoencoder)."""
    reason = (
        f"the int8 outputs have a signal-to-noise ratio of {sqnr_db:.1f} dB (at least {least:.0f} "
        "dB are needed); give about 200 typical calibration rows, of a run by frugalfl export RUN "
        "--calibration rows.npz, or finer activations by --activations int16"
    )
    return Gate(
        "signal to noise, at least", sqnr_db, least, "dB", reason if sqnr_db < least else None
    )
