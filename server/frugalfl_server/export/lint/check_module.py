"""Look at a module before it is trained or converted, and tell its author what to change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from frugalfl.errors import ExportError
from frugalfl_server.export.lint.advice import Advice, Severity
from frugalfl_server.export.lint.rules import RULES, Rule
from frugalfl_server.export.lint.subject import Finding, subject_of

if TYPE_CHECKING:
    import torch

_ORDER: tuple[Severity, ...] = ("stops", "costs", "hint")


def lint(module: torch.nn.Module, input_shape: tuple[int, ...]) -> tuple[Advice, ...]:
    """Say what in a module will cost on a microcontroller, and what to write instead.

    The module runs a few times on one row, and nothing is converted: this takes milliseconds,
    and needs PyTorch only.

    Args:
        module: Left as it was; in training or evaluation mode.
        input_shape: Shape of one row as PyTorch takes it, without the batch: ``(1, 8, 8)``.

    Returns:
        The worst first; one piece for each rule and line of source.

    Raises:
        ExportError: The module does not run on such a row.
    """
    subject = subject_of(module, input_shape)
    found: dict[tuple[str, str], Advice] = {}
    for rule in RULES:
        for finding in rule.finds(subject):
            advice = _advice(rule, finding)
            found.setdefault((rule.name, advice.source or advice.where), advice)
    return tuple(sorted(found.values(), key=lambda one: _ORDER.index(one.severity)))


def _advice(rule: Rule, finding: Finding) -> Advice:
    call = finding.call
    where = f"{call.path or 'the model'} ({type(call.module).__name__})"
    what = rule.what.format(detail=finding.detail)
    return Advice(rule.name, rule.severity, where, call.source, what, rule.instead, rule.cost)


@contextlib.contextmanager
def blame_code(advice: tuple[Advice, ...]) -> Iterator[None]:
    """Add to an export's error what in the author's code is the likely reason.

    Args:
        advice: What :func:`lint` said about the module.

    Raises:
        ExportError: The block raised one; with the first piece of advice that stops an export.
    """
    try:
        yield
    except ExportError as error:
        stops = [one for one in advice if one.severity == "stops"]
        if not stops:
            raise
        raise ExportError(f"{error}; {stops[0]}") from error
