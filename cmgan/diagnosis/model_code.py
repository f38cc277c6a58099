"""Signs in training code: read as text and parsed, never executed."""

import ast
from collections.abc import Iterator
from pathlib import Path

from cmgan.diagnosis import order, skips, target, time_target_code
from cmgan.diagnosis.finding import Finding, Weight

INT16_SCALE = 32768


def code_findings(path: Path) -> list[Finding]:
    """What a Python file shows of the causes that the claims are about, each with its file and line.

    Looks for a time loss against a clean signal that was never multiplied by the gain, a PESQ function that returns
    None, a DistributedSampler without set_epoch, batch-mean labels, and a division by 32768 in a weighted spectral
    slope. Raises FileNotFoundError or ValueError, naming the file, for one that is missing or no Python.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the Python file of the training code")
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "msg", str(error))
        raise ValueError(f"{path}: not Python that can be parsed ({reason}); give a .py file") from error
    lines = [
        *((_time_target(line, what)) for line, what in time_target_code.unnormalised_targets(tree)),
        *_pesq_functions(tree),
        *_samplers(tree),
        *_slopes(tree),
    ]
    return [_placed(finding, path, line) for line, finding in lines]


def _placed(finding: Finding, path: Path, line: int) -> Finding:
    return Finding(
        finding.subject,
        finding.weight,
        finding.title,
        finding.evidence,
        finding.claim,
        finding.change,
        f"{path}:{line}",
    )


def _time_target(line: int, what: str) -> tuple[int, Finding]:
    title = f"the time loss is taken against `{what}`, which nothing multiplies by the gain there"
    return line, Finding(target.SUBJECT, Weight.MODERATE, title, "found in the code", "C12", target.CHANGE)


def _pesq_functions(tree: ast.Module) -> Iterator[tuple[int, Finding]]:
    for function in _functions(tree, "pesq"):
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and _is_none(node.value):
                title = f"`{function.name}` returns None when PESQ fails: the whole batch's step is skipped"
                found = Finding(skips.SUBJECT, Weight.WEAK, title, "found in the code", "C04", skips.CHANGE)
                yield node.lineno, found
            if isinstance(node, ast.BinOp) and _repeats_one_value(node):
                title = f"`{function.name}` gives every sample of a batch the same label"
                change = "give every sample its own PESQ, and leave failed ones out of the loss"
                yield node.lineno, Finding("labels", Weight.NOTE, title, "found in the code", "C05", change)


def _samplers(tree: ast.Module) -> Iterator[tuple[int, Finding]]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if any(_called(call) == "set_epoch" for call in calls):
        return
    for call in calls:
        if _called(call) == "DistributedSampler" and not _says_no_shuffle(call):
            title = "a DistributedSampler whose set_epoch is never called: every epoch has the same order"
            change = "call sampler.set_epoch(epoch) at the start of every epoch"
            yield call.lineno, Finding(order.SUBJECT, Weight.NOTE, title, "found in the code", "C13", change)


def _slopes(tree: ast.Module) -> Iterator[tuple[int, Finding]]:
    for function in _functions(tree, "wss"):
        for node in ast.walk(function):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_int16_scale(node.right):
                title = f"`{function.name}` divides by 32768: right for 16-bit samples, wrong for ±1 floats"
                evidence = (
                    "found in the code; it inflates CSIG, CBAK and COVL, and leaves PESQ and training alone"
                )
                change = "pass samples on the 16-bit scale to it, or leave the division out"
                yield node.lineno, Finding("composite scores", Weight.NOTE, title, evidence, "C17", change)


def _functions(tree: ast.Module, part: str) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and part in node.name.lower():
            yield node


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _is_int16_scale(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == INT16_SCALE


def _repeats_one_value(node: ast.BinOp) -> bool:
    """`[x] * len(y)`."""
    return (
        isinstance(node.op, ast.Mult)
        and isinstance(node.left, ast.List)
        and len(node.left.elts) == 1
        and isinstance(node.right, ast.Call)
        and _called(node.right) == "len"
    )


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _says_no_shuffle(call: ast.Call) -> bool:
    """A sampler for validation, which is meant to keep its order."""
    return any(
        keyword.arg == "shuffle" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        for keyword in call.keywords
    )
