"""What the pages show of Python passes the type checkers that people use: mypy --strict and pyright."""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_pages import docs_tests

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/tutorial/*.md")), *sorted(ROOT.glob("docs/howto/*.md"))]
# The frameworks are taken for untyped: to read the types of torch alone takes minutes, and they are none of
# ours. A base class or a decorator of theirs is therefore allowed, which --strict refuses where untyped.
LENIENT = ("--allow-subclassing-any", "--allow-untyped-decorators", "--ignore-missing-imports")
MYPY_INI = """\
[mypy]

[mypy-initcfg.*]
follow_imports = silent

[mypy-torch.*,transformers.*,jax.*,flax.*,keras.*,ray.*,dask.*,distributed.*,hydra.*,omegaconf.*,lightning.*]
follow_imports = skip
"""
CHECKERS = {
    "mypy": [sys.executable, "-m", "mypy", "--strict", *LENIENT, "--hide-error-context", "."],
    "pyright": [sys.executable, "-m", "pyright"],
}
#: The packages whose types pyright sees: this one, what it requires, and what pages use that is small.
SEEN = (
    *("initcfg", "numpy", "pydantic", "pydantic_core", "annotated_types", "typing_extensions"),
    *("typing_inspection", "ml_dtypes", "yaml", "click", "rich", "hydra", "omegaconf"),
)


def source_of(body: str) -> str:
    """The code of a block; of a ``>>>`` block without the output."""
    if ">>>" not in body:
        return body
    return "".join(example.source for example in doctest.DocTestParser().get_examples(body))


def write_modules(pages: list[Path], folder: Path) -> int:
    """One module a page, since its blocks share a namespace, and one for each file that a page writes."""
    docs = docs_tests()
    modules: dict[str, list[str]] = {}
    for page in pages:
        for block in docs.blocks(page.read_text(encoding="utf-8")):
            if block.language == "python" and block.directive in (None, "file"):
                name = "page" if block.directive is None else Path(block.argument).stem
                modules.setdefault(f"{page.stem}_{name}".replace("-", "_"), []).append(source_of(block.body))
    for name, sources in modules.items():
        (folder / f"{name}.py").write_text("\n".join(sources), encoding="utf-8")
    return len(modules)


def link_packages(site: Path) -> None:
    """Fill a site-packages folder for pyright, which would read every framework of this environment."""
    site.mkdir(parents=True)
    for name in SEEN:
        spec = importlib.util.find_spec(name)
        assert spec
        assert spec.origin
        origin = Path(spec.origin)
        found = origin.parent if spec.submodule_search_locations else origin
        (site / found.name).symlink_to(found)


def configure(folder: Path) -> None:
    """Write what the checkers read beside the modules."""
    (folder / "mypy.ini").write_text(MYPY_INI)
    site = Path("types", "lib", f"python3.{sys.version_info.minor}", "site-packages")
    link_packages(folder / ".environments" / site)
    options = {
        "include": ["*.py"],
        "venvPath": ".environments",
        "venv": "types",
        "pythonVersion": f"3.{sys.version_info.minor}",
        "typeCheckingMode": "standard",
        "reportMissingImports": "none",
        "reportMissingModuleSource": "none",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(options))


def complaints(checker: str, folder: Path) -> dict[str, list[str]]:
    """The errors that a type checker finds in the modules of a folder, by module."""
    configure(folder)
    environment = {**os.environ, "MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        CHECKERS[checker], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        if error := re.search(r"(\w+)\.py:\d+\b.* error: ", line):
            found.setdefault(error[1], []).append(line.strip())
    assert bool(found) == bool(done.returncode), done.stdout + done.stderr
    return found


#: Every way that the validators take a value; the attributes keep the type of their normal form.
ACCEPTED = """\
import numpy as np

from initcfg import Layer, Param, Spec
from initcfg.initializers import Concatenate, GlorotUniform, RandomNormal, VarianceScaling
from initcfg.layout import Layout
from initcfg.spec import Allow, InitializerConfig, Range, Rule

sizes: list[int] = [2, 3]
param = Param(shape=sizes, initializer=RandomNormal, dtype=np.float32, layout=Layout("in_out"))
layer = Layer(
    repeat={"i": "n", "j": ["a"], "k": Range(to=3), "l": {"from": 1, "to": 3}},
    params={"w": Param(shape=["d", "3 * d"], initializer="base"), "v": {"shape": [3], "initializer": "ones"}},
)
spec = Spec(
    vars={"d": 64, "n": "2", "widths": [1, "d"]},
    initializers={"base": RandomNormal(stddev=0.02), "small": {"random_normal": {"stddev": 0.1}}},
    layers={"h.{i}.{j}.{k}.{l}": layer, "g": {"params": {"w": {"shape": [3], "initializer": "zeros"}}}},
    params={"p": param, "q": Param(shape=(3, 4), initializer=lambda shape, dtype=None: np.zeros(shape))},
    rules=[Rule(match="**.bias", initializer="zeros"), {"match": "**", "skip": True}],
    allow=[Allow(code="unusual-variance", reason="an example")],
)
shape: tuple[int | str, ...] = spec.params["p"].shape
initializer: InitializerConfig | None = spec.params["p"].initializer
Concatenate(axis=1, sizes=sizes, initializers=["ones", {"constant": {"value": 0.5}}])
VarianceScaling(2.0, input_axes=[0], output_axes=(1,))
GlorotUniform(input_axes=sizes, output_axes=[0])
"""

#: The second of two blocks is wrong, by a value of the first; what is skipped is nobody's example.
WRONG = """\
```python
number = 3
```

```python
>>> from initcfg import Param
>>> Param(shape=[1], stream=number)  # doctest: +ELLIPSIS
Param(...)

```

<!-- skip: it needs nothing -->
```python
nothing.at_all()
```
"""


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_python_of_the_pages_has_right_types(checker: str, tmp_path: Path) -> None:
    """And constructors take for types what they take at run time, and a planted error is found."""
    wrong = tmp_path / "wrong.md"
    wrong.write_text(WRONG)
    assert write_modules([*PAGES, wrong], tmp_path) > 20
    (tmp_path / "accepted.py").write_text(ACCEPTED)
    found = complaints(checker, tmp_path)
    planted = found.pop("wrong_page")
    assert found == {}
    assert len(planted) == 1
    assert "stream" in planted[0]


def test_constructors_take_at_run_time_what_they_take_for_types() -> None:
    exec(compile(ACCEPTED, "accepted.py", "exec"), {})
