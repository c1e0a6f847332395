"""The check of training programs' data flow: what carries rows is refused, whatever way it takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from attacking.row_copies import BATCH, COPIES, ENTRIES, Trick, honest_program, program_of
from attacking.tflite_graph import GraphWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.errors import ProgramError
from frugalfl.flow import check_flow
from frugalfl.program import Program, Tensor
from frugalfl_server.export import flatbuffer


def refusal(program: Program) -> str:
    with pytest.raises(ProgramError) as caught:
        check_flow(program)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edited(program: Program, change) -> Program:
    """Change the file's object tree."""
    tree = flatbuffer.read(program.model)
    change(tree)
    return replace(program, model=flatbuffer.write(tree))


def of_graph(writer: GraphWriter, **described) -> Program:
    program = honest_program()
    return replace(program, model=writer.file(), **described)


@pytest.mark.parametrize("name", COPIES)
def test_a_program_that_copies_rows_is_refused_by_output_and_operator(name: str) -> None:
    line = refusal(program_of(COPIES[name]))
    assert "p0" in line and "'train'" in line
    assert any(word.isupper() and len(word) > 2 for word in line.replace(",", "").split())
    assert "only sums over a batch may leave a device" in line


def test_sums_over_the_batch_pass() -> None:
    check_flow(honest_program())


def test_batches_of_one_row_are_refused() -> None:
    assert "batches of 1 row" in refusal(honest_program(batch=1))


@pytest.mark.parametrize("output", ["loss", "s0", "p1", "p0"])
def test_rows_are_found_in_every_output(output: str) -> None:
    trick = Trick((BATCH, ENTRIES))
    names = {"loss": trick.total(trick.w, 0, ()), output: trick.rows}
    if output == "loss":
        names["loss"] = trick.total(
            trick.reshaped(trick.cut(trick.rows, (1, 1), (1, 1)), (1,)), 0, ()
        )
    for name, number in names.items():
        trick.output(name, number)
    parameters = tuple(
        Tensor(name, (BATCH, ENTRIES), changes) for name, changes in
        (("one.running_mean", True), ("two.weight", False))
    )  # fmt: skip
    state = (Tensor("velocity", (BATCH, ENTRIES), changes=True),)
    line = refusal(of_graph(trick, parameters=parameters, state=state))
    assert output in line


def ranging(one_range) -> Program:
    """A ``calibrate`` that returns what a function makes of the rows."""
    writer = GraphWriter("calibrate")
    rows = writer.operator(
        "RESHAPE", [writer.input("x", (BATCH, 1, 8, 8)), writer.constant([BATCH, 64], "i")],
        (BATCH, 64),
    )  # fmt: skip
    writer.output("ranges", one_range(writer, rows))
    return of_graph(writer)


def lowest(writer: GraphWriter, rows: int, axes: list[int], shape: tuple[int, ...]) -> int:
    return writer.operator(
        "REDUCE_MIN", [rows, writer.constant(axes, "i")], shape, options="ReducerOptions"
    )


def test_calibration_gives_ranges_of_whole_tensors_only() -> None:
    check_flow(ranging(lambda writer, rows: lowest(writer, rows, [0, 1], ())))
    assert "rows of the batch" in refusal(ranging(lambda _, rows: rows))
    assert "chooses one row" in refusal(
        ranging(lambda writer, rows: lowest(writer, rows, [0], (64,)))
    )

    def mean(writer, rows):
        axis = writer.constant([0], "i")
        return writer.operator("MEAN", [rows, axis], (64,), options="ReducerOptions")

    # Calibration runs one row, repeated: a mean over that batch is the row.
    assert "gives no sums" in refusal(ranging(mean))


@pytest.mark.parametrize("shape", [(BATCH, 64), (4 * BATCH, 16), (4, BATCH, 16)])
def test_dropout_masks_go_with_their_rows(shape: tuple[int, ...]) -> None:
    def masked(selected: bool) -> Program:
        trick = Trick((1, ENTRIES))
        mask = trick.input("m0", shape)
        if len(shape) == 3:
            mask = trick.operator("TRANSPOSE", [mask, trick.whole(1, 0, 2)], (BATCH, 4, 16))
        kept = trick.times(trick.rows, trick.reshaped(mask, (BATCH, 64)), (BATCH, 64))
        weighed = trick.times(kept, trick.reshaped(trick.w, (BATCH, 1)), (BATCH, 64))
        total = trick.total(kept if selected else weighed, 0, (64,))
        trick.output("loss", trick.total(trick.w, 0, ()))
        trick.output("p0", trick.reshaped(total, (1, 64)))
        return of_graph(trick)

    check_flow(masked(selected=False))
    assert "without the rows' weights w" in refusal(masked(selected=True))


