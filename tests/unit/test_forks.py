"""A child that is forked while a lock is held finds it free."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import initcfg
from initcfg.process import ForkSafeLock

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

# The thread holds the lock from its first draw until the child has ended.
ORTHOGONAL = """
import os, signal, threading
import numpy as np
from initcfg.engines import get_engine
from initcfg.initializers import Orthogonal, frames

fill, drawing, done = get_engine("numpy"), threading.Event(), threading.Event()
expected = Orthogonal(seed=3)((8, 8)).tobytes()

def waiting(out, distribution, stream, start=0):
    drawing.set()
    done.wait()
    fill(out, distribution, stream, start)

def held():
    from initcfg.dtypes import as_dtype
    from initcfg.initializers import Request
    from initcfg.layout import IN_OUT
    from initcfg.stream import Stream
    wanted = Request((8, 8), as_dtype("float32"), IN_OUT, Stream.of_parameter(0, "w"), waiting)
    frames.orthogonal(wanted, IN_OUT.axes(2), 1.0)

thread = threading.Thread(target=held)
thread.start()
assert drawing.wait(60)
child = os.fork()
if child == 0:
    signal.alarm(30)
    os._exit(0 if Orthogonal(seed=3)((8, 8)).tobytes() == expected else 3)
status = os.waitpid(child, 0)[1]
done.set()
thread.join()
print(os.waitstatus_to_exitcode(status))
"""

# A thread loads the kernels for the first time in the process, and the main one forks at the place named.
LOADING = """
import ctypes, os, signal, sys, threading
import numpy as np
from initcfg.distributions import Normal
from initcfg.engines import get_engine, native
from initcfg.stream import Stream

inside, done = threading.Event(), threading.Event()

def stopped(function):
    def wrapped(*arguments):
        if threading.current_thread() is thread:
            inside.set()
            done.wait()
        return function(*arguments)
    return wrapped

def drawn():
    out = np.empty(8, np.float32)
    get_engine()(out, Normal(0.0, 1.0), Stream.of_parameter(0, "w"), 0)
    return out.tobytes()

expected = np.empty(8, np.float32)
get_engine("numpy")(expected, Normal(0.0, 1.0), Stream.of_parameter(0, "w"), 0)
thread = threading.Thread(target=drawn)
name = sys.argv[1]
where = ctypes if name == "CDLL" else native
setattr(where, name, stopped(getattr(where, name)))
thread.start()
assert inside.wait(60)
child = os.fork()
if child == 0:
    signal.alarm(30)
    os._exit(0 if drawn() == expected.tobytes() and get_engine() is native.fill else 3)
status = os.waitpid(child, 0)[1]
done.set()
thread.join()
print(os.waitstatus_to_exitcode(status), drawn() == expected.tobytes())
"""

# A thread is importing an engine when the main one forks; `struct` is called as the module begins.
IMPORTING = """
import os, signal, struct, threading, time
from initcfg.engines import get_engine

inside, real = threading.Event(), struct.Struct

def slow(form):
    if threading.current_thread() is thread and not inside.is_set():
        inside.set()
        time.sleep(1)
    return real(form)

struct.Struct = slow
thread = threading.Thread(target=get_engine, args=("native",))
thread.start()
assert inside.wait(60)
child = os.fork()
if child == 0:
    signal.alarm(30)
    get_engine("native")
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
get_engine("native")
"""

# A thread loads modules whose locks forks take, while the fork of the main one waits.
HOOKS = """
import os, signal, sys, threading, time
from initcfg.process import LOADING

inside = threading.Event()
assert not sys.modules.keys() & {"logging", "concurrent.futures.thread"}

def late():
    with LOADING:
        inside.set()
        time.sleep(0.5)
        import concurrent.futures.thread, logging

def free():
    import concurrent.futures.thread, logging
    logging.getLogger("a").debug("b")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(int).result() == 0 and not concurrent.futures.thread._global_shutdown_lock.locked()

thread = threading.Thread(target=late)
thread.start()
assert inside.wait(60)
child = os.fork()
if child == 0:
    signal.alarm(30)
    os._exit(not free())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), free())
thread.join()
"""

# A thread makes the first call of all, which imports most of the package, when the main one forks.
FIRST_CALL = """
import os, signal, sys, tempfile, threading, time
import initcfg

SPEC = {"initcfg": 1, "params": {"w": {"shape": [8], "initializer": "random_normal"}}}
folder = tempfile.mkdtemp()

def saved(name):
    initcfg.save(SPEC, f"{folder}/{name}.safetensors")

thread = threading.Thread(target=saved, args=("parent",))
thread.start()
time.sleep(float(sys.argv[1]))
child = os.fork()
if child == 0:
    signal.alarm(30)
    saved("child")
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""

# As above, where an initializer is called by itself.
FIRST_ARRAY = """
import os, signal, sys, threading, time
from initcfg import initializers

def made():
    if sys.argv[1] == "custom":
        initializers.get(lambda shape, dtype=None, *, rng: rng.normal(size=shape))((3,))
    else:
        initializers.get({"class_name": sys.argv[1], "config": {}})((8, 8))

thread = threading.Thread(target=made)
thread.start()
time.sleep(float(sys.argv[2]))
child = os.fork()
if child == 0:
    signal.alarm(30)
    made()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""

# Nothing is held in Python: the loader of the system renews its own lock in a child.
RACE = """
import os, signal, sys, threading
from initcfg.engines import native

