"""The values of a model's config that its init code names, and others to put in their place."""

from __future__ import annotations

import ast
import inspect
import operator
import textwrap
from typing import TYPE_CHECKING, Any

from initcfg.capture.values import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# What models call the methods that write their parameters.
_INIT_CODE = ("_init_weights", "init_weights", "reset_parameters", "initialize_weights")
_FRAMEWORKS = ("torch.", "transformers.modeling_utils")


def named_settings(modules: Sequence[object], config: object) -> Iterator[tuple[str, Site]]:
    """The numbers of a config that the init code of some modules names, each with the first line that does.

    Code below a condition that fails for all modules is not looked at: an ``isinstance`` that none of these
    is, a ``hasattr`` that none of them has, a switch of the config that is off.
    """
    found: dict[str, Site] = {}
    for function in _init_code(modules, config):
        for node in _live(_tree(function), function, modules, config):
            if not _is_of_config(node) or not is_number(getattr(config, node.attr, None)):
                continue
            line = function.__code__.co_firstlineno + node.lineno - 1
            found.setdefault(node.attr, Site(function.__code__.co_filename, line, function.__name__))
    return iter(found.items())


def other_values(value: float) -> list[float]:
    """Numbers to try in the place of one, the nearest first for counts, which others may have to fit."""
    if isinstance(value, int):
        return [value + 1, 2 * value, max(1, value // 2)]
    return [2 * value or 0.5, value / 2 or 0.25]


def is_number(value: object) -> bool:
    """Whether a value of a config is a number that a spec could have."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _init_code(modules: Iterable[object], config: object) -> Iterator[Any]:
    """The functions that write parameters, of the classes of the modules that have this config or none."""
    own = {type(each): None for each in modules if getattr(each, "config", config) is config}
    seen: dict[Any, None] = {}
    for kind in own:
        for base in kind.__mro__:
            for name in _INIT_CODE:
                function = inspect.unwrap(vars(base)[name]) if callable(vars(base).get(name)) else None
                if inspect.isfunction(function) and not base.__module__.startswith(_FRAMEWORKS):
                    seen[function] = None
    return iter(seen)


def _tree(function: Callable[..., Any]) -> ast.AST:
    """The code of a function, with its lines counted from its first; nothing where there is no source."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return ast.Module([], [])


def _live(tree: ast.AST, function: Any, modules: Sequence[object], config: object) -> Iterator[Any]:
    """The attributes in code that numbers may be made of.

    None below a condition that fails for all of the modules, and none that is but held against a constant: a
    switch, as in ``if config.num_denoising > 0``.
    """
    parts: Iterable[ast.AST] = ast.iter_child_nodes(tree)
    if isinstance(tree, ast.If) and _fails(tree.test, function, modules, config):
        parts = tree.orelse
    elif isinstance(tree, ast.Compare) and all(isinstance(each, ast.Constant) for each in tree.comparators):
        parts = ()
    if isinstance(tree, ast.Attribute):
        yield tree
    for part in parts:
        yield from _live(part, function, modules, config)


def _fails(test: ast.expr, function: Any, modules: Sequence[object], config: object) -> bool:
    """Whether a condition asks for what no module is or has, or for another setting; False in doubt."""
    match test:
        case ast.BoolOp(op=ast.And()):
            return any(_fails(each, function, modules, config) for each in test.values)
        case ast.Attribute() if _is_of_config(test):
            return not getattr(config, test.attr, True)
        case ast.Compare(left=ast.Attribute() as left, ops=[how], comparators=[other]):
            known = _is_of_config(left) and type(how) in _COMPARED and _is_literal(other)
            ours = getattr(config, left.attr, None)
            return known and not _COMPARED[type(how)](ours, ast.literal_eval(other))
        case ast.Call(func=ast.Name("hasattr"), args=[ast.Name("module"), ast.Constant(str(name))]):
            return not any(hasattr(module, name) for module in modules)
        case ast.Call(func=ast.Name("isinstance"), args=[_, kinds]):
            return _is_no_module(kinds, function, modules)
    return False


_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda one, other: one in other,
}
_LITERAL = (ast.Constant, ast.Set, ast.Tuple, ast.List, ast.Load)


def _is_literal(node: ast.expr) -> bool:
    return all(isinstance(each, _LITERAL) for each in ast.walk(node))


def _is_no_module(named_kinds: ast.expr, function: Any, modules: Sequence[object]) -> bool:
    """Whether none of the modules is of the classes that code names; False if one of them is not found."""
    named = named_kinds.elts if isinstance(named_kinds, ast.Tuple) else [named_kinds]
    kinds = [_looked_up(ast.unparse(each), function.__globals__) for each in named]
    if not all(isinstance(kind, type) for kind in kinds):
        return False
    return not any(isinstance(module, tuple(kinds)) for module in modules)


def _looked_up(path: str, names: dict[str, Any]) -> Any:
    first, *rest = path.split(".")
    found = names.get(first)
    for step in rest:
        found = getattr(found, step, None)
    return found


def _is_of_config(node: ast.Attribute) -> bool:
    return ast.unparse(node.value) in ("self.config", "config", "module.config")
