"""What a module does with one row, in its author's own words: calls, modules, lines of source.

The module simply runs, under a ``TorchFunctionMode`` that sees the PyTorch functions as they are
written (``x.mean((2, 3))``, not the operators they become). That costs milliseconds, and also
works on models that ``torch.export`` cannot follow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from frugalfl.errors import ExportError

if TYPE_CHECKING:
    import torch


#: By PyTorch's words.
_HINTS = {
    "more than 1 value per channel": "a device gives the model one row at a time, and a batch norm "
    "without running statistics needs several: leave track_running_stats as it is",
}


@dataclass(frozen=True)
class TracedCall:
    """One call of a PyTorch function.

    Attributes:
        name: As PyTorch names it: ``conv2d``, ``mean``, ``__bool__``.
        args: Positional arguments; tensors are the very objects that other calls made.
        kwargs: Named arguments.
        output: What it returned.
        path: Of the innermost module that was running, ``features.3``; empty for the whole model.
        module: That module.
        source: The author's line, ``model.py:12``; None inside an ``nn.Sequential`` of PyTorch's
            own modules, which has none.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    path: str
    module: torch.nn.Module
    source: str | None

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The tensors that went in, those in lists included."""
        return tuple(_tensors((self.args, tuple(self.kwargs.values()))))

    @property
    def computes(self) -> bool:
        """Whether it made a tensor, and did not only ask for a size or a number."""
        return next(_tensors(self.output), None) is not None

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument that may have been given either way."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)


@dataclass(frozen=True)
class ModuleCall:
    """One run of a module that has no modules inside.

    Attributes:
        path: Its name in the model.
        module: Itself.
        input: Its first argument.
        output: What it returned.
    """

    path: str
    module: torch.nn.Module
    input: Any
    output: Any


@dataclass
class Trace:
    """Everything that happened to one row, in order.

    Attributes:
        input: The row, shape ``(1, *row shape)``.
        output: What the model returned.
        calls: Functions.
        modules: Modules without modules inside.
    """

    input: torch.Tensor
    output: Any = None
    calls: list[TracedCall] = field(default_factory=list)
    modules: list[ModuleCall] = field(default_factory=list)

    def readers(self, tensor: torch.Tensor) -> list[TracedCall]:
        """Return the calls that compute from a tensor: not those that ask for its size."""
        return [
            call
            for call in self.calls
            if any(one is tensor for one in call.tensors) and call.computes
        ]


def trace(module: torch.nn.Module, example: torch.Tensor) -> Trace:
    """Run a module once and write down what it does.

    Args:
        module: In evaluation mode, on the processor.
        example: One row with its batch axis.

    Raises:
        ExportError: The module does not run on that row; its own words and line are in the message.
    """
    import torch

    result = Trace(example)
    paths = {one: path for path, one in module.named_modules()}
    running: list[torch.nn.Module] = [module]
    with torch.no_grad(), _watch(module, running, paths, result):
        mode = _mode(running, paths, result)
        try:
            with mode:
                result.output = module(example)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            line = line_of(error)
            raise ExportError(
                f"the model does not run on an input of shape {tuple(example.shape)}: "
                f"{type(error).__name__}: {reason}{f' ({line})' if line else ''}{_hint(reason)}"
            ) from error
    return result


def _hint(reason: str) -> str:
    """Say what to write instead if a model runs on several rows, and not on one."""
    return next((f"; {hint}" for words, hint in _HINTS.items() if words in reason), "")


def _mode(
    running: Sequence[torch.nn.Module], paths: dict[torch.nn.Module, str], result: Trace
) -> Any:
    from torch.overrides import TorchFunctionMode

    class Recorder(TorchFunctionMode):
        def __torch_function__(
            self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            output = func(*args, **(kwargs or {}))
            name = getattr(func, "__name__", "")
            if name != "__get__":  # an attribute such as x.shape
                inner = running[-1]
                source = _author_line(sys._getframe(1))
                given = kwargs or {}
                call = TracedCall(name, args, given, output, paths.get(inner, ""), inner, source)
                result.calls.append(call)
            return output

    return Recorder()


@contextmanager
def _watch(
    module: torch.nn.Module,
    running: list[torch.nn.Module],
    paths: dict[torch.nn.Module, str],
    result: Trace,
) -> Iterator[None]:
    """Keep the stack of running modules, and note the runs of those without modules inside."""

    def enter(one: torch.nn.Module, _args: Any) -> None:
        running.append(one)

    def leave(one: torch.nn.Module, args: Any, output: Any) -> None:
        running.pop()
        if args and next(one.children(), None) is None:
            result.modules.append(ModuleCall(paths[one], one, args[0], output))

    handles = [one.register_forward_pre_hook(enter) for one in paths]
    handles += [one.register_forward_hook(leave) for one in paths]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


def _author_line(frame: FrameType | None) -> str | None:
    """Return the innermost line below :func:`trace` that is neither PyTorch's nor ours."""
    while frame is not None and frame.f_code is not trace.__code__:
        if _is_authors(frame.f_code.co_filename):
            return _place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def line_of(error: BaseException) -> str | None:
    """Return the author's innermost line that an error went through; None: it met none."""
    step, found = error.__traceback__, None
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if _is_authors(name):
            found = _place(name, step.tb_lineno)
        step = step.tb_next
    return found


def _is_authors(filename: str) -> bool:
    import torch

    libraries = Path(torch.__file__).parents[1]  # the converter is beside PyTorch
    standard, ours = Path(os.__file__).parent, Path(__file__).parents[1]
    elsewhere = tuple(f"{folder}{os.sep}" for folder in (libraries, standard, ours))
    return not filename.startswith((*elsewhere, "<"))


def place_of(call: TracedCall) -> str:
    """Say where a call is: ``features.3 (GELU), model.py:12``."""
    where = f"{call.path or 'the model'} ({type(call.module).__name__})"
    return f"{where}, {call.source}" if call.source else where


def _place(filename: str, line: int) -> str:
    here = os.getcwd() + os.sep
    return f"{filename.removeprefix(here)}:{line}"
