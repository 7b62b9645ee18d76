"""Ray: an executor of Python's own kind, whose tasks run on the workers of a Ray cluster, or of a local one.

Tasks of this package write their shard themselves and give back a receipt, so nothing large ever passes
through Ray's object store. A Ray cluster asks nobody who they are and runs what it is sent: trusted networks
only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from concurrent import futures
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import TYPE_CHECKING, Any, TypeVar

try:
    import ray
    from ray.exceptions import RayError, RayTaskError, TaskCancelledError
    from ray.runtime_env import RuntimeEnv
except ImportError as error:
    raise ImportError("initcfg.adapters.ray needs ray: pip install 'initcfg[ray]'") from error

from initcfg import __version__
from initcfg.generate.pool import available_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["RayExecutor"]

Result = TypeVar("Result")

# The least that Ray takes: receipts have a few hundred bytes.
_OBJECT_STORE_BYTES = 80 * 2**20
_REACH_SECONDS = 10.0
# How long nothing may end before somebody looks whether Ray is still there.
_LOOK_SECONDS = 1.0
# Ray ends the whole process, without an exception, after its head has been away for a minute.
_AWAY_SECONDS = 20.0
_PACKAGE = "initcfg"


class RayExecutor(Executor):
    """An executor for `initcfg.save_sharded`, whose tasks run in Ray; used as a context.

    Each task has one CPU. One whose worker dies, or whose node does, runs again; one that raises does not.
    Ray is started, and stopped at the end, only where this process is not connected to it already.

    Args:
        address: of a cluster, as ``ray.init`` takes it. None is that of the environment's ``RAY_ADDRESS``,
            else a Ray of this machine alone, with the CPUs that this process may use.
        memory: bytes that Ray sets aside for each task, so that fewer run at a time where there is little;
            None sets nothing aside.
        retries: how often a task runs again whose worker has died, at least 0.
        runtime_env: what workers need, as ``ray.init`` takes it, such as ``{"pip": ["initcfg"]}`` on a
            cluster whose nodes do not have this package.

    Raises:
        ConnectionError: the address, also that of ``RAY_ADDRESS``, is none, or nobody answers there.
        ValueError: an address is given, and this process is connected to Ray already; or `runtime_env` is
            none that Ray takes, which may be a TypeError as well.
        ImportError: the workers do not have this release of this package.
        BrokenExecutor: no worker stays alive.

    Example:
        >>> import initcfg, tempfile
        >>> layer = {"repeat": {"i": 6}, "params": {"w": {"shape": [256, 256], "initializer": "he_normal"}}}
        >>> spec = {"initcfg": 1, "layout": "in_out", "layers": {"h.{i}": layer}}
        >>> with tempfile.TemporaryDirectory() as folder, RayExecutor() as executor:
        ...     saved = initcfg.save_sharded(spec, folder, shard_size="600kB", executor=executor)
        ...     initcfg.verify(folder, spec).is_equal
        True
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        memory: int | None = None,
        retries: int = 3,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        started = time.perf_counter()
        self._is_open = True
        self._is_ours = _connect(address, runtime_env)
        self._connection = _connection()
        self._head = _head()
        self._answered = time.monotonic()
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": retries, "retry_exceptions": False}
        if memory is not None:
            options["memory"] = memory
        self._remote = ray.remote(**options)(_call)
        self._running: set[_RayFuture[Any]] = set()
        try:
            self._check_workers()
        except BaseException:
            self.shutdown(wait=False, cancel_futures=True)
            raise
        self.cpus = int(ray.cluster_resources().get("CPU", 0))
        """How many tasks run at a time, where memory does not say fewer."""
        self.startup_seconds = time.perf_counter() - started
        """How long it took until the first worker stood ready."""

    def _check_workers(self) -> None:
        try:
            first = self.submit(_version)
            self._wait([first])
            found = first.result()
        except BrokenExecutor:
            raise
        except Exception as error:
            message = f"Ray's workers do not find {_PACKAGE}: install it on every node, or give a runtime_env"
            raise ImportError(f"{message} ({_brief(error)})") from error
        if found != __version__:
            raise ImportError(f"Ray's workers have {_PACKAGE} {found}, and this process has {__version__}")

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Has a function called by a worker.

        Args:
            fn: that the workers can import, or cloudpickle can carry.
            args: for it.
            kwargs: for it.

        Returns:
            Its future. To cancel it asks the task to stop, even where it is running.

        Raises:
            RuntimeError: the executor has been shut down.
            BrokenExecutor: somebody has stopped the Ray that it was made for, or its head has not
                answered for twenty seconds; its futures fail so, too.
        """
        if not self._is_open:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if not self._is_connected():
            self._lose_all()
            raise BrokenExecutor("Ray was stopped")
        self._check_head()
        with _translated():
            task = self._remote.remote(fn, *args, **kwargs)
        future: _RayFuture[Result] = _RayFuture(task)
        self._running.add(future)
        future.ended.add_done_callback(lambda _: self._running.discard(future))
        future.follow()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more tasks, and stops Ray if it was started here; that ends every task.

        Args:
            wait: for the tasks that have been submitted, those too that are cancelled and have not stopped.
                Where it does not, and Ray is stopped, futures that are not done fail with a BrokenExecutor.
            cancel_futures: cancel them first.
        """
        self._is_open = False
        running = list(self._running)
        for future in running if cancel_futures else ():
            future.cancel()
        if wait:
            # One that is cancelled counts as done when its task has ended.
            self._wait(running)
        if self._is_ours:
            self._is_ours = False
            # One that was started since is somebody else's.
            if self._is_connected():
                ray.shutdown()
        if not self._is_connected():
            self._lose_all()

    def _is_connected(self) -> bool:
        """Whether the Ray is still there that this executor was made for."""
        return _connection() == self._connection

    def _check_head(self) -> None:
        """Waits for a head that does not answer, twenty seconds at most: one may be started again."""
        while self._head is not None and time.monotonic() - self._answered > _LOOK_SECONDS:
            if _refusal(self._head) is None:
                self._answered = time.monotonic()
            elif time.monotonic() - self._answered > _AWAY_SECONDS:
                host, port = self._head
                message = f"the head of Ray at {host}:{port} does not answer any more: start Ray again"
                self._lose_all(message)
                raise BrokenExecutor(message)
            else:
                time.sleep(_LOOK_SECONDS)

    def _wait(self, running: Sequence[Future[Any]]) -> None:
        while self._is_connected():
            if not futures.wait(running, _LOOK_SECONDS).not_done:
                return
            self._check_head()
        self._lose_all()

    def _lose_all(self, why: str = "Ray was stopped before the task had ended") -> None:
        """Ray tells nobody that their tasks have gone with it."""
        for future in list(self._running):
            future.lose(why)


