"""The core makes the bytes of the Python on every kind of machine: golden frames, and made vectors.

Targets are compiled with zig and run here, under QEMU or in Node; what is missing is named.
"""

import shutil
import subprocess

import pytest

from core import targets, vectors

COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: Code and memory that a microcontroller may spend on small dense integers (B).
MOST_CODE, MOST_RAM = 3072, 4096


@pytest.fixture(scope="module")
def cases():
    golden = vectors.golden()
    assert {case.kind for case in golden} == {vectors.RANS, vectors.RANGE, vectors.GOLOMB}
    assert len(golden) >= 14
    made = [case for seed in range(6) for case in vectors.drawn(seed)]
    (lanes,) = vectors.laned()
    assert lanes.output[0] & vectors.LANES
    return [*golden, lanes, *made] + [case for seed in range(40) for case in vectors.rounded(seed)]


def check(name, program, cases, folder):
    """Run the checks of a program; every byte that it makes must be the Python's."""
    path = folder / "vectors"
    path.write_bytes(vectors.write(cases))
    report = targets.run(name, program, path)
    assert (report.cases, report.wrong, report.skipped) == (len(cases), 0, 0), report
    assert report.digest == vectors.digest(cases)
    return report


def compile_here(folder, *flags):
    """Compile the checks with this machine's compiler."""
    program = folder / "check"
    files = sorted(targets.HERE.glob("check*.c"))
    include = [f"-I{targets.CORE}", f"-I{targets.HERE}"]
    subprocess.run(
        [COMPILER, "-std=c11", "-ffp-contract=off", "-Wall", "-Wextra", *flags, *include, *files,
         targets.HERE / "hosted.c", targets.CORE / "all.c", "-o", program],
        check=True,
    )  # fmt: skip
    return program


@needs_compiler
def test_this_machine_without_optimization(cases, tmp_path):
    check("hosted", compile_here(tmp_path, "-O0"), cases, tmp_path)


@needs_compiler
@pytest.mark.slow
def test_no_sanitizer_finds_anything(cases, tmp_path):
    more = [case for seed in range(100, 130) for case in vectors.drawn(seed)]
    check("hosted", compile_here(tmp_path, *SANITIZED), cases + more, tmp_path)


@needs_compiler
@pytest.mark.slow
def test_sanitizers_and_mutated_vectors(tmp_path):
    program = tmp_path / "fuzz"
    source = targets.CORE / "fuzz_rans.c"
    subprocess.run([COMPILER, "-std=c11", *SANITIZED, source, "-o", program], check=True)
    done = subprocess.run([program, "100000"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("few_cells", [[], ["-DFC_LEAST_CELLS=1", "-DFC_LEAST_BY_LINE=0"]])
def test_sanitizers_and_mutated_range_frames(few_cells, tmp_path):
    """With small tensors treated as small, and as large ones without thresholds are."""
    program = tmp_path / "fuzz"
    source = targets.CORE / "fuzz_range.c"
    command = [COMPILER, "-std=c11", *SANITIZED, *few_cells, source, "-o", program]
    subprocess.run(command, check=True)
    done = subprocess.run([program, "20000"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(targets.TARGETS) - {"hosted"}))
def test_another_machine(name, cases, tmp_path):
    if lack := targets.missing(name):
        pytest.skip(f"this machine lacks {lack}")
    fitting = [case for case in cases if name != "cortex-m0" or vectors.small(case)]
    assert len(fitting) > 20
    check(name, targets.compile_checks(name, tmp_path), fitting, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", targets.MICRO)
def test_small_dense_integers_fit_a_microcontroller(name, cases, tmp_path):
    if lack := targets.missing("cortex-m0"):
        pytest.skip(f"this machine lacks {lack}")
    assert targets.small_bytes(name, tmp_path) <= MOST_CODE


@pytest.mark.slow
def test_small_dense_integers_need_little_memory(cases, tmp_path):
    if lack := targets.missing("cortex-m0"):
        pytest.skip(f"this machine lacks {lack}")
    fitting = [case for case in cases if vectors.small(case)]
    program = targets.compile_checks("cortex-m0", tmp_path)
    stack = check("cortex-m0", program, fitting, tmp_path).stack
    assert 0 < stack + small_room() <= MOST_RAM


def small_room():
    """Return the room that a call asks for without keeping anything (B)."""
    from frugalfl.native import core

    library = core()
    if library is None:
        pytest.skip("the core is not compiled here")
    return library.fc_rans_room(0)
