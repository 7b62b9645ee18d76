"""Folders behind fsspec: memory, and S3 as moto's server on loopback speaks it."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from moto.server import ThreadedMotoServer
from safetensors.numpy import load

import initcfg
import initcfg.sharding
from initcfg.cli import main
from initcfg.errors import Code, InitcfgError, OutputError
from initcfg.formats.index import CLAIM_NAME, INDEX_NAME
from initcfg.initializers import Initializer, register
from initcfg.sharding.inventory import SetClaim
from initcfg.stores import open_store
from initcfg.stores.remote import uploading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.stores import Store

ROOT = Path(__file__).parents[2]
LAYER = {"repeat": {"i": 4}, "params": {"w": {"shape": [64, 96], "initializer": "he_normal"}}}
SPEC = {"initcfg": 1, "layout": "in_out", "layers": {"h.{i}": LAYER}}
OTHER = SPEC | {"seed": 1}
# In two files, each in several parts of an upload.
LARGE: dict[str, Any] = {
    "initcfg": 1,
    "params": {f"w{i}": {"shape": [1 << 20, 10], "initializer": "random_normal"} for i in range(2)},
}
SECRET = "a-secret-that-nobody-sees"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of an empty bucket; where it is and how to enter stands in the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    fsspec.filesystem("s3").clear_instance_cache()
    name = f"bucket-{abs(hash(request.node.name))}"
    s3().create_bucket(Bucket=name)
    return name


def s3() -> Any:
    return boto3.client("s3")


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A folder that is not there yet."""
    if request.param == "s3":
        yield f"s3://{request.getfixturevalue('bucket')}/models/tiny"
        return
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield "memory://models/tiny"
    MemoryFileSystem.store.clear()


@functools.cache
def plain(folder: Path) -> dict[str, bytes]:
    """The files of `SPEC` as a local run writes them."""
    initcfg.save_sharded(SPEC, folder, shard_size="60kB")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def contents(url: str) -> dict[str, bytes]:
    store = open_store(url)
    return {name: store.read(name, 0, size) for name, size in store.sizes().items()}


def save(url: str, spec: dict[str, Any] = SPEC, **settings: Any) -> Any:
    return initcfg.save_sharded(spec, url, shard_size="60kB", **settings)


def code(error: InitcfgError) -> Code:
    return error.diagnostics[0].code


def on_byte(done: int, act: Callable[[], object]) -> Callable[[int, int], None]:
    """A progress that acts once, when so many bytes are made."""
    todo = [act]

    def progress(now: int, _: int) -> None:
        if now >= done and todo:
            todo.pop()()

    return progress


def test_a_remote_folder_holds_the_bytes_of_a_local_one(url: str, tmp_path: Path) -> None:
    saved = save(url)
    assert contents(url) == plain(tmp_path / "plain")
    assert saved.index == f"{url}/{INDEX_NAME}"


def test_a_second_run_makes_nothing_again(url: str) -> None:
    save(url)
    assert [receipt.process for receipt in save(f"{url}/").receipts] == [None, None]


def test_only_what_is_missing_is_made_again(url: str, tmp_path: Path) -> None:
    save(url)
    open_store(url).remove("model-00001-of-00002.safetensors")
    assert [receipt.process is None for receipt in save(url).receipts] == [False, True]
    assert contents(url) == plain(tmp_path / "plain")


def test_a_shard_that_was_cut_short_is_no_shard_and_goes_with_force(url: str, tmp_path: Path) -> None:
    """As a driver that writes in place leaves it, when its process is killed."""
    save(url)
    fs, root = fsspec.core.url_to_fs(url)
    name = "model-00001-of-00002.safetensors"
    fs.pipe_file(f"{root}/{name}", fs.cat_file(f"{root}/{name}")[:-1])
    with pytest.raises(OutputError) as caught:
        save(url)
    assert name in str(caught.value)
    assert [receipt.process is None for receipt in save(url, force=True).receipts] == [False, True]
    assert contents(url) == plain(tmp_path / "plain")


def test_ranks_write_and_finalize_publishes(url: str, tmp_path: Path) -> None:
    save(url, rank=1, world_size=2)
    with pytest.raises(InitcfgError) as caught:
        initcfg.finalize(url)
    assert code(caught.value) is Code.UNFINISHED
    save(url, rank=0, world_size=2)
    assert CLAIM_NAME in open_store(url).sizes()
    assert initcfg.finalize(url).shards == 2
    assert initcfg.finalize(url).path == f"{url}/{INDEX_NAME}"
    assert contents(url) == plain(tmp_path / "plain")


