"""A module's initialization as small programs, one for each memory: no large array is made while it runs.

Random, uninitialised and large tensors live on the meta device while the module's code believes them to be on
the CPU; what is small and fixed is really made. A write adds a node to the program of the memory it goes to.
"""

from __future__ import annotations

import contextlib
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_map

from initcfg.adapters.torch.watching import OVERWRITING, described, key_of, tensors_in, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.capture.values import Phase, Write

#: Fixed tensors of more elements are not made before their values are asked for.
_SMALL = 2**18
#: More elements than these are never made.
LARGEST = 2**26
_CPU = torch.device("cpu")
_LOCK = threading.Lock()

# The values that were there before do not go into what these write.
_OVERWRITING = OVERWRITING | {"aten::cauchy_", "aten::log_normal_"}
_RESHAPING = frozenset(
    f"aten::{name}_"
    for name in (
        *("set", "resize", "t", "transpose", "squeeze"),
        *("unsqueeze", "swapdims", "as_strided"),
    )
)
_TAKING = ("aten::empty", "aten::new_empty")
_READING = frozenset(f"aten::{name}" for name in ("_local_scalar_dense", "nonzero", "equal", "is_nonzero"))


class Geometry(NamedTuple):
    """Which elements of a memory a tensor is, in what order."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


@dataclass(eq=False, slots=True)
class Node:
    """An operation, with what it read as it was then."""

    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    write: Write
    at: int
    is_random: bool
    is_empty: bool = False
    into: tuple[int | str, ...] = ()  # the arguments that it writes to, by place or name
    values: Any = None  # where they are known, or were once made

    @property
    def name(self) -> str:
        """The operation's name without its variants: ``mul`` of ``aten::_foreach_mul_.Scalar``."""
        name: str = self.op if isinstance(self.op, str) else self.op._schema.name
        return name.removeprefix("aten::").removeprefix("_foreach_").strip("_")


@dataclass(eq=False, slots=True)
class Memory:
    """The program of one memory: which elements were written, each time by which output of which node."""

    storage: Any
    geometry: Geometry
    dtype: torch.dtype
    length: int
    writes: list[tuple[Geometry, Node, int]] = field(default_factory=list)


@dataclass(frozen=True, eq=False, slots=True)
class Read:
    """A tensor's values, as they were after the first `count` writes to its memory."""

    memory: Memory
    count: int
    geometry: Geometry
    dtype: torch.dtype

    @property
    def writes(self) -> list[tuple[Geometry, Node, int]]:
        """The writes to the memory until then."""
        return self.memory.writes[: self.count]


@dataclass(frozen=True, slots=True)
class Hole:
    """A tensor of which no value is read: an operation writes all of it."""

    size: tuple[int, ...]
    dtype: torch.dtype


class TooLargeError(Exception):
    """Values were asked for that are too many to be made."""


def reads_in(tree: Any) -> Iterator[Read]:
    """The reads in some arguments."""
    if isinstance(tree, Read):
        yield tree
    elif isinstance(tree, list | tuple):
        for each in tree:
            yield from reads_in(each)
    elif isinstance(tree, dict):
        yield from reads_in(tuple(tree.values()))


def behind(read: Read) -> dict[Node, None]:
    """All nodes that could have gone into values."""
    found: dict[Node, None] = {}
    waiting = [read]
    while waiting:
        for _, node, _ in waiting.pop().writes:
            if node not in found:
                found[node] = None
                waiting += reads_in((node.args, node.kwargs))
    return found


def is_open(value: Any) -> bool:
    """Whether an argument holds random values or what nothing wrote."""
    return any(node.is_random or node.is_empty for read in reads_in(value) for node in behind(read))


def values_of(read: Read) -> torch.Tensor:
    """The values; of random ones a draw, which stays the same.

    Raises:
        TooLargeError: they are too many, or seen as another dtype.
    """
    memory = read.memory
    if memory.length > LARGEST or read.dtype != memory.dtype:
        raise TooLargeError
    made = torch.zeros(memory.length, dtype=memory.dtype)
    for geometry, node, output in read.writes:
        if not node.is_empty:
            made.as_strided(*geometry).copy_(outputs_of(node)[output])
    return made.as_strided(*read.geometry)


def outputs_of(node: Node) -> list[torch.Tensor]:
    """What a node makes, or writes."""
    if node.values is None:
        args, kwargs = _real(node.args), _real(node.kwargs)
        with torch.no_grad():
            result = node.op(*args, **kwargs)
        wrote = [args[at] if isinstance(at, int) else kwargs[at] for at in node.into]
        node.values = list(tensors_in(wrote or result))
    made: list[torch.Tensor] = node.values
    return made


def _real(tree: Any) -> Any:
    if isinstance(tree, Read):
        return values_of(tree).clone()
    if isinstance(tree, Hole):
        return torch.zeros(tree.size, dtype=tree.dtype)
    if isinstance(tree, list | tuple):
        return type(tree)(map(_real, tree))
    if isinstance(tree, dict):
        return {key: _real(each) for key, each in tree.items()}
    return _CPU if isinstance(tree, torch.device) else tree


