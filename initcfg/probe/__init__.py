"""What passes through a model before its first step: the measurements as a value, and what they say."""

from initcfg.probe.probed import Probe
from initcfg.probe.values import Block, Leaf, Nonlinearity, Run, Signal, Weight
from initcfg.probe.widths import Moved, Slope, Sweep

__all__ = ["Block", "Leaf", "Moved", "Nonlinearity", "Probe", "Run", "Signal", "Slope", "Sweep", "Weight"]
