"""Nothing that reaches a bit calls a function whose last bit depends on the machine.

numpy's ``log``, ``exp``, ``sin``, ``cos`` and sums give other bits on other processors, and BLAS with other
numbers of threads. So the engines may use only what IEEE 754 fixes, and this list is all they may use.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ENGINES = Path(__file__).parents[2] / "initcfg" / "engines"

NUMPY = {
    # Arithmetic that IEEE 754 rounds correctly, and integer operations.
    *("add", "subtract", "multiply", "divide", "sqrt", "negative", "absolute", "maximum", "minimum"),
    *(
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "left_shift",
        "right_shift",
        "copysign",
        "signbit",
        "isnan",
    ),
    # Moving and making arrays.
    *("copyto", "empty", "empty_like", "zeros_like", "ones_like", "array", "asarray", "arange"),
    *("newaxis", "nonzero", "where", "inf", "nan"),
    "errstate",
    # Types.
    *(
        "bool_",
        "dtype",
        "floating",
        "float32",
        "float64",
        "int32",
        "int64",
        "unsignedinteger",
        "uint32",
        "uint64",
    ),
}
MODULES = {
    *(
        "__future__",
        "collections",
        "dataclasses",
        "decimal",
        "fractions",
        "functools",
        "operator",
        "threading",
    ),
    *("typing", "initcfg", "numpy", "math", "ml_dtypes"),
    # Loading the compiled kernels, whose code test_native.py reads, and the choice of an engine.
    *("ctypes", "hashlib", "os", "pathlib", "struct", "sys", "warnings"),
}
MATH = {"ceil", "copysign", "factorial", "inf", "ldexp", "pi"}
METHODS = {"sum", "mean", "std", "var", "prod", "cumsum", "dot", "clip", "round", "trace", "conj"}


def breaches(source: str) -> list[str]:
    """Everything in a module that is not on the lists."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                bad = [alias.name for alias in names if alias.name.partition(".")[0] not in MODULES]
            case ast.ImportFrom(module=module, names=names):
                bad = [
                    f"{module}.{alias.name}" for alias in names if not importable(module or "", alias.name)
                ]
            case ast.Attribute(value=ast.Name(id="np"), attr=name):
                bad = [] if name in NUMPY else [f"np.{name}"]
            case ast.Attribute(value=ast.Name(id="math"), attr=name):
                bad = [] if name in MATH else [f"math.{name}"]
            case ast.Call(func=ast.Attribute(attr=name)) if name in METHODS:
                bad = [f".{name}()"]
            case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
                bad = ["@"]
            case ast.BinOp(op=ast.Pow(), left=base) | ast.AugAssign(op=ast.Pow(), target=base):
                bad = [] if exact_power(base) else ["**"]
            case _:
                bad = []
        found += [f"line {getattr(node, 'lineno', 0)}: {name}" for name in bad]
    return found


def importable(module: str, name: str) -> bool:
    top = module.partition(".")[0]
    return top in MODULES and top != "math" and (top != "numpy" or name == "NDArray")


def exact_power(base: ast.expr) -> bool:
    """Two, as a number or a rational: its powers are exact."""
    inner = base.args[0] if isinstance(base, ast.Call) and base.args else base
    return isinstance(inner, ast.Constant) and inner.value == 2


@pytest.mark.parametrize(
    "path", sorted(ENGINES.rglob("*.py")), ids=lambda path: path.relative_to(ENGINES).as_posix()
)
def test_engines_use_only_exact_operations(path: Path) -> None:
    assert breaches(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    [
        "import numpy as np\nnp.log(x, out=x)",
        "import numpy as np\nx = np.linalg.qr(x)",
        "import numpy as np\nx = np.power(x, 2)",
        "from numpy import exp",
        "import numpy.linalg\nimport scipy.special",
        "from math import log",
        "import math\ny = math.sin(x)",
        "y = x @ w",
        "y = x ** 0.5",
        "x **= 0.5",
        "y = w.dot(x)",
        "y = x.sum()",
    ],
)
def test_a_planted_violation_is_found(planted: str) -> None:
    assert breaches(planted)
