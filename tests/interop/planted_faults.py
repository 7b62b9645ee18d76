"""Small modules of torch, each with one fault of initialization, and some that have none.

The comment ``# fault: CODE NAME`` stands at the line that the audit is to name, in the class or in the one of
its parts that `MARKED` names. `RIGHT` are modules that do unusual things and have no fault.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import init
from torch.nn.utils import parametrizations, parametrize, skip_init

if TYPE_CHECKING:
    from collections.abc import Callable

FAULTY: list[type[nn.Module]] = []
RIGHT: list[type[nn.Module]] = []
#: The init function of a model, where its users call one.
INITS: dict[type[nn.Module], Callable[[Any], object]] = {}


def faulty(cls: type[nn.Module]) -> type[nn.Module]:
    FAULTY.append(cls)
    return cls


def right(cls: type[nn.Module]) -> type[nn.Module]:
    RIGHT.append(cls)
    return cls


# Never written.


@faulty
class EmptyParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(8))  # fault: never-written scale


@faulty
class OldConstructor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.Tensor(4, 8))  # fault: never-written weight
        self.bias = nn.Parameter(torch.zeros(4))


@faulty
class EmptyLikeAnother(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(8, 8)
        self.key = nn.Parameter(torch.empty_like(self.query.weight))  # fault: never-written key


@faulty
class EmptyBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("steps", self.linear.weight.new_empty(3))  # fault: never-written steps


@faulty
class EmptyUnsavedBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        frequencies = torch.empty(4)  # fault: never-written frequencies
        self.register_buffer("frequencies", frequencies, persistent=False)


@faulty
class ResetNeverCalled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 8))  # fault: never-written weight

    def reset_parameters(self) -> None:
        init.xavier_uniform_(self.weight)


@faulty
class ResetMissesOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 8))
        self.gate = nn.Parameter(torch.empty(8))  # fault: never-written gate
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))


class Projection(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 8))  # fault: never-written layers.{0..2}.proj.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.T


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = Projection()
        self.norm = nn.LayerNorm(8)


@faulty
class InitKnowsOnlyLinear(nn.Module):
    MARKED = Projection

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(3))
        self.head = nn.Linear(8, 2)
        self.apply(self._init_weights)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=0.02)
            init.zeros_(module.bias)


@faulty
class WritesToAClone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 8))  # fault: never-written weight
        self.weight.detach().clone().normal_(std=0.02)


@faulty
class WritesToAnotherType(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 8))  # fault: never-written weight
        init.normal_(self.weight.detach().double(), std=0.02)


@faulty
class WritesToChosenRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 4))  # fault: never-written weight
        with torch.no_grad():
            self.weight[torch.arange(8)].normal_(std=0.02)


@faulty
class MisspeltName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(8))  # fault: never-written scale
        self.shift = nn.Parameter(torch.empty(8))
        for name, parameter in self.named_parameters():
            if name.endswith("sclae"):
                init.ones_(parameter)
            elif name.endswith("shift"):
                init.zeros_(parameter)


@faulty
class SkippedInit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = skip_init(nn.Linear, 8, 2, bias=False)  # fault: never-written head.weight


@faulty
class CopiesGarbage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        staged = torch.empty(8)  # fault: never-written mean
        self.mean = nn.Parameter(torch.zeros(8))
        self.mean.data.copy_(staged * 0.5)


# Written in part.


@faulty
class LastRowForgotten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 4))  # fault: partly-written weight
        init.normal_(self.weight[:-1], std=0.02)


@faulty
class ValuesForgotten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.in_proj = nn.Parameter(torch.empty(12, 4))  # fault: partly-written in_proj
        query, key, _ = self.in_proj.data.chunk(3)
        init.xavier_uniform_(query)
        init.xavier_uniform_(key)


@faulty
class HalfOfSchemesScaled(nn.Module):
    """Values that are computed of functions that are noted by name, and of memory that nothing wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(16, 4))  # fault: partly-written weight
        with torch.no_grad():
            init.orthogonal_(self.weight[:4])
            init.trunc_normal_(self.weight[4:8])
            init.sparse_(self.weight[8:12], 0.5)
            self.weight.mul_(2)


@faulty
class OnlyTheForgetGate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(16))  # fault: partly-written bias
        self.bias.data[4:8].fill_(1.0)


