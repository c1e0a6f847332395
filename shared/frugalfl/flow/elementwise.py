"""Rules of operators that compute entry by entry, with broadcasting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from frugalfl.flow.tensor_facts import (
    Fact,
    Knows,
    NotShownError,
    RowAxis,
    Rule,
    Step,
    even_axes,
    is_even,
    is_index,
    join_facts,
    with_rows,
)

#: Fused activations up to here (ReLU and its kin, tanh) make 0 of 0.
_LAST_ACTIVATION = 4


def check_activation(step: Step, field: int) -> None:
    """Refuse a fused activation that is none of the usual."""
    if not 0 <= step.option(field, "b") <= _LAST_ACTIVATION:
        raise NotShownError("has an activation that is not known")


def unary(keeps_zero: bool, ranges: bool = False) -> Rule:
    """Return the rule of a function of one number.

    Args:
        keeps_zero: Whether it makes 0 of 0.
        ranges: Whether it may be computed of a range.
    """

    def rule(step: Step) -> list[Fact]:
        one = step.input(0)
        _refuse_ranges([one], ranges)
        even = frozenset() if one.rows else even_axes(one)
        return [Fact(one.shape, one.knows, one.stride, one.zero and keeps_zero, even=even)]

    return rule


def combine_facts(step: Step, facts: list[Fact], zero: bool) -> Fact:
    """Return what is known of several tensors combined entry by entry.

    Raises:
        NotShownError: Rows lie in different places, or what is no row varies along the batch.
    """
    shape = _broadcast(facts)
    rows = [fact for fact in facts if fact.rows]
    if not rows:
        return Fact(shape, join_facts(facts), even=_even_of_all(facts, len(shape)))
    first = step.place(rows[0])
    axis = len(shape) - len(rows[0].shape) + first.axis
    for fact in facts:
        own = RowAxis(axis - len(shape) + len(fact.shape), first.run)
        if fact.rows and (step.place(fact) != own or fact.shape[own.axis] != shape[axis]):
            raise NotShownError("combines rows with other rows")
        if not fact.rows and not is_even(fact, own, step.batch):
            raise NotShownError("combines rows with what differs from row to row")
    return with_rows(shape, RowAxis(axis, first.run), zero)


def _even_of_all(facts: list[Fact], axes: int) -> frozenset[int]:
    """Return the axes along which all of them are the same, counted in their common shape."""
    even = set(range(axes))
    for fact in facts:
        missing = axes - len(fact.shape)
        even &= {*range(missing), *(missing + axis for axis in even_axes(fact))}
    return frozenset(even)


def several(name: str, activation: int = -1) -> Rule:
    """Return the rule of a function of several numbers; ``activation``: the option's field."""

    def rule(step: Step) -> list[Fact]:
        facts = [step.input(number) for number in range(len(step.given))]
        _refuse_ranges(facts, name in ("MINIMUM", "MAXIMUM"))
        if activation >= 0:
            check_activation(step, activation)
        return [combine_facts(step, facts, _stays_zero(name, facts))]

    return rule


def choice(step: Step) -> list[Fact]:
    """SELECT, of equal shapes; with others it would choose whole rows."""
    if len({step.input(number).shape for number in range(3)}) > 1:
        raise NotShownError("chooses whole rows")
    return several("SELECT_V2")(step)


def broadcast(step: Step) -> list[Fact]:
    """BROADCAST_TO, to a constant shape."""
    one, shape = step.input(0), tuple(step.numbers(1))
    _refuse_ranges([one], allowed=False)
    made = combine_facts(step, [one, Fact(shape, even=frozenset(range(len(shape))))], one.zero)
    if made.shape != shape:
        raise NotShownError(f"makes {shape} of {one.shape}")
    if one.value is not None and is_index(one, shape):
        return [replace(made, value=np.broadcast_to(one.value, shape))]
    return [made]


def along_last(step: Step) -> list[Fact]:
    """Softmax and log-softmax: over the last axis."""
    one = step.input(0)
    _refuse_ranges([one], allowed=False)
    if one.rows and step.place(one).axis == len(one.shape) - 1:
        raise NotShownError("is computed across the rows of a batch")
    return [Fact(one.shape, one.knows, one.stride)]


def _stays_zero(name: str, facts: list[Fact]) -> bool:
    if name in ("MUL", "LOGICAL_AND"):
        return any(fact.zero for fact in facts)
    if name == "DIV":
        return facts[0].zero
    if name in ("ADD", "SUB", "SQUARED_DIFFERENCE", "NOT_EQUAL"):
        return all(fact.zero for fact in facts)
    if name in ("MINIMUM", "MAXIMUM"):
        return all(fact.zero or _is_beyond(fact, name) for fact in facts)
    return name == "SELECT_V2" and all(fact.zero for fact in facts[1:])


def _is_beyond(fact: Fact, name: str) -> bool:
    """Say whether a constant leaves 0 as it is: min(0, 1), max(0, -1)."""
    if fact.value is None:
        return False
    return bool(np.all(fact.value >= 0) if name == "MINIMUM" else np.all(fact.value <= 0))


def _broadcast(facts: list[Fact]) -> tuple[int, ...]:
    try:
        return tuple(np.broadcast_shapes(*(fact.shape for fact in facts)))
    except ValueError as error:
        raise NotShownError(f"combines shapes {[fact.shape for fact in facts]}") from error


def _refuse_ranges(facts: list[Fact], allowed: bool) -> None:
    ranges = any(fact.knows is Knows.RANGES for fact in facts)
    if ranges and (not allowed or any(fact.rows for fact in facts)):
        raise NotShownError("computes with the ranges of tensors")
