"""Does a broken formula fail a test? Breaks formula lines of am_theory at random and counts.

    python tests/mutation.py --count 30 --seed 1
    python tests/mutation.py --count 6 --modules channels nelbo

Draws lines over all modules, or over those named, changes one sign, operator, constant, index or
inequality in each, and runs the tests of that module, but for the slow ones, on a broken copy of
the package. A survivor is a line that no test holds, or a change that means the same; it is
printed with what was changed.
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
TESTS = ROOT / "tests" / "am_theory"
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
# Test files that hold a module besides those of its own name: tests of the modules that use it.
USERS = {
    "__main__": ["calculator"],
    "_ags": ["hopfield"],
    "_arrays": ["channel", "channels", "information"],
    "_binomial_window": ["extraction", "membership"],
    "_chain_rows": ["conditional_likelihood"],
    "_chains": ["extraction"],
    "_commonest": ["erasures"],
    "_consistent": ["erasures", "masked"],
    "_dense_counts": ["dense"],
    "_exponential_memory": ["dense"],
    "_extraction_normal": ["extraction"],
    "_feature_contour": ["feature_flow", "random_feature_denoiser"],
    "_feature_convergence": ["random_feature_denoiser"],
    "_feature_inputs": ["random_feature_denoiser"],
    "_feature_moments": ["random_feature_denoiser"],
    "_feature_passage": ["feature_flow"],
    "_feature_recovery": ["random_feature_denoiser", "random_feature_simulation"],
    "_feature_ridge": ["random_feature_denoiser", "random_feature_simulation"],
    "_gaussian": ["hopfield", "potts", "dense"],
    "_hierarchy": ["scaling"],
    "_hopfield_phases": ["hopfield"],
    "_inputs": ["compare", "information", "dense"],
    "_krawtchouk": ["staircase"],
    "_last_time": ["erasures", "basins"],
    "_linear_convergence": ["linear"],
    "_linear_ridge": ["linear"],
    "_linear_spectrum": ["linear"],
    "_logistic_rows": ["pseudolikelihood"],
    "_network_kernel": ["staircase"],
    "_noisy_rows": ["conditional_likelihood"],
    "_posterior_average": ["empirical", "masked", "memorization", "trapping"],
    "_potts_rows": ["conditional_likelihood"],
    "_random_patterns": ["empirical", "masked", "erasures"],
    "_roots": ["pseudolikelihood", "dense", "hopfield"],
    "_score_laws": ["membership"],
    "_score_normal": ["membership"],
    "_separable_rows": ["conditional_likelihood"],
    "_stored_draws": ["extraction"],
    "_ties": ["erasures"],
    "channel": ["channels"],
    "channels": ["channel", "information"],
    "erasure_limits": ["erasures", "masked"],
    "erasure_posterior": ["erasures"],
    "fixed_points": ["empirical"],
    "information": ["channel", "channels"],
    "nelbo": ["channel", "channels", "information"],
    "schedules": ["channel"],
}


class Mutation(NamedTuple):
    """One broken line: where, and how it read before and after."""

    module: str
    line: int
    before: str
    after: str
    source: str


def test_files(module: str) -> list[str]:
    """Test files of a module: those named after it, then those of the modules that use it."""
    names = [module.strip("_"), *USERS.get(module, [])]
    patterns = [pattern for name in names for pattern in (f"test_{name}.py", f"test_{name}_*.py")]
    found = [path for each in patterns for path in sorted(TESTS.glob(each))]
    return [str(path.relative_to(ROOT)) for path in found if "_jax" not in path.stem]


def broken_lines(names: list[str]) -> dict[str, list[Mutation]]:
    """Mutations of each module named, of all modules if none is.

    Raises ValueError for a module that is not there, has no tests or, if named, no formula.
    """
    there = {path.stem: path for path in sorted((ROOT / "am_theory").glob("*.py"))}
    modules = {}
    for name in names or there:
        if name not in there:
            raise ValueError(f"am_theory has no module {name}.")
        found = mutations(there[name])
        if names and not found:
            raise ValueError(f"am_theory.{name} has no formula to break.")
        if found and not test_files(name):
            raise ValueError(f"No tests of am_theory.{name}; name those of its users in USERS.")
        if found:
            modules[name] = found
    return modules


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


def verdict(mutation: Mutation, timeout: float) -> str:
    """What the tests of the module say of the broken copy; "times out" is not a survivor."""
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
        environment = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(checkout),
        }
        try:
            done = subprocess.run(
                command, cwd=checkout, env=environment, capture_output=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return "times out"
        if done.returncode not in (0, 1, 2):
            raise RuntimeError(f"pytest itself failed:\n{done.stdout.decode()[-2000:]}")
        return "**survives**" if done.returncode == 0 else "killed"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--count", type=int, default=30, help="mutations to try")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds a mutation")
    parser.add_argument("--modules", nargs="+", default=[], help="modules to draw from (all)")
    options = parser.parse_args(arguments)
    try:
        modules = broken_lines(options.modules)
    except ValueError as error:
        parser.error(str(error))
    draw = random.Random(options.seed)
    order = [
        name for _ in range(options.count) for name in draw.sample(list(modules), len(modules))
    ]
    print("| module | line | before | after | |\n| --- | --- | --- | --- | --- |")
    survivors = 0
    for name in order[: options.count]:
        mutation = draw.choice(modules[name])
        said = verdict(mutation, options.timeout)
        survivors += said == "**survives**"
        row = (name, str(mutation.line), f"`{mutation.before}`", f"`{mutation.after}`", said)
        print("| " + " | ".join(row) + " |", flush=True)
    print(f"\n{survivors} of {options.count} survive.")


if __name__ == "__main__":
    main()
