"""Runs a module's code and keeps the programs of its memories: no large array is made meanwhile.

Random, uninitialised and large tensors live on the meta device while the module's code believes them to be on
the CPU; what is small and fixed is really made. A write adds a node to the program of the memory it goes to.
"""

from __future__ import annotations

import contextlib
import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from initcfg.adapters.torch.calls import UNPLACED, called
from initcfg.adapters.torch.programs import (
    Geometry,
    Hole,
    Memory,
    Node,
    Read,
    behind,
    key_of,
    mapped,
    reads_in,
    real,
    tensors_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from initcfg.capture.values import Phase, Write

#: Fixed tensors of more elements are not made before their values are asked for.
_SMALL = 2**18
_CPU = torch.device("cpu")
_LOCK = threading.Lock()


# What these write does not depend on the values that were there before.
_FILLS = "normal uniform fill zero copy random bernoulli exponential geometric cauchy log_normal"
_OVERWRITING = frozenset(f"aten::{name}_" for name in _FILLS.split())
_VIEWS = "set resize t transpose squeeze unsqueeze swapdims as_strided"
_RESHAPING = frozenset(f"aten::{name}_" for name in _VIEWS.split())
# Getters of attributes are new objects each time: equal, and not the same.
_ASKED = {getattr(torch.Tensor, name).__get__: name for name in ("device", "is_meta", "is_cpu")}
_SET_DATA = torch.Tensor.data.__set__
_VALUES = frozenset({torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__})
_TAKING = ("aten::empty", "aten::new_empty")
_READING = frozenset(f"aten::{name}" for name in ("_local_scalar_dense", "nonzero", "equal", "is_nonzero"))


class Programs(TorchDispatchMode):  # type: ignore[misc]
    """Keeps the program of each memory while it is on."""

    # Without this the first use imports torch._dynamo, which takes seconds.
    _should_skip_dynamo = classmethod(lambda _: False)

    def __init__(self, *, lines: bool = True) -> None:
        super().__init__()
        #: Whether the lines of code behind writes are kept, which takes half of the time.
        self.lines = lines
        self.memories: dict[int, Memory] = {}
        #: Of memory whose values are really made the writes alone: what made it, and what wrote to it.
        self.fixed: dict[int, Memory] = {}
        self.phase: Phase | None = None
        self._count = 0
        self._shown: dict[int, list[_Shown]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation, or only notes it."""
        with torch._C.DisableTorchFunction():
            if self._shown:
                self.settle(map(key_of, tensors_in((args, kwargs))))
            result = self._run(func, args, kwargs or {})
            for tensor in tensors_in(result) if self.lines else ():
                if tensor.layout is torch.strided and self._known(tensor) is None:
                    self._note_fixed(tensor, self._fixed_node(func, args, kwargs or {}))
            return result

    def memory_of(self, tensor: torch.Tensor) -> Memory | None:
        """The program of a tensor's memory, where it has one."""
        memory = self.memories.get(key_of(tensor))
        if memory is not None and memory.dtype.is_complex and not tensor.is_complex():
            memory = self.memories[key_of(tensor)] = memory.in_parts()
        return memory

    def read(self, tensor: torch.Tensor) -> Read:
        """A tensor's values as they are now."""
        memory = self.memory_of(tensor)
        if memory is None:
            values = tensor.detach().clone()
            return self._follow(values, self._fixed_values(values, tensor)).read(values)
        return memory.read(tensor)

    def history(self, tensor: torch.Tensor) -> Read | None:
        """A tensor with the writes that it has seen, which need not be all that gave it values."""
        memory = self._known(tensor)
        return None if memory is None else memory.read(tensor)

    def histories(self) -> Iterator[Memory]:
        """Each memory with all writes to it."""
        for key in dict.fromkeys((*self.fixed, *self.memories)):
            parts = [part for part in (self.fixed.get(key), self.memories.get(key)) if part is not None]
            yield replace(parts[-1], writes=[write for part in parts for write in part.writes])

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is kept while a block runs."""
        with torch._C.DisableTorchFunction(), _disable_current_modes():
            yield

    def _known(self, tensor: torch.Tensor) -> Memory | None:
        return self.memory_of(tensor) or self.fixed.get(key_of(tensor))

    def show(self, tensor: torch.Tensor, func: Any) -> torch.Tensor:
        """A tensor's values for a function; numpy may write to what it has of them."""
        with self.paused():
            node = self._node("numpy", (tensor.detach(),), {}, is_random=False)
            values = node.args[0].values()
            if func != torch.Tensor.tolist:
                shown = _Shown(tensor.detach(), node, values, values.clone())
                self._shown.setdefault(key_of(tensor), []).append(shown)
            return values

    def settle(self, keys: Iterable[int] | None = None) -> None:
        """Notes what was written meanwhile to arrays of numpy that show some memories, or any."""
        at = self._shown.keys() if keys is None else self._shown.keys() & set(keys)
        with self.paused():
            for each in [each for key in at for each in self._shown[key]]:
                if each.values.numpy().tobytes() != each.before.numpy().tobytes():
                    self._note_shown(each)

    def _note_shown(self, shown: _Shown) -> None:
        tensor, node, values, before = shown
        behind_it = behind(*node.args, exactly=True) if bool((values == before).any()) else {}
        is_random = any(each.is_random for each in behind_it)
        is_kept = is_random or any(each.is_empty for each in behind_it) or bool(values.isnan().any())
        args = node.args if is_kept else ()
        made = replace(node, args=args, is_random=is_random, values=[values.clone()], into=(0,))
        self.note(made, [tensor])
        before.copy_(values)

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:  # noqa: PLR0911  a list of cases
        schema, name = func._schema, func._schema.name
        tensors = list(tensors_in((args, kwargs)))
        symbolic = any(self.memory_of(each) for each in tensors)
        wrote = list(_written(func, args, kwargs))
        if name in _RESHAPING or (not wrote and any(each.alias_info for each in schema.returns)):
            return func(*args, **kwargs)
        if name in _READING and symbolic:
            return self._really(func, args, kwargs)
        is_random = torch.Tag.nondeterministic_seeded in func.tags
        is_empty = name.startswith(_TAKING)
        if wrote:
            if symbolic or is_random:
                return self._note_write(func, args, kwargs, wrote, is_random=is_random)
            if not self.lines:
                return func(*args, **kwargs)
            for each in wrote:
                if self._known(each) is None:
                    self._note_fixed(each, self._fixed_values(None, each))
            node = self._fixed_node(func, args, kwargs)
            result = func(*args, **kwargs)
            node.values, node.into = [each.detach().clone() for each in wrote], (0,)
            self.note(node, wrote)
            return result
        big = not tensors and any(str(each.type) == "Tensor" for each in schema.returns)
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
        read_args, read_kwargs = self._arguments(args), self._arguments(kwargs)
        nodes = {node: None for read in reads_in((read_args, read_kwargs)) for node in behind(read)}
        result = func(*real(read_args), **real(read_kwargs))
        if any(node.is_random for node in nodes):
            node = self._node(func, args, kwargs, is_random=True)
            node.values = list(tensors_in(result))
            for output, tensor in enumerate(node.values):
                self._follow(tensor, node, output)
        return result

    def _arguments(self, tree: Any) -> Any:
        """Arguments with reads in the place of tensors."""
        return mapped(lambda each: self.read(each) if isinstance(each, torch.Tensor) else each, tree)

    def _node(self, op: Any, args: Any, kwargs: dict[str, Any], *, is_random: bool) -> Node:
        name = op if isinstance(op, str) else op._schema.name
        write = self._called(name, args, kwargs)
        self._count += 1
        if name.endswith("_like") or name.startswith("aten::new_"):  # of that only shape and dtype matter
            args = (Hole(tuple(args[0].shape), args[0].dtype), *args[1:])
        read_args, read_kwargs = self._arguments(args), self._arguments(kwargs)
        return Node(op, tuple(read_args), read_kwargs, write, self._count, is_random)

    def _called(self, name: str, args: Any, kwargs: dict[str, Any]) -> Write:
        return called(name, args, kwargs, self.phase) if self.lines else UNPLACED

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
            memory = self._known(tensor) if node.op == "fixed" else self.memory_of(tensor)
            (memory or self._begin(tensor)).writes.append((Geometry.of(tensor), node, output))

    def scheme(self, name: str, tensor: torch.Tensor, numbers: tuple[float, ...]) -> torch.Tensor:
        """Notes a function of ``torch.nn.init`` that tests or loops over what it drew."""
        with self.paused():
            node = self._node(name, (tensor.detach(), *numbers), {}, is_random=True)
            node.into = (0,)
            self.note(node, [tensor.detach()])
        return tensor

    def _begin(self, tensor: torch.Tensor) -> Memory:
        """Follows memory that held fixed values, from now on."""
        whole = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        length = tensor.untyped_storage().nbytes() // tensor.element_size()
        whole = whole.set_(tensor.untyped_storage(), 0, (length,), (1,))
        return self._follow(tensor, self._fixed_values(whole.clone(), tensor), 0, Geometry.of(whole))

    def _follow(
        self, tensor: torch.Tensor, node: Node, output: int = 0, at: Geometry | None = None
    ) -> Memory:
        memory = _memory(tensor, (tensor.untyped_storage(), tensor))
        memory.writes.append((at or memory.geometry, node, output))
        self.memories[key_of(tensor)] = memory
        return memory

    def _note_fixed(self, tensor: torch.Tensor, node: Node) -> None:
        # The key of memory that was given back is not used again while there is such a reference.
        memory = self.fixed[key_of(tensor)] = _memory(tensor, StorageWeakRef(tensor.untyped_storage()))
        memory.writes.append((memory.geometry, node, 0))

    def _fixed_node(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Node:
        """An operation whose values are really made: where it was called, and what it may have read."""
        name = func._schema.name
        self._count += 1
        read = tensors_in((args[1:] if name in _OVERWRITING else args, kwargs))
        sources = tuple(filter(None, map(self.history, read)))
        return Node("fixed", sources, {}, self._called(name, args, kwargs), self._count, is_random=False)

    def _fixed_values(self, values: torch.Tensor | None, tensor: torch.Tensor) -> Node:
        """Values that a tensor holds, of which it need not be known where they are from."""
        sources = tuple(filter(None, (self.history(tensor),)))
        write = self._called("aten::clone", (), {})
        return Node("fixed", sources, {}, write, 0, is_random=False, values=[values])


class _Shown(NamedTuple):
    """Values that numpy may write to: the tensor that they are of, and what they were at first."""

    tensor: torch.Tensor
    node: Node
    values: torch.Tensor
    before: torch.Tensor


class _Disguise(TorchFunctionMode):  # type: ignore[misc]
    """Answers for tensors on the meta device as those on the CPU would."""

    def __init__(self, programs: Programs) -> None:
        super().__init__()
        self._programs = programs

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        asked = _ASKED.get(func)
        if asked == "device":
            return _CPU if args[0].is_meta else func(*args)
        if asked is not None:
            return asked == "is_cpu"
        if func in _VALUES:
            with torch._C.DisableTorchFunction(), _disable_current_modes():
                if self._programs.memory_of(args[0]) is not None:
                    args = (self._programs.show(args[0], func), *args[1:])
                return func(*args, **(kwargs or {}))
        if func == _SET_DATA and args[0].is_meta != args[1].is_meta:
            with torch._C.DisableTorchFunction(), _disable_current_modes():
                return _set_data(*args)
        return func(*args, **(kwargs or {}))


def _set_data(tensor: torch.Tensor, values: torch.Tensor) -> None:
    """``tensor.data = values``, where one alone is on the meta device, as only the recorder knows."""
    made = values.detach()
    if isinstance(tensor, torch.nn.Parameter):
        made = torch.nn.Parameter(made, tensor.requires_grad)
    torch._C._swap_tensor_impl(tensor, made)


# In place of the code of functions, which copies of them under other names share.
def _trunc_normal(tensor, mean, std, a, b, generator=None):  # type: ignore[no-untyped-def]  # noqa: ARG001, PLR0917
    return _initcfg_scheme("trunc_normal", tensor, (mean, std, a, b))  # type: ignore[name-defined]  # noqa: F821


def _orthogonal(tensor, gain=1, generator=None):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _initcfg_scheme("orthogonal", tensor, (gain,))  # type: ignore[name-defined]  # noqa: F821


def _sparse(tensor, sparsity, std=0.01, generator=None):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _initcfg_scheme("sparse", tensor, (sparsity, std))  # type: ignore[name-defined]  # noqa: F821


@contextlib.contextmanager
def random_states_kept(devices: list[int] | None = None) -> Iterator[None]:
    """Puts the random states of torch (on all devices, or these and the CPU), numpy and Python back."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices))
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        yield


@contextlib.contextmanager
def recording(seed: int, *, lines: bool = True) -> Iterator[Programs]:
    """Programs kept while a block runs; torch is afterwards as it was, also after an exception."""
    programs = Programs(lines=lines)
    init = torch.nn.init
    with _LOCK, contextlib.ExitStack() as stack:
        stack.enter_context(random_states_kept([]))
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        stack.callback(torch.set_grad_enabled, torch.is_grad_enabled())
        stack.callback(_set_default_device, _default_device())
        _swap(init._no_grad_trunc_normal_, _trunc_normal, programs, stack)
        _swap(init.orthogonal_, _orthogonal, programs, stack)
        _swap(init.sparse_, _sparse, programs, stack)
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        stack.enter_context(_Disguise(programs))
        stack.enter_context(programs)
        yield programs


def _default_device() -> torch.device | None:
    """The device that code has set for new tensors; None where nothing has."""
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device


def _set_default_device(device: torch.device | None) -> None:
    if _default_device() != device:
        torch.set_default_device(device)


def _swap(function: Any, other: Callable[..., Any], programs: Programs, stack: contextlib.ExitStack) -> None:
    own = function.__code__
    names = function.__globals__
    stack.callback(setattr, function, "__code__", own)
    names["_initcfg_scheme"] = programs.scheme
    stack.callback(names.pop, "_initcfg_scheme", None)
    function.__code__ = other.__code__.replace(co_filename=own.co_filename, co_name=own.co_name)


def _memory(tensor: torch.Tensor, storage: Any) -> Memory:
    length = tensor.untyped_storage().nbytes() // tensor.element_size()
    return Memory(storage, Geometry.of(tensor), tensor.dtype, length)


def _as_meta(tree: Any) -> Any:
    def convert(each: Any) -> Any:
        if not isinstance(each, torch.Tensor) or each.is_meta or not each.ndim:
            return each
        return torch.empty_strided(each.shape, each.stride(), dtype=each.dtype, device="meta")

    return mapped(convert, tree)


def _on(kwargs: dict[str, Any], schema: Any, device: torch.device) -> dict[str, Any]:
    """Arguments with a device, where the operation takes one."""
    moved = {key: each for key, each in _as_meta(kwargs).items() if key != "pin_memory"}
    if "generator" in moved:  # torch needs the argument to find the overload, but not one of another device
        moved["generator"] = None
    if any(each.name == "device" for each in schema.arguments):
        moved["device"] = device
    return moved


def _written(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """The arguments that an operation writes to, as its schema says."""
    for at, argument in enumerate(func._schema.arguments):
        if argument.is_write:
            yield from tensors_in(args[at] if at < len(args) else kwargs.get(argument.name))