class _RayFuture(Future[Result]):
    """A future of Python's own over a task, done when the task has ended, is cancelled or is lost."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self._task = task
        self._end = threading.Lock()
        self.ended: Future[Result] = task.future()
        """Ray's own: done when the task has ended, which one that is cancelled does a little later."""

    def follow(self) -> None:
        """Waits for the task, in a thread of Ray's."""
        self.ended.add_done_callback(self._take)

    def cancel(self) -> bool:
        """Cancels it; the task is asked to stop, and is not waited for."""
        if not super().cancel():
            return False
        # After its end Ray would start another one to cancel what it never heard of.
        if ray.is_initialized():
            with contextlib.suppress(RayError):
                ray.cancel(self._task)
        return True

    def lose(self, why: str) -> None:
        """Ends it, where the task cannot end any more."""
        if self._is_first_to_end():
            self.set_exception(BrokenExecutor(why))

    def _is_first_to_end(self) -> bool:
        """Whether the caller says how it ended; Ray's thread and that of a shutdown may ask at one time."""
        return self._end.acquire(blocking=False) and self.set_running_or_notify_cancel()

    def _take(self, done: Future[Result]) -> None:
        if not self._is_first_to_end():
            return
        try:
            with _translated():
                self.set_result(done.result())
        except BaseException as error:
            self.set_exception(error)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """What a task has raised, without Ray's wrapping; Ray's own errors as Python's executors tell theirs."""
    try:
        yield
    except TaskCancelledError as error:
        raise BrokenExecutor("the task was cancelled") from error
    except RayTaskError as error:
        if isinstance(error.cause, RayError):
            raise BrokenExecutor(_brief(error.cause)) from error
        raise error.cause from None
    except RayError as error:
        raise BrokenExecutor(_brief(error)) from error


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason is given'}"


def _connect(address: str | None, runtime_env: Mapping[str, Any] | None) -> bool:
    """Connects this process to Ray; gives whether it was not connected before."""
    if ray.is_initialized():
        if address is not None:
            raise ValueError(f"this process is connected to Ray already; leave the address {address!r} out")
        return False
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings: dict[str, Any] = {}
    if address == "local":
        settings = {
            "num_cpus": available_cpus(),
            "object_store_memory": _OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    else:
        _check_reachable(address)
    # What is wrong with it is told here, in Ray's words; what is wrong below is the address.
    environment = None if runtime_env is None else RuntimeEnv(**runtime_env)
    try:
        ray.init(
            address,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **settings,
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise ConnectionError(f"cannot connect to Ray at {address!r}: {_brief(error)}") from error
    return True


def _connection() -> tuple[str, str] | None:
    """What tells this process's connection to Ray from later ones; None where there is none.

    Each cluster counts its jobs from one, and each of its drivers may run on the same node.
    """
    if not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    return context.get_node_id(), context.get_job_id()


def _head() -> tuple[str, int] | None:
    """Where the head of the cluster answers; None behind a client's connection, which notices itself."""
    try:
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    except AttributeError:
        return None
    return host.strip("[]"), int(port)


def _check_reachable(address: str) -> None:
    """Ray itself asks for two minutes, and tells of it in twenty lines."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():
        return
    error = _refusal((host, int(port)))
    if error is not None:
        raise ConnectionError(f"cannot reach Ray at {address!r}: {error.strerror or error}") from error


def _refusal(place: tuple[str, int]) -> OSError | None:
    """Why nobody answers there; None where somebody does."""
    try:
        socket.create_connection(place, timeout=_REACH_SECONDS).close()
    except OSError as error:
        return error
    return None


def _call(fn: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """What Ray takes for a task: it must be a plain function, and is sent to the workers once."""
    return fn(*args, **kwargs)


def _version() -> str:
    """Of this package, where a worker runs."""
    return __version__
