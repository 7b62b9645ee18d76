"""What passes through a model before its first step: the measurements as a value, and what they say."""

from initcfg.probe.lsuv import Lsuv, Scale
from initcfg.probe.probed import Probe
from initcfg.probe.values import Block, Leaf, Nonlinearity, Run, Signal, Weight
from initcfg.probe.widths import Moved, Slope, Sweep

__all__ = [
    "Block",
    "Leaf",
    "Lsuv",
    "Moved",
    "Nonlinearity",
    "Probe",
    "Run",
    "Scale",
    "Signal",
    "Slope",
    "Sweep",
    "Weight",
]