for turn in range(100):
    native.library.cache_clear()
    thread = threading.Thread(target=native.library)
    thread.start()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        native.library.cache_clear()
        native.library()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()
"""


def code_of_a_child_that_takes(lock: ForkSafeLock | threading.Lock, seconds: int) -> int:
    """What a child forked while the lock is held exits with: 0 once it has it, or minus a signal."""
    with lock:
        child = os.fork()
        if child == 0:
            signal.alarm(seconds)
            lock.__enter__()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_finds_the_lock_free() -> None:
    lock = ForkSafeLock()
    assert code_of_a_child_that_takes(lock, 30) == 0
    # A second time, and in the parent it is free again.
    assert code_of_a_child_that_takes(lock, 30) == 0


def test_of_an_ordinary_lock_a_child_is_shut_out() -> None:
    assert code_of_a_child_that_takes(threading.Lock(), 1) == -signal.SIGALRM


def test_in_one_process_the_lock_shuts_others_out() -> None:
    lock, order = ForkSafeLock(), []
    with lock:
        other = threading.Thread(target=lambda: (lock.__enter__(), order.append("other"), lock.__exit__()))
        other.start()
        order.append("first")
    other.join()
    assert order == ["first", "other"]


def test_a_child_forked_while_an_orthogonal_is_made_makes_its_own() -> None:
    command = [sys.executable, "-W", "ignore", "-c", ORTHOGONAL]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "0\n"


@pytest.mark.parametrize("place", ["CDLL", "digest", "_choice"])
def test_a_child_forked_while_the_kernels_load_for_the_first_time_loads_its_own(place: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", LOADING, place]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "0 True\n"


def test_children_forked_at_any_moment_of_loading_do_not_hang() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", RACE], check=True, timeout=120)


def test_a_child_forked_while_an_engine_is_imported_for_the_first_time_imports_its_own() -> None:
    command = [sys.executable, "-W", "ignore", "-c", IMPORTING]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "0\n"


def test_modules_loaded_while_a_fork_waits_do_not_open_locks_that_it_has_not_taken() -> None:
    command = [sys.executable, "-W", "ignore", "-c", HOOKS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("0 True\n", "")


@pytest.mark.parametrize("delay", ["0.03", "0.1"])
@pytest.mark.parametrize("name", ["Constant", "Orthogonal", "custom"])
def test_a_child_of_the_first_call_of_an_initializer_can_make_one_too(name: str, delay: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FIRST_ARRAY, name, delay]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["0"]


@pytest.mark.parametrize("delay", ["0.02", "0.1", "0.2"])
def test_a_child_of_the_first_call_can_make_one_too(delay: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FIRST_CALL, delay]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["0"]


CACHED = """
import os, threading
from initcfg.process import cached_property

class Slow:
    @cached_property
    def value(self):
        begun.set()
        return os.getpid() if os.getpid() != parent else ended.wait(60)

parent, begun, ended, slow = os.getpid(), threading.Event(), threading.Event(), Slow()
thread = threading.Thread(target=lambda: slow.value)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    os._exit(slow.value != os.getpid())
for _ in range(200):
    ended.wait(0.05)
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        break
else:
    os.kill(child, 9)
    status = "hangs"
ended.set()
print(status)
"""


def test_a_child_forked_while_a_property_is_computed_computes_its_own() -> None:
    command = [sys.executable, "-W", "ignore", "-c", CACHED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "0\n"


def test_every_cached_property_is_the_one_without_a_lock() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "process.py"]
    texts = {path: path.read_text("utf-8") for path in files}
    with_lock = re.compile(r"from functools import .*cached_property|functools\.cached_property")
    assert not [path for path, text in texts.items() if with_lock.search(text)]


# Commands run alone in their process, and adapters are imported whole.
LOAD_AS_THEY_LIKE = ("cli", "adapters")
PACKAGE = Path(initcfg.__file__).parent


#: Their first calls hold locks of pydantic's own while they wait for the interpreter's.
VALIDATING = {"model_validate", "model_validate_json", "validate_python", "validate_json"}


def unlocked(tree: ast.AST, *, late: bool = False) -> Iterator[int]:
    """The lines of imports inside functions, and of validations, that do not hold ``LOADING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.With) and any("LOADING" in ast.dump(each) for each in node.items):
            continue
        imports = late and isinstance(node, ast.Import | ast.ImportFrom)
        validates = isinstance(node, ast.Attribute) and node.attr in VALIDATING
        if isinstance(node, ast.stmt | ast.expr) and (imports or validates):
            yield node.lineno
        yield from unlocked(node, late=late or isinstance(node, ast.FunctionDef))


def test_no_fork_happens_while_a_module_is_imported_late_or_pydantic_validates():
    files = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    checked = [file for file in files if file.parts[0] not in LOAD_AS_THEY_LIKE]
    trees = {file: ast.parse((PACKAGE / file).read_text("utf-8")) for file in checked}
    assert not {str(file): lines for file, tree in trees.items() if (lines := list(unlocked(tree)))}


@pytest.mark.parametrize(
    "planted", ["import a", "S.model_validate(a)", "adapter_of(a).validator.validate_python(a)"]
)
def test_what_is_not_locked_is_seen(planted):
    assert list(unlocked(ast.parse(f"def f():\n    with LOADING:\n        {planted}\n    {planted}"))) == [4]
