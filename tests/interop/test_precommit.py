"""The real pre-commit: it installs this checkout as a hook, and the hook finds what is wrong in a commit.

Building the hook's environment is the slow part. It is done once, and takes as long as pip does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = (".pre-commit-hooks.yaml", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "initcfg")
BUILT = shutil.ignore_patterns("__pycache__")
GOOD = "initcfg: 1\nparams:\n  w: {shape: [4], initializer: zeros}\n"
BAD = GOOD.replace("zeros", "zeors")
ON_CI = ("GITHUB_ACTIONS", "FORCE_COLOR", "SKIP")


@dataclass(frozen=True)
class Repository:
    """A git repository, and the environment that programs run with in it."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | more
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-verify", "--message", "All")
        return self.git("rev-parse", "HEAD")

    def pre_commit(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "pre_commit", *arguments, **more)

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def repository(folder: Path, home: Path) -> Repository:
    """A new one, that knows nothing of the repository and the CI system that the tests run in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {name: value for name, value in kept.items() if name not in (*ON_CI, "PYTHONPATH")}
    folder.mkdir(exist_ok=True)
    made = Repository(folder, environment | who | {"PRE_COMMIT_HOME": str(home), "PRE_COMMIT_COLOR": "never"})
    made.git("init", "--quiet")
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pre-commit")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, home: Path) -> tuple[Path, str]:
    """This package as a repository of its own, with the commit to use."""
    made = repository(tmp_path_factory.mktemp("published"), home)
    for name in PACKAGE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, made.folder / name, ignore=BUILT)
        else:
            shutil.copy(ROOT / name, made.folder / name)
    return made.folder, made.commit()


@pytest.fixture
def user(tmp_path: Path, home: Path, published: tuple[Path, str]) -> Repository:
    """A repository that uses the hook as the page says."""
    made = repository(tmp_path / "user", home)
    configure(made, published, "{id: initcfg-validate}")
    done = made.pre_commit("install-hooks")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def configure(user: Repository, published: tuple[Path, str], hook: str) -> None:
    folder, commit = published
    text = f"repos:\n  - repo: {folder}\n    rev: {commit}\n    hooks: [{hook}]\n"
    user.write({".pre-commit-config.yaml": text})


def test_good_specs_pass_without_a_package_index(user: Repository) -> None:
    shutil.copytree(ROOT / "configs", user.folder / "configs")
    user.commit()
    done = user.pre_commit("run", "--all-files", PIP_NO_INDEX="1")
    assert done.returncode == 0, done.stdout
    assert "initcfg validate" in done.stdout
    assert "Passed" in done.stdout


def test_a_commit_of_a_bad_spec_is_refused_and_the_place_is_named(user: Repository) -> None:
    user.pre_commit("install")
    user.write({"model/specs/net.yaml": BAD})
    user.git("add", "--all")
    done = user.run("git", "commit", "--message", "Wider")
    assert done.returncode == 1
    assert "model/specs/net.yaml:3:32: error[unknown-initializer]" in done.stderr
    assert "did you mean 'zeros'?" in done.stderr


def test_many_files_make_one_report(user: Repository) -> None:
    user.write({f"configs/{number}.yaml": GOOD for number in range(300)} | {"configs/bad.json": "{}"})
    user.commit()
    done = user.pre_commit("run", "--all-files")
    assert done.returncode == 1
    assert done.stdout.count("300 files valid, 1 with") == 1


def test_other_yaml_is_left_alone_until_files_says_otherwise(
    user: Repository, published: tuple[Path, str]
) -> None:
    user.write({"compose.yaml": "services: {}\n", "configs/readme.md": "text\n", "init/net.yaml": BAD})
    user.commit()
    assert "no files to check" in user.pre_commit("run", "--all-files").stdout
    configure(user, published, "{id: initcfg-validate, files: ^init/}")
    user.commit()
    done = user.pre_commit("run", "--all-files")
    assert done.returncode == 1
    assert "init/net.yaml:3:32" in done.stdout
    assert "compose.yaml" not in done.stdout


def test_all_specs_are_checked_whatever_has_changed(user: Repository, published: tuple[Path, str]) -> None:
    user.write({"configs/net.yaml": BAD})
    arguments = "args: [--strict, 'configs/**/*.yaml'], pass_filenames: false, always_run: true"
    configure(user, published, f"{{id: initcfg-validate, {arguments}}}")
    user.commit()
    user.write({"notes.txt": "text"})
    user.git("add", "--all")
    done = user.pre_commit("run")
    assert done.returncode == 1
    assert "configs/net.yaml:3:32" in done.stdout