class Programs(TorchDispatchMode):  # type: ignore[misc]
    """Keeps the program of each memory while it is on."""

    # Without this the first use imports torch._dynamo, which takes seconds.
    _should_skip_dynamo = classmethod(lambda _: False)

    def __init__(self) -> None:
        super().__init__()
        self.memories: dict[int, Memory] = {}
        self.fixed: dict[int, list[Write]] = {}
        self.phase: Phase | None = None
        self._kept: list[Any] = []  # memory that is given back would be taken for another's
        self._count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation, or only notes it."""
        with torch._C.DisableTorchFunction():
            return self._run(func, args, kwargs or {})

    def memory_of(self, tensor: torch.Tensor) -> Memory | None:
        """The program of a tensor's memory, where it has one."""
        return self.memories.get(key_of(tensor))

    def read(self, tensor: torch.Tensor) -> Read:
        """A tensor's values as they are now."""
        memory = self.memory_of(tensor)
        if memory is None:
            memory = self._follow(tensor.detach().clone(), None)
            tensor = memory.storage[1]
        return Read(memory, len(memory.writes), _geometry(tensor), tensor.dtype)

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:  # noqa: PLR0911  a list of cases
        schema, name = func._schema, func._schema.name
        symbolic = any(self.memory_of(each) for each in tensors_in((args, kwargs)))
        wrote = list(written(func, args, kwargs))
        if name in _RESHAPING or (not wrote and any(each.alias_info for each in schema.returns)):
            return func(*args, **kwargs)
        if name in _READING and symbolic:
            return self._really(func, args, kwargs)
        is_random = torch.Tag.nondeterministic_seeded in func.tags
        is_empty = name.startswith(_TAKING)
        if wrote:
            if symbolic or is_random:
                return self._note_write(func, args, kwargs, wrote, is_random=is_random)
            for each in wrote:
                self._kept.append(each)
                self.fixed.setdefault(key_of(each), []).append(described(name, args, kwargs, self.phase)[0])
            return func(*args, **kwargs)
        makes = any(str(each.type) == "Tensor" for each in schema.returns)
        big = makes and not symbolic and not any(True for _ in tensors_in((args, kwargs)))
        if not (symbolic or is_random or is_empty or big):
            return func(*args, **kwargs)
        try:
            result = func(*_as_meta(args), **_on(kwargs, schema, torch.device("meta")))
        except (NotImplementedError, RuntimeError):
            if not symbolic:
                raise
            return self._really(func, args, kwargs)
        if big and not (is_random or is_empty) and result.numel() <= _SMALL:
            return func(*args, **_on(kwargs, schema, _CPU))
        node = self._node(func, args, kwargs, is_random=is_random)
        node.is_empty = is_empty
        for output, tensor in enumerate(tensors_in(result)):
            self._follow(tensor, node, output)
        return result

    def _really(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Runs what needs values on such; what it makes of random ones stays known as random."""
        read_args, read_kwargs = tree_map(self._argument, args), tree_map(self._argument, kwargs)
        nodes = {node: None for read in reads_in((read_args, read_kwargs)) for node in behind(read)}
        result = func(*_real(read_args), **_real(read_kwargs))
        if any(node.is_random for node in nodes):
            node = self._node(func, args, kwargs, is_random=True)
            node.values = list(tensors_in(result))
            for output, tensor in enumerate(node.values):
                self._follow(tensor, node, output)
        return result

    def _argument(self, value: Any) -> Any:
        return self.read(value) if isinstance(value, torch.Tensor) else value

    def _node(self, op: Any, args: Any, kwargs: dict[str, Any], *, is_random: bool) -> Node:
        name = op if isinstance(op, str) else op._schema.name
        write, _ = described(name, args, kwargs, self.phase)
        self._count += 1
        if name.endswith("_like"):  # of that only shape and dtype matter
            args = (Hole(tuple(args[0].shape), args[0].dtype), *args[1:])
        read_args, read_kwargs = tree_map(self._argument, args), tree_map(self._argument, kwargs)
        return Node(op, tuple(read_args), read_kwargs, write, self._count, is_random)

    def _note_write(
        self, func: Any, args: Any, kwargs: dict[str, Any], wrote: list[torch.Tensor], *, is_random: bool
    ) -> Any:
        for each in wrote:
            if self.memory_of(each) is None:
                self._begin(each)
        node = self._node(func, args, kwargs, is_random=is_random)
        places = [at for at, each in enumerate(func._schema.arguments) if each.is_write]
        positional = list(node.args)
        into: list[Any] = []
        for at in places:
            argument = func._schema.arguments[at]
            into.append(at if at < len(args) else argument.name)
            if at < len(args) and func._schema.name in _OVERWRITING:
                positional[at] = Hole(tuple(args[at].shape), args[at].dtype)
            elif at >= len(args):
                out = kwargs[argument.name]
                node.kwargs[argument.name] = Hole(tuple(out.shape), out.dtype)
        node.args, node.into = tuple(positional), tuple(into)
        self.note(node, wrote)
        returns = func._schema.returns
        return None if not returns else wrote[0] if len(returns) == 1 and len(wrote) == 1 else tuple(wrote)

    def note(self, node: Node, wrote: list[torch.Tensor]) -> None:
        """Adds what a node writes to the programs of some tensors' memories."""
        for output, tensor in enumerate(wrote):
            memory = self.memory_of(tensor) or self._begin(tensor)
            memory.writes.append((_geometry(tensor), node, output))

    def scheme(self, name: str, tensor: torch.Tensor, numbers: tuple[float, ...]) -> torch.Tensor:
        """Notes a function of ``torch.nn.init`` that tests or loops over what it drew."""
        with torch._C.DisableTorchFunction(), _disable_current_modes():
            self.note(self._node(name, (tensor.detach(), *numbers), {}, is_random=True), [tensor.detach()])
        return tensor

    def _begin(self, tensor: torch.Tensor) -> Memory:
        """Follows memory that held fixed values, from now on."""
        whole = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        length = tensor.untyped_storage().nbytes() // tensor.element_size()
        whole = whole.set_(tensor.untyped_storage(), 0, (length,), (1,))
        write = described("aten::clone", (), {}, self.phase)[0]
        node = Node("fixed", (), {}, write, 0, is_random=False, values=[whole.clone()])
        return self._follow(tensor, node, 0, _geometry(whole))

    def _follow(
        self, tensor: torch.Tensor, node: Node | None, output: int = 0, at: Geometry | None = None
    ) -> Memory:
        if node is None:
            write = described("aten::clone", (), {}, self.phase)[0]
            node = Node("fixed", (), {}, write, 0, is_random=False, values=[tensor])
        length = tensor.untyped_storage().nbytes() // tensor.element_size()
        geometry = _geometry(tensor)
        memory = Memory((tensor.untyped_storage(), tensor), geometry, tensor.dtype, length)
        memory.writes.append((at or geometry, node, output))
        self.memories[key_of(tensor)] = memory
        return memory


class _Disguise(TorchFunctionMode):  # type: ignore[misc]
    """Answers for tensors on the meta device as those on the CPU would."""

    def __init__(self, programs: Programs) -> None:
        super().__init__()
        self._programs = programs

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Attributes' getters are new objects each time: equal, and not the same.
        if func == torch.Tensor.device.__get__:
            return _CPU if args[0].is_meta else func(*args)
        if func == torch.Tensor.is_meta.__get__:
            return False
        if func == torch.Tensor.is_cpu.__get__:
            return True
        if func in (torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__):
            with torch._C.DisableTorchFunction(), _disable_current_modes():
                if self._programs.memory_of(args[0]) is not None:
                    args = (values_of(self._programs.read(args[0])), *args[1:])
                return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


# In place of the code of functions, which copies of them under other names share.
def _trunc_normal(tensor, mean, std, a, b, generator=None):  # type: ignore[no-untyped-def]  # noqa: ARG001, PLR0917
    return _initcfg_scheme("trunc_normal", tensor, (mean, std, a, b))  # type: ignore[name-defined]  # noqa: F821


def _orthogonal(tensor, gain=1, generator=None):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _initcfg_scheme("orthogonal", tensor, (gain,))  # type: ignore[name-defined]  # noqa: F821


def _sparse(tensor, sparsity, std=0.01, generator=None):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _initcfg_scheme("sparse", tensor, (sparsity, std))  # type: ignore[name-defined]  # noqa: F821


@contextlib.contextmanager
def recording(seed: int) -> Iterator[Programs]:
    """Programs kept while a block runs; torch is afterwards as it was, also after an exception."""
    programs = Programs()
    init = torch.nn.init
    with _LOCK, contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        for function, code in (
            (init._no_grad_trunc_normal_, _trunc_normal),
            (init.orthogonal_, _orthogonal),
            (init.sparse_, _sparse),
        ):
            _swap(function, code, programs, stack)
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        stack.enter_context(_Disguise(programs))
        stack.enter_context(programs)
        yield programs


def _swap(function: Any, other: Callable[..., Any], programs: Programs, stack: contextlib.ExitStack) -> None:
    own = function.__code__
    names = function.__globals__
    stack.callback(setattr, function, "__code__", own)
    names["_initcfg_scheme"] = programs.scheme
    stack.callback(names.pop, "_initcfg_scheme", None)
    function.__code__ = other.__code__.replace(co_filename=own.co_filename, co_name=own.co_name)


def _geometry(tensor: torch.Tensor) -> Geometry:
    return Geometry(tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset())


def _as_meta(tree: Any) -> Any:
    def convert(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and not value.is_meta and value.ndim:
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        return value

    return tree_map(convert, tree)


def _on(kwargs: dict[str, Any], schema: Any, device: torch.device) -> dict[str, Any]:
    """Arguments with a device, where the operation takes one."""
    moved = {key: each for key, each in _as_meta(kwargs).items() if key not in ("pin_memory", "generator")}
    if any(each.name == "device" for each in schema.arguments):
        moved["device"] = device
    return moved
