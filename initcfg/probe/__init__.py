"""What passes through a model before its first step: the measurements as a value, and what they say."""

from initcfg.probe.probed import Probe
from initcfg.probe.values import Block, Leaf, Nonlinearity, Run, Signal, Weight

__all__ = ["Block", "Leaf", "Nonlinearity", "Probe", "Run", "Signal", "Weight"]