@faulty
class OneExpertTooFew(nn.Module):
    def __init__(self, experts: int = 4) -> None:
        super().__init__()
        self.experts = nn.Parameter(torch.empty(experts, 4, 4))  # fault: partly-written experts
        for expert in range(experts - 1):
            init.kaiming_uniform_(self.experts[expert])


@faulty
class OnlyTheDiagonal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mixing = nn.Parameter(torch.empty(4, 4))  # fault: partly-written mixing
        with torch.no_grad():
            self.mixing.diagonal().fill_(1.0)


@faulty
class EverySecondColumn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(4, 8))  # fault: partly-written table
        self.table.data[:, 0::2] = torch.arange(4.0).sin()


# Written, and nothing is left of it.


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(8, 16)
        self.down = nn.Linear(16, 8)


class BlockAtZero(Block):
    def __init__(self) -> None:
        super().__init__()
        init.zeros_(self.down.weight)  # fault: lost-write blocks.{0..1}.down.weight


def general(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        init.normal_(module.weight, std=0.02)
        init.zeros_(module.bias)


@faulty
class ScalingBeforeApply(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        for name, parameter in self.named_parameters():
            if name.endswith("down.weight"):
                init.normal_(parameter, std=0.01)  # fault: lost-write blocks.{0..1}.down.weight
        self.apply(general)


@faulty
class ResidualAtZero(nn.Module):
    MARKED = BlockAtZero

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(BlockAtZero() for _ in range(2))
        self.apply(general)


@faulty
class PaddingRowOverwritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        with torch.no_grad():
            self.embedding.weight[0].zero_()  # fault: lost-write embedding.weight
        init.normal_(self.embedding.weight, std=0.02)


@faulty
class DiagonalOverwritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mixing = nn.Linear(4, 4)
        self.mixing.weight.data.diagonal().fill_(1.0)  # fault: lost-write mixing.weight
        self.apply(general)


@faulty
class EvenColumnsOverwritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 8)
        self.table.weight.data[:, 0::2].zero_()  # fault: lost-write table.weight
        init.normal_(self.table.weight, std=0.02)


@faulty
class PaddingRowLostByATie(nn.Module):
    """The head is the embedding, and its general write comes after the padding row's."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, 8, padding_idx=0)
        self.head = nn.Linear(8, 16, bias=False)
        self.head.weight = self.embedding.weight
        self.apply(self._init_weights)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=0.02)
            module.weight.data[module.padding_idx].zero_()  # fault: lost-write embedding.weight


@faulty
class ForgetGateOverwritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 4)
        self.lstm.bias_ih_l0.data[4:8].fill_(1.0)  # fault: lost-write lstm.bias_ih_l0
        for name, parameter in self.lstm.named_parameters():
            if "bias" in name:
                init.zeros_(parameter)


@faulty
class PriorOverwritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 80)
        init.constant_(self.head.bias, -math.log(99))  # fault: lost-write head.bias
        self.apply(general)


@faulty
class InitOverConstructor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 1)
        self.gate.bias.data.fill_(-3.0)  # fault: lost-write gate.bias


INITS[InitOverConstructor] = lambda model: model.apply(general)


@faulty
class ParentBeforeChild(nn.Module):
    """A walk from the top that comes to the child afterwards: transformers 4's GPT-2, turned around."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        for module in self.modules():
            self._init_weights(module)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, Block):
            init.normal_(module.down.weight, std=0.005)  # fault: lost-write blocks.{0..1}.down.weight
        general(module)


@faulty
class WritesToAParametrizedWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = parametrizations.weight_norm(nn.Conv1d(4, 4, 3))
        init.normal_(self.conv.weight, std=0.02)  # fault: lost-write conv.weight


# A parametrization of which one part is written.


@faulty
class DirectionOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = parametrizations.weight_norm(nn.Conv1d(4, 4, 3))
        direction = self.conv.parametrizations.weight.original1
        init.normal_(direction, std=0.02)  # fault: half-parametrization conv.weight


@faulty
class OldWeightNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.utils.weight_norm(nn.Linear(4, 4))
        init.normal_(self.linear.weight_v, std=0.02)  # fault: half-parametrization linear.weight


