"""Mutation testing: how many small changes of the code do the tests notice?

python benchmarks/mutants.py jaxmotion/losses/segmentation.py jaxmotion/training/step.py --sample 40

Needs `pip install cosmic-ray`, which lists the changes (an operator, a number, a comparison, a
condition, a loop, a decorator). A sample of them is made, one at a time, in a copy of the
repository, and the tests that belong to the file run there until one fails. Those that survive are
printed as diffs. All of this runs at the lowest priority; a limit of processor time, not of time,
ends a change that makes a loop endless.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CPU_SECONDS = 600

TESTS = {
    "jaxmotion/losses": ["tests/losses", "tests/motion/test_motion_shapes.py"],
    "jaxmotion/motion": ["tests/motion"],
    "jaxmotion/training/optimizer.py": ["tests/training/test_training_step.py"],
    "jaxmotion/training/step.py": ["tests/training/test_training_step.py"],
    "jaxmotion/tasks/segmentation.py": [
        "tests/tasks/test_tasks_objective.py",
        "tests/tasks/test_tasks_segmentation.py",
    ],
    "jaxmotion/training": ["tests/training"],
}
"""What runs for a file: of the most specific entry."""


def tests_of(path: str) -> list[str]:
    return TESTS[max((prefix for prefix in TESTS if path.startswith(prefix)), key=len)]


def list_mutants(path: str) -> list[tuple[str, int]]:
    """Operator and occurrence of every change of a file that differs from it."""
    from cosmic_ray import plugins
    from cosmic_ray.ast import get_ast

    tree, found = get_ast((ROOT / path).read_text()), []

    def visit(node, positions):
        yield from positions(node)
        for child in getattr(node, "children", []):
            yield from visit(child, positions)

    for name in plugins.operator_names():
        kind = plugins.get_operator(name)
        if kind.arguments() or "_BitOr_" in name:  # `|` is in annotations mostly
            continue
        operator = kind()
        count = sum(1 for _ in visit(tree, operator.mutation_positions))
        found += [(name, occurrence) for occurrence in range(count)]
    return found


def mutate(path: Path, mutant: tuple[str, int]) -> None:
    from cosmic_ray import plugins
    from cosmic_ray.mutating import apply_mutation

    apply_mutation(path, plugins.get_operator(mutant[0])(), mutant[1])


def passes(copy: Path, tests: list[str]) -> bool:
    """Whether the tests pass in the copy, in a child that has the libraries already."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        import pytest

        status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])
        os._exit(int(status))
    finally:
        os._exit(9)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", help="of the package, from the root of the repository")
    parser.add_argument("--sample", type=int, default=50, help="changes of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", nargs="+", help="instead of those that belong to the file")
    arguments = parser.parse_args()

    os.nice(19)
    sys.path[:0] = [str(ROOT / "tests")]
    from xla_flags import FAST_COMPILATION, PATIENCE

    os.environ["XLA_FLAGS"] = f"{FAST_COMPILATION} {PATIENCE}"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "xla"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    # What children share. No backend starts here: its threads would not survive the fork.
    import flax.linen  # noqa: F401
    import hypothesis  # noqa: F401
    import jax  # noqa: F401
    import optax  # noqa: F401
    import scipy.optimize  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve()
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
        for name in listed.stdout.split("\n")[:-1]:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        for file in arguments.files:
            tests = arguments.tests or tests_of(file)
            if not passes(copy, tests):
                sys.exit(f"{file}: {' '.join(tests)} fail without any change")
            every = list_mutants(file)
            chosen = random.Random(arguments.seed).sample(every, min(arguments.sample, len(every)))
            survived = 0
            for mutant in chosen:
                mutate(copy / file, mutant)
                if passes(copy, tests):
                    survived += 1
                    diff = ["git", "diff", "--no-index", "-U0", str(ROOT / file), str(copy / file)]
                    shown = subprocess.run(diff, capture_output=True, text=True).stdout
                    print(f"{file} survived: {mutant[0]}", *shown.splitlines()[4:], sep="\n  ")
                shutil.copy(ROOT / file, copy / file)
            killed = len(chosen) - survived
            print(f"{file}: {killed} of {len(chosen)} noticed (of {len(every)} possible)")


if __name__ == "__main__":
    main()
