"""From a trained module to files for devices: plain stages, each usable alone.

    lint; fit -> prune -> (fine-tune) -> convert -> quantize -> strip -> verify -> c_array

:func:`export_model` runs lint, and all from convert on. Importing this package is cheap: PyTorch,
the converter and the interpreters are loaded by the stage that needs them.
"""

from frugalfl_server.export.c_array import c_array
from frugalfl_server.export.device_budget import DeviceBudget
from frugalfl_server.export.fit import Fit, fit
from frugalfl_server.export.float_reference import Reference, of_pytorch
from frugalfl_server.export.gates import Gate
from frugalfl_server.export.keras import export_keras
from frugalfl_server.export.lint import Advice, lint
from frugalfl_server.export.macs import count_file_macs, count_macs, count_parameters
from frugalfl_server.export.measure import DeviceCost, measure
from frugalfl_server.export.package import ExportResult, export_model
from frugalfl_server.export.prune_channels import PruneReport, prune, prune_by
from frugalfl_server.export.prune_plan import PruningPlan, plan_pruning
from frugalfl_server.export.quantize import quantize
from frugalfl_server.export.ranges import name_ranges
from frugalfl_server.export.strip import strip
from frugalfl_server.export.tflite_micro import MicroRun, run_micro
from frugalfl_server.export.to_float_tflite import convert, to_model_layout
from frugalfl_server.export.verify import Verification, verify

__all__ = [
    "Advice",
    "DeviceBudget",
    "DeviceCost",
    "ExportResult",
    "Fit",
    "Gate",
    "MicroRun",
    "PruneReport",
    "PruningPlan",
    "Reference",
    "Verification",
    "c_array",
    "convert",
    "count_file_macs",
    "count_macs",
    "count_parameters",
    "export_keras",
    "export_model",
    "fit",
    "lint",
    "measure",
    "name_ranges",
    "of_pytorch",
    "plan_pruning",
    "prune",
    "prune_by",
    "quantize",
    "run_micro",
    "strip",
    "to_model_layout",
    "verify",
]