class LowRank(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left @ right

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        left = weight.new_zeros(weight.shape[0], 2)
        return left, weight.new_empty(2, weight.shape[1])  # fault: half-parametrization linear.weight


@faulty
class OnePartEmpty(nn.Module):
    MARKED = LowRank

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        parametrize.register_parametrization(self.linear, "weight", LowRank(), unsafe=True)


# A tie that is no more.


@faulty
class TieReplaced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        self.head = nn.Linear(8, 16, bias=False)
        self.head.weight = self.embedding.weight

    def init_weights(self) -> None:
        init.normal_(self.embedding.weight, std=0.02)
        self.head.weight = nn.Parameter(torch.zeros(16, 8))  # fault: broken-tie head.weight


INITS[TieReplaced] = TieReplaced.init_weights


@faulty
class TieByDataReplaced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        self.head = nn.Linear(8, 16, bias=False)
        self.head.weight.data = self.embedding.weight.data

    def init_weights(self) -> None:
        init.normal_(self.embedding.weight, std=0.02)
        self.head.weight.data = torch.randn(16, 8) * 0.02  # fault: broken-tie head.weight


INITS[TieByDataReplaced] = TieByDataReplaced.init_weights


@faulty
class TieLostByToEmpty(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        self.head = nn.Linear(8, 16, bias=False)
        self.head.weight = self.embedding.weight
        self.init_weights()

    def init_weights(self) -> None:
        init.normal_(self.embedding.weight, std=0.02)
        init.normal_(self.head.weight, std=0.02)  # fault: broken-tie head.weight


# Right where it is constructed, and otherwise by way of the meta device.


@faulty
class GateOnlyInConstructor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(8))  # fault: never-written gate
        self.linear = nn.Linear(8, 8)
        self.init_weights()

    def init_weights(self) -> None:
        general(self.linear)


@faulty
class TableOnlyInConstructor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        table = 10000 ** -(torch.arange(0, 8, 2) / 8)  # fault: never-written frequencies
        self.register_buffer("frequencies", table, persistent=False)
        self.init_weights()

    def init_weights(self) -> None:
        general(self.linear)


@faulty
class ScaledOnlyInConstructor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.init_weights()
        self.linear.weight.data.mul_(0.1)  # fault: other-path linear.weight

    def init_weights(self) -> None:
        general(self.linear)


@faulty
class InitScalesWhatIsThere(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8, bias=False)  # fault: never-written linear.weight
        self.init_weights()

    def init_weights(self) -> None:
        self.linear.weight.data.mul_(0.5)


@faulty
class ConstructedOtherwise(nn.Module):
    """Whoever constructs it and forgets init_weights() has torch's own draws."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8, bias=False)

    def init_weights(self) -> None:
        init.trunc_normal_(self.linear.weight, std=0.02)  # fault: other-path linear.weight


# Settings that reach nothing.


class Configured(nn.Module):
    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.config = config or SimpleNamespace(n_layer=2, std=0.02, residual_scale=0.5)
        self.blocks = nn.ModuleList(Block() for _ in range(self.config.n_layer))
        self.apply(self._init_weights)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=self.config.std)
            init.zeros_(module.bias)


@faulty
class NameThatNeverMatches(Configured):
    """The fault of transformers 5.14's GPT-2."""

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        for name, parameter in module.named_parameters():
            if name == "down_proj.weight":
                depth = math.sqrt(2 * self.config.n_layer)  # fault: idle-setting n_layer
                init.normal_(parameter, std=self.config.std / depth)


@faulty
class ComputedAndNotUsed(Configured):
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        scale = self.config.residual_scale  # fault: idle-setting residual_scale
        if isinstance(module, Block):
            init.normal_(module.down.weight, std=self.config.std / 2 if scale else self.config.std)


class Counted(SimpleNamespace):
    """A config of which one number follows from a list, whatever is put there."""

    @property
    def n_layer(self) -> int:
        return len(self.layers)

    @n_layer.setter
    def n_layer(self, value: int) -> None: ...


@right
class ScaledByACount(Configured):
    def __init__(self, config: Any = None) -> None:
        super().__init__(config or Counted(layers=["a", "b"], std=0.02))

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Block):
            init.normal_(module.down.weight, std=self.config.std / math.sqrt(2 * self.config.n_layer))