@pytest.mark.parametrize(("largest", "said"), [(3, ""), (4, "reads beyond its tensor")])
def test_pixels_are_gathered_as_upsampling_does_it(largest: int, said: str) -> None:
    """Places are joined of constants; beyond the tensor is memory that other tensors had."""
    trick = Trick((1, 8))
    images = trick.operator(
        "TRANSPOSE", [trick.reshaped(trick.x, (BATCH, 4, 16)), trick.whole(1, 0, 2)], (4, BATCH, 16)
    )
    lines = trick.constant(np.array([[0], [largest]]), "i")
    shape = trick.whole(2, 2)
    wide = trick.operator("BROADCAST_TO", [lines, shape], (2, 2), "i")
    halves = [
        trick.operator("RESHAPE", [wide, trick.whole(4, 1)], (4, 1), "i"),
        trick.operator("RESHAPE", [wide, trick.whole(4, 1)], (4, 1), "i"),
    ]
    places = trick.operator(
        "CONCATENATION", halves, (8, 1), "i", options="ConcatenationOptions", axis=0
    )
    taken = trick.operator("GATHER_ND", [images, places], (8, BATCH, 16))
    flat = trick.operator("TRANSPOSE", [taken, trick.whole(1, 0, 2)], (BATCH, 8, 16))
    each = trick.total(flat, 2, (BATCH, 8))
    weighed = trick.times(each, trick.reshaped(trick.w, (BATCH, 1)), (BATCH, 8))
    trick.output("loss", trick.total(trick.w, 0, ()))
    trick.output("p0", trick.reshaped(trick.total(weighed, 0, (8,)), (1, 8)))
    program = of_graph(trick, parameters=(Tensor("pixels", (1, 8), changes=True),))
    if said:
        assert said in refusal(program)
    else:
        check_flow(program)


def other_code(number: int):
    def change(tree):
        code = tree.operatorCodes[tree.subgraphs[0].operators[-1].opcodeIndex]
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)

    return change


@pytest.mark.parametrize(
    ("number", "name"),
    [(118, "IF"), (119, "WHILE"), (129, "CALL_ONCE"), (142, "VAR_HANDLE"), (144, "ASSIGN_VARIABLE"),
     (159, "BITCAST"), (151, "DYNAMIC_UPDATE_SLICE"), (122, "SCATTER_ND"), (48, "TOPK_V2"),
     (85, "ONE_HOT"), (149, "MULTINOMIAL"), (209, "kind 209")],
)  # fmt: skip
def test_operators_that_no_training_program_has_are_refused(number: int, name: str) -> None:
    assert name in refusal(edited(honest_program(), other_code(number)))


def second_graph(tree) -> None:
    tree.subgraphs.append(tree.subgraphs[0])


def variable(tree) -> None:
    tree.subgraphs[0].tensors[1].isVariable = True


def custom(tree) -> None:
    tree.operatorCodes[0].customCode = "Copy"


def unmade(tree) -> None:
    """The first operator reads what a later one makes: what was in that memory before."""
    graph = tree.subgraphs[0]
    graph.operators[0].inputs[0] = graph.operators[-1].outputs[0]


def lying_shape(tree) -> None:
    """Rows of x are said to be columns."""
    tree.subgraphs[0].tensors[tree.subgraphs[0].operators[0].outputs[0]].shape = [ENTRIES, BATCH]


def at_run_time(tree) -> None:
    tree.subgraphs[0].tensors[2].shapeSignature = [-1, 8, 8, 1]


def quantised(tree) -> None:
    from ai_edge_litert import schema_py_generated as schema

    about = schema.QuantizationParametersT()
    about.scale, about.zeroPoint = np.array([0.5], np.float32), np.array([0], np.int64)
    tree.subgraphs[0].tensors[2].quantization = about


@pytest.mark.parametrize(
    "change", [second_graph, variable, custom, unmade, lying_shape, at_run_time, quantised]
)
def test_files_that_are_more_than_operators_on_tensors_are_refused(change) -> None:
    refusal(edited(honest_program(), change))


FILES = [
    honest_program(),
    *(program_of(COPIES[name]) for name in ("rows in reverse", "every other row")),
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_a_damaged_file_is_refused_or_read_never_more(program: Program, data) -> None:
    content = bytearray(program.model)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else len(content)
    try:
        check_flow(replace(program, model=bytes(content[:cut])))
    except ProgramError as error:
        assert "\n" not in str(error)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_graphs_of_any_operators_are_refused_or_followed(program: Program, data) -> None:
    def change(tree):
        graph = tree.subgraphs[0]
        for _ in range(data.draw(st.integers(1, 4))):
            operator = data.draw(st.sampled_from(graph.operators))
            code = tree.operatorCodes[operator.opcodeIndex]
            tensors = st.integers(-1, len(graph.tensors) - 1)
            kind = data.draw(st.integers(0, 4))
            if kind == 0:
                number = data.draw(st.integers(0, 210))
                code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
            elif kind == 1:
                operator.inputs = data.draw(st.lists(tensors, max_size=4))
            elif kind == 2:
                operator.builtinOptions, operator.builtinOptionsType = None, 0
            elif kind == 3:
                shape = st.lists(st.integers(0, 20), max_size=5)
                data.draw(st.sampled_from(graph.tensors)).shape = data.draw(shape)
            else:
                graph.operators.remove(operator)
                if not graph.operators:
                    return

    try:
        check_flow(edited(program, change))
    except ProgramError as error:
        assert "\n" not in str(error)
