"""Runs of a model's own code on a batch: what its modules give, and whose faults are whose."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import sys
from collections import Counter
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, NamedTuple

from initcfg.errors import Code, Location, SpecError
from initcfg.probe.passes import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Array = Any
    First = Callable[[Any], tuple[Array, Callable[[Array], Any]] | None]


class Batch(NamedTuple):
    """What a model is called with, and the target of its loss."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: Any = None
    about: str = "the batch given"

    @classmethod
    def of(cls, given: Any) -> Batch:
        """A mapping is given by keywords; of a pair the second is the target; all else is the one input."""
        if hasattr(given, "keys"):
            keywords = dict(given)
            return cls((), keywords, keywords.get("labels"))
        if isinstance(given, tuple | list) and len(given) == 2:
            return cls((given[0],), {}, given[1])
        return cls((given,), {})


class Trial:
    """A block that runs the code of a model, and tells its faults from those of what looks on.

    Args:
        model: how messages call it.
        about: the batch, in words.
        hint: what to give instead.
        libraries: the names of modules in which no line is the model's own.
    """

    def __init__(self, model: str, about: str, hint: str, libraries: Sequence[str]) -> None:
        self.model, self._about = model, about
        self._hint, self._libraries = hint, ("initcfg", *libraries)
        self._own: Exception | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """A block whose exceptions are the model's: a SpecError, at the line of its code."""
        try:
            yield
        except Exception as error:
            own = self._own or (error if isinstance(error, SpecError) else None)
            if own is not None:  # Keras raises another error in its place, made of the text alone
                raise own from own.__cause__
            # Keras writes the words of an error in bold, and puts its own around them; a KeyError quotes all.
            words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
            bold = re.search(r"\x1b\[1m(.*?)\x1b\[0m", words, re.DOTALL)
            said = (bold[1] if bold else str(error)).strip().partition("\n")[0]
            message = f"{self.model} fails on {self._about}: {type(error).__name__}: {said}"
            raise SpecError.of(Code.INPUT, message, self._hint, self._line_of(error)) from error

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """A block inside the model's code whose exceptions are not the model's."""
        try:
            yield
        except Exception as error:
            self._own = error
            raise

    def _line_of(self, error: BaseException) -> Location | None:
        """The innermost line that is of no library."""
        files = (sys.modules[each].__file__ for each in self._libraries if each in sys.modules)
        others = tuple(str(Path(each).parent) + os.sep for each in files if each)
        lines = (
            each for each in extract_tb(error.__traceback__) if not each.filename.startswith(("<", *others))
        )
        line = next(reversed(list(lines)), None)
        return None if line is None else Location(line.filename, line.lineno)


class Watch:
    """Looks at what modules give, and goes on with what is given back for it.

    Args:
        blocks: the names of those that are blocks.
        first: finds the first floating array in what a module takes or gives, with a function that puts
            another array in its place; None where there is none.
        look: called with what is seen and its array, gives the array to go on with.
        trial: in which the model runs: exceptions of `look` are none of the model's.
    """

    def __init__(
        self, blocks: set[str], first: First, look: Callable[[Seen, Array], Array], trial: Trial
    ) -> None:
        self._blocks, self._first, self._look, self._trial = blocks, first, look, trial
        self._inside: list[tuple[str, int]] = []  # with how many calls had ended when it began
        self._calls: Counter[str] = Counter()
        self._has_begun = False

    @property
    def innermost(self) -> str | None:
        """The name of the innermost module that is being called; None outside of all."""
        return self._inside[-1][0] if self._inside else None

    def call(self, name: str, kind: str, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Calls a module, and gives its output."""
        args, kwargs = self.enter(name, (args, kwargs))
        return self.leave(name, kind, call(*args, **kwargs))

    def enter(self, name: str, given: Any) -> Any:
        """Begins a call of a module; gives what it is given, before the first block after a look."""
        if name in self._blocks and not self._has_begun:
            self._has_begun = True
            given = self._looked_at(given, Seen(f"before {name or 'all'}", "", True, False))
        self._inside.append((name, self._calls.total()))
        return given

    def leave(self, name: str, kind: str, output: Any) -> Any:
        """Ends a call of a module; gives its output, of a block or a leaf after a look."""
        is_leaf = self._inside.pop()[1] == self._calls.total()
        self._calls[name] += 1
        is_block = name in self._blocks
        if not (is_block or is_leaf):
            return output
        again = f" ({self._calls[name]})" if self._calls[name] > 1 else ""
        return self._looked_at(output, Seen(f"{name or 'all'}{again}", kind, is_block, is_leaf))

    def _looked_at(self, tree: Any, seen: Seen) -> Any:
        found = self._first(tree)
        if found is None:
            return tree
        array, put = found
        with self._trial.looking():
            looked = self._look(seen, array)
        return tree if looked is array else put(looked)


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Has an object, a class or a module hold something else under a name while the block runs."""
    kind: Any = type if isinstance(owner, type) else object  # a class of the owner's may watch what is set
    before = {name: vars(owner)[name]} if name in vars(owner) else {}
    kind.__setattr__(owner, name, value)
    try:
        yield
    finally:
        if before:
            kind.__setattr__(owner, name, before[name])
        else:
            kind.__delattr__(owner, name)


@contextlib.contextmanager
def noted(
    functions: Iterable[tuple[Any, str, str]], note: Callable[[str, Mapping[str, Any], Any], None]
) -> Iterator[None]:
    """Notes calls of functions, given by module, name and what a probe calls them, while the block runs."""

    def through(function: str, own: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = own(*args, **kwargs)
            note(function, inspect.signature(own).bind(*args, **kwargs).arguments, result)
            return result

        return call

    with contextlib.ExitStack() as stack:
        for module, name, function in functions:
            if hasattr(module, name):  # as in all but the first versions
                stack.enter_context(replaced(module, name, through(function, getattr(module, name))))
        yield
