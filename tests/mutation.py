"""Does a broken formula fail a test? Breaks formula lines of am_theory at random and counts.

    python tests/mutation.py --count 30 --seed 1

Draws lines over all modules, changes one sign, operator, constant, index or inequality in each,
and runs the tests of that module on a broken copy of the package. A survivor is a line that no
test holds, or a change that means the same; it is printed with what was changed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
}
# Modules that have no test file of their own name are tested by those of their users.
USERS = {"_random_patterns": ["empirical"], "_posterior_average": ["empirical"]}


class Mutation(NamedTuple):
    """One broken line: where, and how it read before and after."""

    module: str
    line: int
    before: str
    after: str
    source: str


def test_files(module: str) -> list[str]:
    """Test files of a module: those named after it, or after the modules that use it."""
    names = USERS.get(module, [module.strip("_")])
    found = [path for name in names for path in sorted(ROOT.glob(f"tests/test_{name}*.py"))]
    return [str(path.relative_to(ROOT)) for path in found if "_jax" not in path.stem]


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Every way this module breaks one node."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        changed = copy.copy(node)
        changed.op = OPERATORS[type(node.op)]()  # type: ignore[assignment]
        yield changed
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        changed_compare = copy.copy(node)
        changed_compare.ops = [OPERATORS[type(node.ops[0])](), *node.ops[1:]]  # type: ignore[list-item]
        yield changed_compare
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand
    number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
    if number and abs(node.value) < 1e3 and (node.value == 0 or abs(node.value) >= 0.1):  # type: ignore[attr-defined]
        yield ast.Constant(node.value + 1)  # type: ignore[attr-defined]


class Replace(ast.NodeTransformer):
    """Puts `new` where `old` stands, by identity."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def mutations(path: Path) -> list[Mutation]:
    """Every mutation of the computing lines of a module (messages and annotations left alone)."""
    text = path.read_text()
    tree = ast.parse(text)
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or function.name.endswith("_iv"):
            continue
        for statement in ast.walk(function):
            if not isinstance(statement, ast.Assign | ast.Return | ast.AugAssign):
                continue
            for node in ast.walk(statement):
                for new in changes(node):
                    broken = Replace(node, new).visit(copy_of(tree, node))
                    line = ast.get_source_segment(text, statement) or ""
                    after = ast.unparse(Replace(node, new).visit(copy_of(statement, node)))
                    found.append(
                        Mutation(
                            path.stem,
                            statement.lineno,
                            " ".join(line.split()),
                            " ".join(after.split()),
                            ast.unparse(ast.fix_missing_locations(broken)),
                        )
                    )
    return found


def copy_of(tree: ast.AST, keep: ast.AST) -> ast.AST:
    """A deep copy of a tree that still holds the very node `keep`."""
    return copy.deepcopy(tree, {id(keep): keep})


def survives(mutation: Mutation, timeout: float) -> bool:
    """Whether all tests of the module pass on the broken copy."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        checkout.mkdir()
        (Path(folder) / "shared").symlink_to(ROOT.parent / "shared")
        ignore = shutil.ignore_patterns("__pycache__", "benchmarks")
        for name in ("am_theory", "tests"):
            shutil.copytree(ROOT / name, checkout / name, ignore=ignore)
        for name in ("models", "simulations", "pyproject.toml"):
            (checkout / name).symlink_to(ROOT / name)
        (checkout / "am_theory" / f"{mutation.module}.py").write_text(mutation.source)
        files = [*test_files(mutation.module), f"am_theory/{mutation.module}.py"]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", *files]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=checkout, env=environment, capture_output=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode not in (0, 1, 2):
            raise RuntimeError(f"pytest itself failed:\n{done.stdout.decode()[-2000:]}")
        return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--count", type=int, default=30, help="mutations to try")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds a mutation")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    modules = {
        path.stem: mutations(path)
        for path in sorted((ROOT / "am_theory").glob("*.py"))
        if test_files(path.stem)
    }
    modules = {name: found for name, found in modules.items() if found}
    order = [
        name for _ in range(options.count) for name in draw.sample(list(modules), len(modules))
    ]
    print("| module | line | before | after | |\n| --- | --- | --- | --- | --- |")
    survivors = 0
    for name in order[: options.count]:
        mutation = draw.choice(modules[name])
        alive = survives(mutation, options.timeout)
        survivors += alive
        verdict = "**survives**" if alive else "killed"
        row = (name, str(mutation.line), f"`{mutation.before}`", f"`{mutation.after}`", verdict)
        print("| " + " | ".join(row) + " |", flush=True)
    print(f"\n{survivors} of {options.count} survive.")


if __name__ == "__main__":
    main()
