"""Which line of code runs an operation of torch, and what it calls."""

from __future__ import annotations

import os
import sys
import traceback
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from initcfg.capture.values import Site, Write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType, FrameType

    from initcfg.capture.values import Phase

_TORCH = os.path.dirname(torch.__file__)  # noqa: PTH120 - it is held against names of files as they come
_BETWEEN = ("/nn/init.py", "/transformers/initialization.py", "/torch/recording.py", __file__)
_INIT_NAMES = frozenset({"init_weights", "_init_weights", "initialize_weights", "_initialize_weights"})

#: In the place of a write whose line nobody asks for.
UNPLACED = Write("", Site("", 0, ""), Site("", 0, ""), "constructor")


def called(name: str, args: Any, kwargs: Mapping[str, Any], phase: Phase | None) -> Write:
    """The write that an operation is: what it is called with, the lines that called it, and when."""
    frames = [(each, _kind(each.f_code)) for each, _ in traceback.walk_stack(sys._getframe(1))]
    scheme = next((each for each, kind in reversed(frames[:8]) if kind.is_scheme), None)
    outside = [(each, kind) for each, kind in frames if not kind.is_between]
    site = next((each for each, kind in outside if not kind.is_torch), outside[-1][0])
    inner = next((each for each, kind in outside if each is site or kind.is_nn), site)
    if phase is None:
        phase = "init" if any(kind.is_init for _, kind in frames) else "constructor"
    call = _operation(name, args, kwargs) if scheme is None else _scheme(scheme)
    return Write(call, _site(inner), _site(site), phase)


def _site(frame: FrameType) -> Site:
    return Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


class _Kind(NamedTuple):
    """What a function is, by its file and name."""

    is_scheme: bool  # a function of torch.nn.init
    is_between: bool
    is_torch: bool
    is_nn: bool
    is_init: bool


@lru_cache(4096)
def _kind(code: CodeType) -> _Kind:
    file, name = code.co_filename, code.co_name
    is_apply = name == "apply" and file.endswith("/nn/modules/module.py")
    return _Kind(
        is_scheme=file.endswith("/torch/nn/init.py") and name.endswith("_"),
        is_between=file.endswith(_BETWEEN),
        is_torch=file.startswith((_TORCH, "<frozen")),
        is_nn="/torch/nn/" in file,
        is_init=name in _INIT_NAMES or is_apply,
    )


def _scheme(frame: FrameType) -> str:
    given = frame.f_locals
    names = frame.f_code.co_varnames[1 : frame.f_code.co_argcount]
    name = frame.f_code.co_name.lstrip("_").removeprefix("no_grad_")
    shown = ", ".join(f"{key}={given[key]:.6g}" for key in names if isinstance(given.get(key), int | float))
    return f"{name}({shown})"


def _operation(name: str, args: Any, kwargs: Mapping[str, Any]) -> str:
    numbers = [each for each in args[1:] if isinstance(each, int | float) and not isinstance(each, bool)]
    numbers += [each for key, each in kwargs.items() if isinstance(each, int | float) and key != "seed"]
    return f"{name.removeprefix('aten::').partition('.')[0]}({', '.join(f'{each:.6g}' for each in numbers)})"
