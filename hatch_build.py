"""Compiles the kernels of the native engine when initcfg is built, for a wheel or an editable install.

The compiler is ``$CC``, else the system's ``cc``, else `zig cc` from PyPI's ziglang, which this hook then
asks for. Where none compiles, or with ``INITCFG_PURE=1``, a pure wheel is made: the numpy engine makes the
same bits, slowly, and says so.

``python hatch_build.py`` makes the wheels of all `TARGETS`, by zig, from any of them.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("initcfg", "engines", "native")

FLAGS = ["-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=off", "-Wall"]
SETS = {
    "x86_64": {
        "plain": [],
        "sse2": ["-msse2", "-DINITCFG_SSE2"],
        "avx2": ["-mavx2", "-DINITCFG_AVX2"],
        "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-DINITCFG_AVX512"],
    },
    "aarch64": {"plain": [], "neon": ["-DINITCFG_NEON"]},
}
# The sources have the steps of several vectors side by side, and speed depends on that order: GCC is to mix
# them more (worth up to a third on a Zen 3), but not until registers run out (a fifth on a Zen 5); Clang is
# to leave them as they are (up to a tenth).
ORDER = {
    "Free Software Foundation": ["-fschedule-insns", "-fsched-pressure"],
    "clang": ["-mllvm", "-enable-misched=false"],
}
ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}


class Target(NamedTuple):
    """A platform that wheels are made for by ``python hatch_build.py``: zig's name of it, and the wheel's."""

    zig: str
    machine: str
    system: str
    tag: str


TARGETS = {
    "linux-x86_64": Target("x86_64-linux-gnu.2.17", "x86_64", "linux", "manylinux_2_17_x86_64"),
    "linux-aarch64": Target("aarch64-linux-gnu.2.17", "aarch64", "linux", "manylinux_2_17_aarch64"),
    "macos-arm64": Target("aarch64-macos.11.0", "aarch64", "darwin", "macosx_11_0_arm64"),
    "macos-x86_64": Target("x86_64-macos.11.0", "x86_64", "darwin", "macosx_11_0_x86_64"),
    "windows-x86_64": Target("x86_64-windows-gnu", "x86_64", "win32", "win_amd64"),
}


class NativeHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the library into the wheel, or beside its sources for an editable install."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Asks for ziglang where there is no other compiler."""
        needed = self.target_name == "wheel" and not _is_pure() and not _system_compiler()
        return ["ziglang"] if needed or _wanted_target() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles; a compiler that fails makes a pure wheel, and its words are shown."""
        if self.target_name != "wheel" or _is_pure():
            return
        folder = Path(self.root, NATIVE)
        sources = _sources(folder)
        target = _wanted_target()
        name = sources.library_name(target.system if target else sys.platform)
        library = folder / name if version == "editable" else Path(tempfile.mkdtemp(), Path(name).name)
        try:
            build(folder, library, target)
        except (OSError, subprocess.CalledProcessError) as error:
            if target is not None:
                raise
            self.app.display_warning(f"nothing is compiled, the numpy engine makes the weights: {error}")
            return
        build_data["pure_python"] = False
        tag = target.tag if target else sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{tag}"
        if version != "editable":
            build_data["force_include"][str(library)] = str(NATIVE / name)


def build(folder: Path, library: Path, target: Target | None = None) -> None:
    """Compiles the library from the sources in `folder`.

    Raises:
        OSError: there is no compiler.
        subprocess.CalledProcessError: it failed.
    """
    machine = target.machine if target else platform.machine().lower()
    sets = SETS.get(ALIASES.get(machine, machine), {"plain": []})
    zig = [sys.executable, "-m", "ziglang", "cc"]
    compiler = [*zig, "-target", target.zig] if target else _system_compiler() or zig
    # zig adds checks, and five times the library for debuggers, that a release does without.
    flags = [*FLAGS, "-fno-sanitize=all", "-g0"] if "ziglang" in compiler else list(FLAGS)
    asked = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    flags += next((options for maker, options in ORDER.items() if maker in asked), [])
    digest = _sources(folder).digest(folder)
    library.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        sources = [("fill", [f'-DSOURCES="{digest}"'], "fill")]
        for name, options in sets.items():
            sources.append(("kernels", [f"-DFILL=initcfg_fill_{name}", *options], f"fill_{name}"))
            sources.append(("elementary", [f"-DAPPLY=initcfg_apply_{name}", *options], f"apply_{name}"))
        objects = [str(Path(scratch, f"{made}.o")) for *_, made in sources]
        for (source, options, _), made in zip(sources, objects, strict=True):
            command = ["-c", str(folder / f"{source}.c"), *options, "-o", made]
            subprocess.run([*compiler, *flags, *command], check=True)
        # Renamed when whole: another process may have the old one mapped.
        part = library.with_name(f".{library.name}.{os.getpid()}")
        subprocess.run([*compiler, "-shared", "-o", str(part), *objects], check=True)
        part.replace(library)


def _is_pure() -> bool:
    return os.environ.get("INITCFG_PURE", "") not in ("", "0")


def _wanted_target() -> Target | None:
    name = os.environ.get("INITCFG_TARGET")
    return TARGETS[name] if name else None


def _system_compiler() -> list[str]:
    named = shlex.split(os.environ.get("CC", ""))
    return named or [name for name in ("cc", "gcc", "clang") if shutil.which(name)][:1]


def _sources(folder: Path) -> Any:
    """The module ``sources.py``, without the package around it, whose dependencies are not here yet."""
    spec = importlib.util.spec_from_file_location("initcfg_sources", folder / "sources.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    for name in TARGETS:
        subprocess.run(
            [sys.executable, "-m", "build", "--wheel"], env=os.environ | {"INITCFG_TARGET": name}, check=True
        )