# Biases and norms at random.


@faulty
class EveryParameterNormal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        for parameter in self.parameters():
            init.normal_(parameter, std=0.02)  # fault: random-bias linear.bias


@faulty
class NormByItsName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.ln = nn.LayerNorm(8)
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                init.uniform_(parameter, -0.1, 0.1)  # fault: random-bias ln.weight


# No fault.


@right
class SmallGPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, 8, padding_idx=0)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 16, bias=False)
        self.apply(self._init_weights)
        self.head.weight = self.embedding.weight
        for name, parameter in self.named_parameters():
            if name.endswith("down.weight"):
                init.normal_(parameter, std=0.02 / math.sqrt(4))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=0.02)
            with torch.no_grad():
                module.weight[0].zero_()


@right
class HalvesOfATable(nn.Module):
    """A table that begins empty, and whose two halves are filled."""

    def __init__(self) -> None:
        super().__init__()
        table = torch.empty(8, 6)
        angles = torch.arange(8.0)[:, None] * torch.arange(3.0)[None]
        table[:, :3] = angles.sin()
        table[:, 3:] = angles.cos()
        self.weight = nn.Parameter(table, requires_grad=False)


@right
class WrittenBeforeItIsAParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        values = torch.empty(4, 4)
        for row in values:
            row.uniform_(-1, 1)
        self.weight = nn.Parameter(values)
        self.register_buffer("mask", torch.ones(4, 4).tril_(), persistent=False)
        self.register_buffer("bias", torch.zeros(4, 4).fill_(-math.inf), persistent=False)


@right
class PartsOverAWhole(nn.Module):
    """A diagonal and every other column over what is general, and whole rows over some of both."""

    def __init__(self) -> None:
        super().__init__()
        self.mixing = nn.Linear(4, 4)
        self.table = nn.Embedding(4, 8)
        self.apply(general)
        self.mixing.weight.data.diagonal().fill_(1.0)
        self.mixing.weight.data[0].zero_()
        self.table.weight.data[:, 0::2].zero_()
        self.table.weight.data[1:3].fill_(1.0)


@right
class TheSameAgain(nn.Module):
    """An init function that repeats the constructor's table, and the draws of torch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 4)
        classes = torch.ones(4)
        classes[-1] = 0.1
        self.register_buffer("classes", classes)
        pairs = torch.empty(4, 8)
        pairs[:, 0::2] = torch.arange(4.0)[:, None].sin()
        pairs[:, 1::2] = torch.arange(4.0)[:, None].cos()
        self.register_buffer("pairs", pairs)
        self.init_weights()

    def init_weights(self) -> None:
        self.apply(general)
        init.kaiming_uniform_(self.head.weight, a=math.sqrt(5))
        init.uniform_(self.head.bias, -1 / math.sqrt(8), 1 / math.sqrt(8))
        self.classes.fill_(1)
        self.classes[-1] = 0.1
        self.pairs[:, 0::2] = torch.arange(4.0)[:, None].sin()
        self.pairs[:, 1::2] = torch.arange(4.0)[:, None].cos()


@right
class NothingToHold(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Linear(8, 0)
        self.init_weights()

    def init_weights(self) -> None:
        init.zeros_(self.squeeze.weight)


@right
class StandInRedone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))
        self.conv = parametrizations.weight_norm(nn.Conv1d(4, 4, 3))
        init.orthogonal_(self.weight)


@right
class WithItsOwnInit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        self.linear = nn.Linear(8, 16, bias=False)
        self.linear.weight = self.embedding.weight
        self.register_buffer("frequencies", torch.empty(4), persistent=False)
        self.init_weights()

    def init_weights(self) -> None:
        self.linear.weight = self.embedding.weight
        init.normal_(self.embedding.weight, std=0.02)
        self.frequencies.copy_(10000 ** -(torch.arange(0, 8, 2) / 8))


@right
class BiasByFormula(nn.Module):
    """Mamba's step: the inverse of softplus over a draw, on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.dt_proj = nn.Linear(8, 8)
        step = torch.exp(torch.rand(8) * (math.log(0.1) - math.log(0.001)) + math.log(0.001)).clamp(min=1e-4)
        with torch.no_grad():
            self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))
