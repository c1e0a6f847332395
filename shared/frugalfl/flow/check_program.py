"""The check, on the device, that a training program's outputs cannot carry its inputs.

A training program comes from the server. What may leave the device is what an honest one computes:
sums over a batch of at least so many rows. The check follows the data through the program's graphs,
operator by operator, and refuses whatever is not shown.

**What is shown.** Number the rows of a batch otherwise (permute ``x``, ``y``, ``w`` and the dropout
masks alike): every tensor is then either unchanged, or its rows are permuted in the same way. This
holds of the inputs, and every operator that passes keeps it (:mod:`.tensor_facts` has the kinds
of tensors, the other files their rules). No constant, parameter or state may differ from row
to row where it meets rows, nor a subspace's sign (the device draws it, but from a seed that is the
server's choice), and no operator takes single rows, compares or orders them; so there is no tensor
from which a row's *position* could be known, and nothing to select by position with, however small
it is scaled: neither an identity nor a one-hot matrix, nor an index that the graph counts up
itself. The outputs of ``train`` and ``evaluate`` are unchanged by such a permutation, and
are made of sums over the batch (each with the factor ``w``, so that what fills up a short batch
takes no part) and of what is known without the batch. Those of ``calibrate`` are smallest and
largest values of whole tensors. What ``predict`` returns stays on the device. All this is up to the
rounding of float32, which depends on the order of a sum.

**What is not shown.** A sum over rows may weigh each row by a function of that row: every gradient
does. Whoever chooses architecture and weights can choose that function to be nearly 0 for most rows
(trap weights), so that even an honest program's gradient of a small batch reveals rows; sums over
many known subsets of rows can be solved for the rows; and a range is the extreme of one row. The
smallest batch, orders and masks that the server does not know, and programs that the device's owner
approved are what helps there (``docs/training-programs.md``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from frugalfl.errors import ProgramError
from frugalfl.flow.graph import Graph, Operator, Shape, read_graphs
from frugalfl.flow.known_operators import KNOWN, OTHERS
from frugalfl.flow.tensor_facts import Fact, Knows, NotShownError, RowAxis, Step, with_rows
from frugalfl.program import Program, to_bytes

#: Inputs that have rows in their first axis, and others, which are the same for every batch.
_ROWS = re.compile(r"x|y|w|m\d+")
_OTHERS = re.compile(r"learning_rate|proximal_mu|[pgsq]\d+")
_OUTPUTS = {"evaluate": ("loss", "right"), "predict": ("outputs",), "calibrate": ("ranges",)}
_LEAST_BATCH = 2
#: Digests of the programs, descriptions included, that have passed.
_shown: set[bytes] = set()


def check_flow(program: Program) -> None:
    """Refuse a program whose outputs are not shown to be sums over its batches.

    A process looks at the same program once.

    Raises:
        ProgramError: The output, the operator and what it does are in the message.
    """
    if program.batch < _LEAST_BATCH:
        raise ProgramError(
            f"the training program has batches of {program.batch} row, whose sums are that row; "
            "raise batch-size"
        )
    key = hashlib.sha256(to_bytes(program)).digest()
    if key in _shown:
        return
    try:
        for graph in read_graphs(program.model):
            _check_outputs(program, graph, _follow(program, graph))
    except (ArithmeticError, IndexError, ValueError) as error:
        raise ProgramError(
            f"the training program's file cannot be followed: {type(error).__name__}: {error}"
        ) from error
    _shown.add(key)


def _follow(program: Program, graph: Graph) -> dict[int, Fact]:
    """Return what is known of every tensor that a graph makes or is given."""
    facts = {
        place: Fact(one.shape, zero=not np.any(one.value), value=one.value)
        for place, one in enumerate(graph.tensors)
        if one.value is not None
    }
    for name, place in graph.inputs.items():
        facts[place] = _input_facts(program, graph, name, place, facts)
    for number, operator in enumerate(graph.operators):
        try:
            made = _apply(program, graph, operator, facts)
        except NotShownError as why:
            raise ProgramError(_line(graph, number, str(why))) from why
        facts.update(zip(operator.outputs, made, strict=True))
    return facts


def _input_facts(
    program: Program, graph: Graph, name: str, place: int, facts: dict[int, Fact]
) -> Fact:
    shape = graph.tensors[place].shape
    if place in facts or not (_ROWS.fullmatch(name) or _OTHERS.fullmatch(name)):
        raise ProgramError(f"the training program's {graph.name!r} has an input {name!r}")
    if not _ROWS.fullmatch(name):
        return Fact(shape)
    # A mask is as random whichever way it lies: attention has its heads beside the batch.
    fits = [axis for axis, length in enumerate(shape) if length % program.batch == 0]
    if not fits or (not name.startswith("m") and shape[0] != program.batch):
        raise ProgramError(
            f"the training program takes {name} as {shape}, in batches of {program.batch} rows"
        )
    rows = RowAxis(fits[0], shape[fits[0]] // program.batch)
    return with_rows(shape, rows, zero=name == "w")


def _apply(
    program: Program, graph: Graph, operator: Operator, facts: dict[int, Fact]
) -> list[Fact]:
    """Return what is known of what an operator makes.

    Raises:
        NotShownError: It is not known, or not shown to treat all rows alike.
    """
    known = KNOWN.get(operator.code)
    if known is None:
        raise NotShownError("is no operator of training programs")
    if operator.options_type not in (0, known.options):
        raise NotShownError("has another operator's options")
    unmade = [one for one in operator.inputs if one >= 0 and one not in facts]
    if unmade or any(one in facts for one in operator.outputs):
        raise NotShownError("reads what nothing made, or makes what is there already")
    given = tuple(facts[one] if one >= 0 else None for one in operator.inputs)
    made = known.rule(Step(given, operator.options, program.batch, graph.name))
    declared = [graph.tensors[one].shape for one in operator.outputs]
    if [fact.shape for fact in made] != declared:
        raise NotShownError(f"makes {[fact.shape for fact in made]}, the file says {declared}")
    if known.like >= 0:
        kinds = {
            graph.tensors[one].kind for one in (operator.inputs[known.like], *operator.outputs)
        }
        if len(kinds) > 1:
            raise NotShownError("makes numbers of another type than it is given")
    return made


def _check_outputs(program: Program, graph: Graph, facts: dict[int, Fact]) -> None:
    """Refuse outputs that are rows, or that the description does not have.

    Raises:
        ProgramError: Which one, and what makes it.
    """
    expected = _expect(program, graph.name)
    allowed = Knows.RANGES if graph.name == "calibrate" else Knows.SUMS
    for name, place in graph.outputs.items():
        shape = graph.tensors[place].shape
        if name not in expected or expected[name] not in (None, shape):
            raise ProgramError(
                f"the training program's {graph.name!r} returns {name} of shape {shape}, which "
                "its description does not have"
            )
        fact = facts.get(place)
        if graph.name != "predict" and (fact is None or fact.knows not in (Knows.NOTHING, allowed)):
            maker = [_name(one) for one in graph.operators if place in one.outputs]
            raise ProgramError(
                f"the training program's {graph.name!r} returns in {name} "
                f"{'rows of the batch' if fact else 'what nothing made'}, by "
                f"{maker[0] if maker else 'its input'}; only sums over a batch may leave a device"
            )


def _expect(program: Program, signature: str) -> dict[str, Shape | None]:
    """Return the outputs that a signature may have, with their shapes; ``None``: any."""
    if signature == "train":
        shapes: dict[str, Shape | None] = {"loss": ()}
        shapes |= {f"p{i}": one.shape for i, one in enumerate(program.parameters) if one.changes}
        return shapes | {f"s{i}": one.shape for i, one in enumerate(program.state)}
    if signature not in _OUTPUTS:
        raise ProgramError(f"the training program has a signature {signature!r}; it is refused")
    any_shape = signature in ("predict", "calibrate")
    return {name: None if any_shape else () for name in _OUTPUTS[signature]}


def _line(graph: Graph, number: int, why: str) -> str:
    """Say which operator was refused, and which outputs it reaches."""
    reached = set(graph.operators[number].outputs)
    for operator in graph.operators[number + 1 :]:
        if reached.intersection(operator.inputs):
            reached.update(operator.outputs)
    names = [name for name, place in graph.outputs.items() if place in reached]
    return (
        f"the training program's {graph.name!r} is refused: on the way to "
        f"{_list(names)}, {_name(graph.operators[number])} (operator {number}) {why}; "
        "only sums over a batch may leave a device"
    )


def _name(operator: Operator) -> str:
    known = KNOWN.get(operator.code)
    return known.name if known else OTHERS.get(operator.code, f"operator kind {operator.code}")


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "") or "no output"
