"""Which line of code runs an operation of torch, and what it calls."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import torch

from initcfg.capture.values import Site, Write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from initcfg.capture.values import Phase

_TORCH = os.path.dirname(torch.__file__)  # noqa: PTH120 - it is held against names of files as they come
_BETWEEN = ("/nn/init.py", "/transformers/initialization.py", "/torch/recording.py", __file__)
_INIT_NAMES = frozenset({"init_weights", "_init_weights", "initialize_weights", "_initialize_weights"})


def called(name: str, args: Any, kwargs: Mapping[str, Any], phase: Phase | None) -> Write:
    """The write that an operation is: what it is called with, the lines that called it, and when."""
    frames = list(_frames(sys._getframe(1)))
    scheme = next((each for each in reversed(frames[:8]) if _is_scheme(each)), None)
    outside = [each for each in frames if not each.f_code.co_filename.endswith(_BETWEEN)]
    own = [each for each in outside if not each.f_code.co_filename.startswith((_TORCH, "<frozen"))]
    site = own[0] if own else outside[-1]
    inner = next((each for each in outside if each is site or "/torch/nn/" in each.f_code.co_filename), site)
    if phase is None:
        is_init = any(each.f_code.co_name in _INIT_NAMES or _is_apply(each) for each in frames)
        phase = "init" if is_init else "constructor"
    call = _operation(name, args, kwargs) if scheme is None else _scheme(scheme)
    return Write(call, _site(inner), _site(site), phase)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _site(frame: FrameType) -> Site:
    return Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _is_scheme(frame: FrameType) -> bool:
    """Whether a frame is that of a function of ``torch.nn.init``."""
    return frame.f_code.co_filename.endswith("/torch/nn/init.py") and frame.f_code.co_name.endswith("_")


def _is_apply(frame: FrameType) -> bool:
    return frame.f_code.co_name == "apply" and frame.f_code.co_filename.endswith("/nn/modules/module.py")


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
