"""What a compiled program does, read from its HLO: what it moves, multiplies and touches.

`compiled.as_text()` of a program for several devices is the program of one device: all numbers
are per device. XLA's own `cost_analysis` counts the body of a loop once, however often it runs
(`tests/sharding` checks that the two agree where there is no loop); here a loop counts as often as
it runs. The programs of CPUs and GPUs say how often that is; in those of TPUs it is the number that
the loop's counter is compared with.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)
# Instructions that only name, group or reinterpret what is there.
_FREE = {
    "bitcast",
    "call",
    "conditional",
    "constant",
    "get-tuple-element",
    "iota",
    "parameter",
    "tuple",
    "while",
}
_BITS = {"pred": 8, "bf16": 16}
_CALLED = re.compile(r"(?:calls|to_apply|body|condition)=%?([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONDITION = re.compile(r"condition=%?([\w.-]+)")
_BOUND = re.compile(r"%?([\w.-]+) = s32\[\]\S* constant\((\d+)\)")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_UNKNOWN_CYCLES = 2**62  # the compiler writes the largest number where it has no estimate
_ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\]")
_LOGICAL = re.compile(r'op_name="([^"]*)"')


@dataclass(frozen=True)
class Instruction:
    """One instruction of a program.

    Attributes:
        name: its name.
        kind: the operation.
        shapes: type and sizes of the arrays it gives.
        operands: names of the instructions whose results it takes.
        text: all behind the operands.
        times: how often it runs.
        fused: whether it is inside a fusion, so that its results never reach memory.
    """

    name: str
    kind: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    operands: tuple[str, ...]
    text: str
    times: int
    fused: bool

    @property
    def elements(self) -> int:
        """Of the largest array it gives."""
        return max((prod(sizes) for _, sizes in self.shapes), default=0)

    @property
    def bytes(self) -> int:
        """Of all arrays it gives."""
        return sum(_bits(kind) * prod(sizes) // 8 for kind, sizes in self.shapes)


@dataclass(frozen=True)
class Collective:
    """An exchange between devices.

    Attributes:
        kind: one of `COLLECTIVES`.
        elements: of the largest array that a device gets from it.
        bytes: of all arrays that a device gets from it.
        times: how often it runs.
        origin: where in the traced program it comes from.
    """

    kind: str
    elements: int
    bytes: int
    times: int
    origin: str


@dataclass(frozen=True)
class Work:
    """What one device does.

    Attributes:
        products: floating-point operations of matrix products and convolutions.
        exact: of them, those that must be float32 on every device (`Precision.HIGHEST`).
        touched: bytes read and written, by every instruction that is not inside a fusion.
        kernels: how many such instructions run.
        written: how many of them stand in the program.
        cycles: the compiler's own estimate of what they take; TPU programs alone have one.
    """

    products: float
    exact: float
    touched: float
    kernels: int
    written: int
    cycles: int


def collectives(text: str) -> list[Collective]:
    """The exchanges of a program, the largest first."""
    found = []
    for instruction in instructions(text):
        kind = instruction.kind.removesuffix("-start")
        if kind not in COLLECTIVES:
            continue
        shapes = instruction.shapes
        if instruction.kind.endswith("-start") and kind != "all-reduce":
            # The operands stand before the results, and signals behind them.
            shapes = tuple(shape for shape in shapes if shape[1] or shape[0] not in ("u32", "s32"))
            shapes = shapes[len(shapes) // 2 :]
        sizes = [_bits(dtype) * prod(dims) // 8 for dtype, dims in shapes]
        origin = _LOGICAL.search(instruction.text)
        found.append(
            Collective(
                kind,
                max(prod(dims) for _, dims in shapes),
                sum(sizes),
                instruction.times,
                origin[1] if origin else instruction.name,
            )
        )
    return sorted(found, key=lambda collective: -collective.bytes)


def work(text: str) -> Work:
    """Products and memory traffic of a program."""
    products = exact = touched = 0.0
    kernels = written = cycles = 0
    given = {}
    for instruction in instructions(text):
        given[instruction.name] = instruction
        operands = [given[name] for name in instruction.operands if name in given]
        if instruction.kind in ("convolution", "dot"):
            count = instruction.times * _products(instruction, operands)
            products += count
            exact += count if "highest" in instruction.text else 0.0
        if not instruction.fused and instruction.kind not in _FREE:
            touched += instruction.times * _touched(instruction, operands)
            kernels += instruction.times
            written += 1
            estimate = _CYCLES.search(instruction.text)
            if estimate and int(estimate[1]) < _UNKNOWN_CYCLES:
                cycles += instruction.times * int(estimate[1])
    return Work(products, exact, touched, kernels, written, cycles)


def instructions(text: str) -> Iterator[Instruction]:
    """All instructions of a program that run, with how often they do."""
    bodies, entry = _computations(text)
    runs: dict[str, int] = {entry: 1}
    fused: set[str] = set()
    # Callees stand before their callers, so that going backward every count is complete.
    for name in reversed(bodies):
        for line in bodies[name] if name in runs else ():
            times = _trips(line, bodies)
            called = _CALLED.findall(line)
            for group in _BRANCHES.findall(line):
                called += [branch.strip(" %") for branch in group.split(",")]
            for callee in called:
                runs[callee] = runs.get(callee, 0) + runs[name] * times
                if " fusion(" in line or name in fused:
                    fused.add(callee)
    for name, lines in bodies.items():
        if name in runs:
            for line in lines:
                yield _parse(line, runs[name], name in fused)


def _trips(line: str, bodies: dict[str, list[str]]) -> int:
    """How often a line runs what it calls."""
    if known := _TRIPS.search(line):
        return int(known[1])
    condition = _CONDITION.search(line)
    if condition is None:
        return 1
    lines = bodies.get(condition[1], [])
    bounds = {m[1]: int(m[2]) for m in map(_BOUND.search, lines) if m}
    compared = next((text for text in lines if "direction=LT" in text), "")
    found = [bounds[name] for name in re.findall(r"%([\w.-]+)", compared) if name in bounds]
    return found[-1] if found else 1


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """The lines of each computation by its name, and the name of the first that runs."""
    bodies: dict[str, list[str]] = {}
    entry, current = "", None
    for line in text.splitlines():
        header = re.match(r"(ENTRY )?%?([\w.-]+) \(.*\{$", line)
        if header:
            current = bodies.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and " = " in line:
            current.append(line)
    if not entry:
        raise ValueError("expected the text of a compiled program, with an ENTRY computation")
    return bodies, entry


def _parse(line: str, times: int, fused: bool) -> Instruction:
    name, _, rest = line.strip().removeprefix("ROOT ").partition(" = ")
    # The type may be a tuple, with parentheses and spaces of its own.
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    kind, opening = re.match(r"\s*([\w-]+)", rest[end:]), rest.index("(", end)
    closing = _closing(rest, opening)
    return Instruction(
        name=name.lstrip("%"),
        kind=kind[1] if kind else "",
        shapes=tuple(
            (dtype, tuple(int(n) for n in dims.split(",") if n))
            for dtype, dims in _ARRAY.findall(rest[:end])
        ),
        operands=tuple(re.findall(r"%([\w.-]+)", rest[opening:closing])),
        text=rest[closing:],
        times=times,
        fused=fused,
    )


def _closing(text: str, start: int) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return len(text)


def _bits(dtype: str) -> int:
    if dtype in _BITS:
        return _BITS[dtype]
    digits = re.search(r"\d+", dtype)
    return int(digits[0]) if digits else 0


def _products(instruction: Instruction, operands: list[Instruction]) -> float:
    """Two operations for each term of each output element."""
    right = operands[1].shapes[0][1]
    if instruction.kind == "dot":
        axes = re.search(r"rhs_contracting_dims=\{([\d,]*)\}", instruction.text)
        terms = prod(right[int(n)] for n in axes[1].split(",") if n) if axes else 1
    else:
        labels = re.search(r"dim_labels=\w+_(\w+)->", instruction.text)
        outputs = right[labels[1].index("o")] if labels else 1
        terms = prod(right) // outputs
    return 2.0 * instruction.elements * terms


def _touched(instruction: Instruction, operands: list[Instruction]) -> float:
    """Bytes of operands and results; of slices and updates of large arrays only the part."""
    if "dynamic-update-slice" in instruction.kind + instruction.name:
        small = [operand.bytes for operand in operands if operand.bytes < instruction.bytes]
        return 2.0 * sum(small)
    if "slice" in instruction.kind + instruction.name:
        return 2.0 * instruction.bytes
    return float(instruction.bytes + sum(operand.bytes for operand in operands))
