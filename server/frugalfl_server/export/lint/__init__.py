"""Say what in a module will cost on a microcontroller, before hours go into training it."""

from frugalfl_server.export.lint.advice import AddedCost, Advice, Severity
from frugalfl_server.export.lint.check_module import blame_code, lint
from frugalfl_server.export.lint.rules import RULES, Rule

__all__ = ["RULES", "AddedCost", "Advice", "Rule", "Severity", "blame_code", "lint"]