def test_the_commands_take_a_url(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    spec = str(tmp_path / "spec.json")
    common = ["materialize", spec, "-o", url, "--shard-size", "60kB", "--world-size", "2", "--rank"]
    assert main([*common, "0"], standalone_mode=False) == 0
    assert main(["finalize", url], standalone_mode=False) == 1
    assert main([*common, "1"], standalone_mode=False) == 0
    assert main(["finalize", url], standalone_mode=False) == 0
    assert contents(url) == plain(tmp_path / "plain")
    assert f"{url}/{INDEX_NAME}: 2 shards" in capsys.readouterr().err


def test_a_folder_of_another_set_is_refused_and_with_force_replaced(url: str, tmp_path: Path) -> None:
    save(url, OTHER)
    before = contents(url)
    with pytest.raises(OutputError) as caught:
        save(url)
    assert code(caught.value) is Code.OTHER_PLAN
    assert contents(url) == before
    save(url, force=True)
    assert contents(url) == plain(tmp_path / "plain")


def test_an_unfinished_set_of_another_plan_keeps_its_folder(url: str) -> None:
    save(url, OTHER, rank=0, world_size=2)
    with pytest.raises(OutputError) as caught:
        save(url)
    assert code(caught.value) is Code.OTHER_PLAN
    save(url, OTHER, rank=1, world_size=2)
    assert initcfg.finalize(url).shards == 2


def test_a_run_of_the_same_set_beside_one_that_writes_in_place_goes_on() -> None:
    """Until it is whole a file has another name there."""
    url, beside = "memory://models/beside", []

    def rank(number: int, **settings: Any) -> Any:
        return initcfg.save_sharded(LARGE, url, shard_size="50MB", rank=number, world_size=2, **settings)

    def join() -> None:
        assert open_store(url).size("model-00001-of-00002.safetensors") is None
        beside.append(rank(1))

    try:
        rank(0, progress=on_byte(1, join))
        assert len(beside[0].receipts) == 1
        assert initcfg.finalize(url).shards == 2
    finally:
        MemoryFileSystem.store.clear()


def test_a_run_that_fails_at_once_leaves_the_claim_of_one_that_is_at_work(url: str) -> None:
    def fail_beside() -> None:
        spec = {**SPEC, "params": {}}
        shards = initcfg.sharding.shard_set(initcfg.make_plan(spec), 60_000)
        store = open_store(url)
        with contextlib.suppress(ZeroDivisionError), store.claiming(SetClaim.of(shards).text, bool) as hold:  # type: ignore[arg-type]
            assert not hold.is_new
            raise ZeroDivisionError

    save(url, progress=on_byte(1, fail_beside))
    assert INDEX_NAME in open_store(url).sizes()


def test_two_claims_at_once_have_one_winner(url: str) -> None:
    mine, yours = open_store(url), open_store(url)
    refused = []

    def admit(other: str | None) -> None:
        if other is not None:
            refused.append(other)
            raise OutputError(*())

    with mine.claiming("mine\n", admit), contextlib.suppress(OutputError), yours.claiming("yours\n", admit):
        raise AssertionError("both hold it")
    assert refused == ["mine\n"]
    assert mine.claimed() == "mine\n"


def test_a_run_whose_folder_is_taken_over_publishes_nothing(url: str) -> None:
    """At its next file, and at the end of the one that it is sending."""
    taking_over = on_byte(1, lambda: open_store(url).write_text(CLAIM_NAME, "another\n"))
    with pytest.raises(OutputError) as caught:
        save(url, progress=taking_over)
    assert code(caught.value) is Code.OTHER_PLAN
    assert set(open_store(url).sizes()) <= {CLAIM_NAME}


@register(package="tests")
class Failing(Initializer):
    """Fails when it is asked for values."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        raise ArithmeticError("no values today")


def test_a_failure_in_mid_file_leaves_nothing_of_it(url: str) -> None:
    spec = LARGE | {"params": LARGE["params"] | {"x": {"shape": [4], "initializer": "failing"}}}
    with pytest.raises(ArithmeticError, match="no values today"):
        initcfg.save_sharded(spec, url, shard_size="5GB")
    assert open_store(url).sizes() == {}
    assert pending(url) == 0


def pending(url: str) -> int:
    """How many uploads were begun and not ended."""
    if not url.startswith("s3"):
        return 0
    return len(s3().list_multipart_uploads(Bucket=url.split("/")[2]).get("Uploads", []))


def test_an_interrupt_in_mid_file_leaves_nothing_of_it(url: str) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        initcfg.save_sharded(LARGE, url, shard_size="50MB", progress=on_byte(30_000_000, interrupt))
    assert open_store(url).sizes() == {}
    assert pending(url) == 0
    initcfg.save_sharded(LARGE, url, shard_size="50MB")
    assert set(open_store(url).sizes()) == {
        *(f"model-0000{i}-of-00002.safetensors" for i in (1, 2)),
        INDEX_NAME,
    }


def test_a_file_of_another_size_is_an_error_and_goes_again(url: str) -> None:
    fs, root = fsspec.core.url_to_fs(url)
    with pytest.raises(OutputError, match="3 of 4 bytes"), uploading(fs, f"{root}/f", url, 4, bool) as write:  # type: ignore[arg-type]
        write(b"abc")
    assert "f" not in open_store(url).sizes()


def test_a_file_that_was_there_outlives_a_failed_upload(bucket: str) -> None:
    """Not in memory, nor where drivers write in place."""
    fs, path = fsspec.core.url_to_fs(f"s3://{bucket}/f")
    fs.pipe_file(path, b"before")
    with contextlib.suppress(ArithmeticError), uploading(fs, path, "url", 40_000_000, bool) as write:  # type: ignore[arg-type]
        write(bytes(30_000_000))
        raise ArithmeticError
    assert fs.cat_file(path) == b"before"


def test_a_bucket_that_goes_in_mid_file_is_one_error(bucket: str) -> None:
    def remove() -> None:
        s3().delete_object(Bucket=bucket, Key=f"w/{CLAIM_NAME}")
        s3().delete_bucket(Bucket=bucket)

    with pytest.raises(OutputError) as caught:
        initcfg.save_sharded(LARGE, f"s3://{bucket}/w", shard_size="50MB", progress=on_byte(1, remove))
    assert SECRET not in str(caught.value)


def test_a_killed_run_leaves_no_part_of_a_file_and_the_next_one_goes_on(bucket: str) -> None:
    url = f"s3://{bucket}/w"
    script = (
        "import initcfg, sys, time\n"
        f"initcfg.save_sharded({LARGE!r}, {url!r}, shard_size='50MB', "
        "progress=lambda done, _: time.sleep(60) if done > 30_000_000 else None)"
    )
    child = subprocess.Popen([sys.executable, "-c", script], env=dict(os.environ))
    deadline = time.monotonic() + 60
    while pending(url) == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert pending(url) == 1, "it was killed in mid-file"
    assert set(open_store(url).sizes()) == {CLAIM_NAME}
    initcfg.save_sharded(LARGE, url, shard_size="50MB")
    weights = initcfg.materialize(LARGE)
    for name, file in ((f"w{i}", f"model-0000{i + 1}-of-00002.safetensors") for i in range(2)):
        stored = s3().get_object(Bucket=bucket, Key=f"w/{file}")["Body"].read()
        assert load(stored)[name].tobytes() == weights[name].tobytes()


def test_a_missing_bucket_is_refused_and_never_made(bucket: str) -> None:
    with pytest.raises(OutputError) as caught:
        save("s3://no-such-bucket-here/w")
    assert code(caught.value) is Code.OUTPUT
    assert "create it first" in str(caught.value)
    assert "no-such-bucket-here" not in {each["Name"] for each in s3().list_buckets()["Buckets"]}


def test_missing_credentials_are_told_with_the_way_out(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(OutputError, match="credentials") as caught:
        save(f"s3://{bucket}/w")
    assert SECRET not in str(caught.value)


def test_a_bucket_itself_can_be_the_folder(bucket: str, tmp_path: Path) -> None:
    save(f"s3://{bucket}")
    assert contents(f"s3://{bucket}/") == plain(tmp_path / "plain")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nobody://here/w", "Protocol not known: nobody"),
        ("gs://bucket/w", "gcsfs is needed: pip install gcsfs"),
        ("ftp://me:hidden@host/w", "a password in a URL ends up in logs"),
    ],
    ids=["protocol", "driver", "password"],
)
def test_what_cannot_be_opened_is_told_with_the_way_out(url: str, told: str) -> None:
    with pytest.raises(OutputError) as caught:
        open_store(url)
    assert told in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_one_file_to_a_url_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="name a folder"):
        initcfg.save(SPEC, "s3://bucket/w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_file_url_is_a_local_path(tmp_path: Path) -> None:
    save(f"file://{tmp_path}/w")
    initcfg.save(SPEC, f"file://{tmp_path}/w.safetensors")
    assert initcfg.verify(tmp_path / "w", SPEC).is_equal
    assert initcfg.verify(tmp_path / "w.safetensors", SPEC).is_equal


def test_a_store_reads_ranges_and_removes_what_is_there_or_not(url: str) -> None:
    store: Store = open_store(url)
    store.write_text("f", "abcdef")
    assert [store.read("f", *bounds) for bounds in [(0, 3), (4, 99), (6, 9), (0, 0)]] == [
        b"abc",
        b"ef",
        b"",
        b"",
    ]
    store.remove("f")
    store.remove("f")
    assert store.sizes() == {}
    assert store.free() is None


def test_a_listing_knows_folders_and_files_of_others(url: str) -> None:
    fs, root = fsspec.core.url_to_fs(url)
    fs.pipe_file(f"{root}/deep/file", b"x")
    fs.pipe_file(f"{root}/notes.txt", b"xyz")
    assert open_store(url).sizes() == {"deep": -1, "notes.txt": 3}
    save(url)
    assert fs.cat_file(f"{root}/notes.txt") == b"xyz"


def test_the_commands_of_the_page_print_what_it_says(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`test_pages` has no bucket."""
    spec = importlib.util.spec_from_file_location("docs_tests", ROOT / "tests/meta/test_docs.py")
    assert spec
    assert spec.loader
    docs = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "docs_tests", docs)
    spec.loader.exec_module(docs)
    s3().create_bucket(Bucket="my-bucket")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    page = (ROOT / "docs/howto/remote.md").read_text(encoding="utf-8")
    (block,) = (each for each in docs.blocks(page) if each.argument == "it needs a bucket")
    docs.run_console(block, tmp_path)
    assert INDEX_NAME in open_store("s3://my-bucket/mlp").sizes()
