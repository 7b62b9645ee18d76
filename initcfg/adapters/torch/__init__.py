"""PyTorch: what a module's parameters are called, and their memory filled from a plan.

manifest        names, shapes and dtypes of a module's parameters
initialize_     a plan's values put into a module: plain, on the meta device, or sharded (FSDP2, DTensor)
verify          a module's values held against a plan, bit for bit
Initialized     what it made, and what it left alone
audit           what a module's own initialization leaves out, does twice or undoes
assert_initialized  the same, raised, for tests
probe           one forward and one backward pass with each plan's weights, measured by block
lsuv_           a plan's values, scaled so that each layer's output has variance 1 on a batch
sweep_widths    a few steps at several widths: whether activations keep their size, as under muP
capture         the spec of how a module's own code begins it

PyTorch keeps a linear layer's weight as (out, in): specs for its models say ``layout: out_in``.
"""

from __future__ import annotations

try:
    import torch as _  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("initcfg.adapters.torch needs torch: pip install 'initcfg[torch]'") from error

from initcfg.adapters.torch.capturing import assert_initialized, audit, capture
from initcfg.adapters.torch.initializing import Initialized, initialize_
from initcfg.adapters.torch.lsuv import lsuv_
from initcfg.adapters.torch.parameters import manifest, verify
from initcfg.adapters.torch.probing import probe
from initcfg.adapters.torch.sweeping import sweep_widths

__all__ = [
    "Initialized",
    "assert_initialized",
    "audit",
    "capture",
    "initialize_",
    "lsuv_",
    "manifest",
    "probe",
    "sweep_widths",
    "verify",
]
