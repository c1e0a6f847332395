"""Look this repository over for what an attacker would look for: all clean, or explained here.

    python .ci/audit.py

Ends with 1 if anything was found that is not explained. What could not be asked is said in a line.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = ("shared", "client", "server", "edge", "simulations", ".ci")
LISTS = "constraints*.txt"
#: What looks like a secret and is none: kind by file, and why.
EXPLAINED = {
    ("benchmarks/attacking/files.py", "Secret Keyword"): "a password that the attack plants",
    ("docs/deploy.md", "Basic Auth Credentials"): "user:password of an example",
    ("tests/integration/test_node.py", "Basic Auth Credentials"): "a proxy's, made up, on loopback",
    ("tests/integration/test_training_programs.py", "Hex High Entropy String"): "programs' digests",
    ("tests/unit/test_program.py", "Hex High Entropy String"): "a program's digest",
    ("tests/unit/test_audit.py", "Base64 High Entropy String"): "a token that the test plants",
    ("tests/laws/test_entropy.py", "Hex High Entropy String"): "expected bytes of the coder",
}
_PIN = re.compile(r"^([\w.-]+)(?:\[[^\]]*\])?(==[^ ;\\\n]+)", re.MULTILINE)
#: What pip-audit ends with if nobody can be asked.
_UNREACHABLE = re.compile(r"\b(ConnectionError|ConnectTimeout|ProxyError)\b|Could not connect")

#: One line for each thing that was found and is not explained.
Findings = Iterator[str]


class NotAskedError(Exception):
    """Something outside this machine that a check needs does not answer."""


def main() -> None:
    """Run all checks, and print a line for each, or one for each finding."""
    failed = False
    for name, check in CHECKS.items():
        try:
            found = list(check(ROOT))
            print(f"{name:<16} {'clean' if not found else f'{len(found)} found'}")
        except NotAskedError as why:
            found = []
            print(f"{name:<16} NOT CHECKED: {why}")
        failed |= bool(found)
        print(*(f"  {line}" for line in found), sep="\n", end="\n" if found else "")
    sys.exit(failed)


def find_rules(root: Path) -> Findings:
    """Find what bandit's rules say of the packages; pyproject.toml explains what it ignores."""
    # Not --select S: that would bring back the rules that pyproject.toml ignores.
    yield from (line for line in _ruff(root, *PACKAGES) if re.search(r": S\d+ ", line))


def find_shells(root: Path) -> Findings:
    """Find programs that are started by way of a shell, in tests and benchmarks too."""
    yield from _ruff(root, "--isolated", "--select", "S602,S604,S605", ".")


def find_secrets(root: Path) -> Findings:
    """Find keys and passwords in tracked files, and explanations that explain nothing."""
    tool = Path(sys.executable).with_name("detect-secrets")
    # Lists of versions are full of hashes, which look like keys; figures name their commit.
    hashed = r"(^|/)constraints[^/]*\.txt$|^benchmarks/results/"
    scan = ("scan", "--no-verify", "--exclude-files", hashed)
    report = json.loads(_run(root, str(tool), *scan).stdout)
    seen = set()
    for file, places in report["results"].items():
        for place in places:
            seen.add((file, place["type"]))
            if (file, place["type"]) not in EXPLAINED:
                yield f"{file}:{place['line_number']}: {place['type']}"
    if root == ROOT:
        yield from (f"{file}: no {kind} any more" for file, kind in EXPLAINED.keys() - seen)


def find_modes(root: Path) -> Findings:
    """Find tracked files that are links, or programs that do not say what runs them."""
    for row in filter(None, _run(root, "git", "ls-files", "--stage", "-z").stdout.split("\0")):
        mode, name = row.split(" ", 1)[0], row.split("\t", 1)[1]
        if mode not in ("100644", "100755"):
            yield f"{name}: mode {mode}; only plain files belong here"
        elif mode == "100755" and not (root / name).read_bytes().startswith(b"#!"):
            yield f"{name}: executable, but no script"


def find_vulnerabilities(root: Path) -> Findings:
    """Find known vulnerabilities of the exact versions that the lists name.

    Raises:
        NotAskedError: No service that knows any answers here.
    """
    texts = [path.read_text() for path in sorted(root.glob(LISTS))]
    pins = sorted({name + pin for text in texts for name, pin in _PIN.findall(text)})
    # One is asked for first, so that a service that is not there is not asked a hundred times.
    probe = next(pin for pin in pins if pin.startswith("numpy=="))
    for dependency in _asked(root, [probe]):
        if "skip_reason" in dependency:
            raise NotAskedError("the package index here knows no vulnerabilities (pip-audit)")
    for dependency in _asked(root, pins):
        if "skip_reason" in dependency:
            yield f"{dependency['name']}: {dependency['skip_reason']}"
        for one in dependency.get("vulns", ()):
            fixed = ", ".join(one["fix_versions"]) or "no version yet"
            yield f"{dependency['name']} {dependency['version']}: {one['id']}, mended in {fixed}"


def _asked(root: Path, pins: list[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pins.txt"
        file.write_text("\n".join(pins))
        done = _run(
            root, sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps",
            "--disable-pip", "--format", "json", "--progress-spinner", "off",
        )  # fmt: skip
    if not done.stdout and _UNREACHABLE.search(done.stderr):
        raise NotAskedError("no vulnerability service can be reached (pip-audit)")
    if not done.stdout:
        sys.exit(f"pip-audit failed: {done.stderr.strip().splitlines()[-1]}")
    dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return dependencies


def _ruff(root: Path, *arguments: str) -> Findings:
    ruff = Path(sys.executable).with_name("ruff")
    done = _run(root, str(ruff), "check", "--quiet", "--output-format", "concise", *arguments)
    if done.returncode > 1:
        sys.exit(f"ruff failed: {done.stderr.strip()}")
    yield from done.stdout.splitlines()


def _run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


CHECKS: dict[str, Callable[[Path], Findings]] = {
    "code": find_rules,
    "no shell": find_shells,
    "secrets": find_secrets,
    "file modes": find_modes,
    "vulnerabilities": find_vulnerabilities,
}

if __name__ == "__main__":
    main()
