"""Signs in training code: parsed, never executed."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cmgan.diagnosis import findings
from cmgan.diagnosis.findings import Finding, Weight

IN_CODE = "found in the code"
_LOSS_CALLS = frozenset({"l1_loss", "L1Loss", "mean_absolute_error"})
_REFERENCE = ("clean", "reference", "target")
_ESTIMATE = ("est", "enhanced", "output", "gen", "pred", "denoised")
_SPECTRAL = ("mag", "real", "imag", "spec", "stft", "phase", "pesq", "metric")
_DEPTH = 5
# Methods and functions of torch and numpy that leave a signal's scale alone.
_KEEPS_SCALE = frozenset(
    {"to", "cuda", "cpu", "float", "detach", "clone", "contiguous", "as_tensor", "from_numpy", "tensor"}
    | {"squeeze", "unsqueeze", "transpose", "permute", "view", "reshape", "flatten", "t"}
)

# The nodes of a function, or of a file, without those of functions inside it.
_Scope = list[ast.AST]
_Signs = Iterator[tuple[int, Finding]]


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
    signs = [*_time_targets(tree), *_samplers(tree), *_functions(tree)]
    return [replace(finding, place=f"{path}:{line}") for line, finding in signs]


def _time_targets(tree: ast.Module) -> _Signs:
    """Expressions that end up as time target without being multiplied by anything.

    A time loss is the mean absolute difference, or l1_loss, of an estimate and a clean waveform, told by their names.
    The clean signal is followed through assignments, dictionary entries and slices of the same file; one that is
    multiplied on its way, as `clean * c`, is normalised. Only code that scales its noisy signal is looked at: without
    a gain there is nothing to be left out.
    """
    products = [ast.unparse(node) for node in ast.walk(tree) if _is_product(node)]
    if not any("noisy" in product or "mix" in product for product in products):
        return
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    scopes = [_nodes_of(function) for function in (tree, *functions)]
    found: dict[int, str] = {}
    for scope in scopes:
        for first, second in filter(None, map(_compared, scope)):
            for estimate, reference in ((first, second), (second, first)):
                if _is_waveform(estimate, _ESTIMATE) and _is_waveform(reference, _REFERENCE):
                    for origin in _origins(reference, scope, scopes, _DEPTH):
                        found.setdefault(origin.lineno, ast.unparse(origin))
    for line, source in sorted(found.items()):
        title = f"the time loss is taken against `{source}`, which nothing multiplies by the gain there"
        change = findings.NORMALISE_TARGET
        yield line, Finding(findings.TIME_TARGET, Weight.MODERATE, title, IN_CODE, "C12", change)


def _functions(tree: ast.Module) -> _Signs:
    """Signs in functions whose names say that they compute PESQ or a weighted spectral slope."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for name, node in ((function.name, node) for function in functions for node in ast.walk(function)):
        is_pesq, is_slope = (part in name.lower() for part in ("pesq", "wss"))
        match node:
            case ast.Return(value=None | ast.Constant(value=None)) if is_pesq:
                title = f"`{name}` returns None when PESQ fails: the whole batch's step is skipped"
                subject, change = findings.SKIPPED_STEPS, findings.MASK_FAILURES
                yield node.lineno, Finding(subject, Weight.WEAK, title, IN_CODE, "C04", change)
            # `[x] * len(y)`
            case ast.BinOp(ast.List([_]), ast.Mult(), right) if is_pesq and _called(right) == "len":
                title = f"`{name}` gives every sample of a batch the same label"
                change = "give every sample its own PESQ, and leave failed ones out of the loss"
                yield node.lineno, Finding("labels", Weight.NOTE, title, IN_CODE, "C05", change)
            case ast.BinOp(_, ast.Div(), ast.Constant(32768)) if is_slope:
                title = f"`{name}` divides by 32768: right for 16-bit samples, wrong for ±1 floats"
                evidence = f"{IN_CODE}; it inflates CSIG, CBAK and COVL, and leaves PESQ and training alone"
                change = "pass samples on the 16-bit scale to it, or leave the division out"
                subject = "composite scores"
                yield node.lineno, Finding(subject, Weight.NOTE, title, evidence, "C17", change)


def _samplers(tree: ast.Module) -> _Signs:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if any(_called(call) == "set_epoch" for call in calls):
        return
    for call in calls:
        # A sampler for validation is meant to keep its order.
        keeps_order = any(ast.unparse(keyword) == "shuffle=False" for keyword in call.keywords)
        if _called(call) == "DistributedSampler" and not keeps_order:
            title = "a DistributedSampler whose set_epoch is never called: every epoch has the same order"
            change = "call sampler.set_epoch(epoch) at the start of every epoch"
            yield call.lineno, Finding(findings.ORDER, Weight.NOTE, title, IN_CODE, "C13", change)


def _nodes_of(function: ast.AST) -> _Scope:
    nodes = list(ast.iter_child_nodes(function))
    # The list grows while it is gone through.
    for node in nodes:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            nodes += ast.iter_child_nodes(node)
    return nodes


def _compared(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """The two sides of an absolute difference or of l1_loss."""
    name = _called(node)
    match node:
        case ast.Call(args=[first, second, *_]) if name in _LOSS_CALLS:
            return first, second
        case ast.Call(args=[ast.BinOp(left, ast.Sub(), right), *_]) | ast.Call(
            ast.Attribute(ast.BinOp(left, ast.Sub(), right)), args=[]
        ) if name in ("abs", "absolute"):
            return left, right
    return None


def _is_waveform(expression: ast.expr, words: tuple[str, ...]) -> bool:
    text = ast.unparse(expression).lower()
    return any(word in text for word in words) and not any(word in text for word in _SPECTRAL)


def _origins(expression: ast.expr, scope: _Scope, scopes: list[_Scope], depth: int) -> list[ast.expr]:
    """Where a time target comes from without having been multiplied; empty when it was."""
    signal = _unwrapped(expression)
    # What another function makes of a signal is not known, so it is not called wrong.
    if any(map(_is_product, ast.walk(signal))) or isinstance(signal, ast.Call) or depth == 0:
        return []
    sources: list[tuple[ast.expr, _Scope]] = []
    match signal:
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            sources = [(value, other) for other in scopes for value in _entries(key, other)]
        case ast.Name(id=name):
            assigned = _last_assignment(name, expression.lineno, scope)
            # `clean = clean.cuda()` as a function's first word on its argument leads no further.
            if assigned is not None and (
                ast.unparse(_unwrapped(assigned)) != name
                or _last_assignment(name, assigned.lineno, scope) is not None
            ):
                sources = [(assigned, scope)]
    if not sources:
        return [expression]
    return [origin for source in sources for origin in _origins(*source, scopes, depth - 1)]


def _unwrapped(expression: ast.expr) -> ast.expr:
    """The signal inside slices, methods as .to(device) or .squeeze(1), and torch.transpose(x, 0, 1)."""
    match expression:
        case ast.Subscript(value=inner, slice=part) if not isinstance(part, ast.Constant):
            return _unwrapped(inner)
        case ast.Call(ast.Attribute(ast.Name("torch" | "np"), method), arguments):
            return _unwrapped(arguments[0]) if arguments and method in _KEEPS_SCALE else expression
        case ast.Call(ast.Attribute(inner, method)) if method in _KEEPS_SCALE:
            return _unwrapped(inner)
    return expression


def _entries(key: str, scope: _Scope) -> Iterator[ast.expr]:
    """Everything that is put under a key, in any dictionary."""
    for node in scope:
        entries = []
        if isinstance(node, ast.Dict):
            entries = zip(node.keys, node.values, strict=True)
        elif isinstance(node, ast.Assign):
            entries = [(goal.slice, node.value) for goal in node.targets if isinstance(goal, ast.Subscript)]
        yield from (value for at, value in entries if isinstance(at, ast.Constant) and at.value == key)


def _last_assignment(name: str, line: int, scope: _Scope) -> ast.expr | None:
    """What was last assigned to a name above a line."""
    found = []
    for node in scope:
        # A statement over several lines ends before the use; the one that holds the use starts on it or above.
        if isinstance(node, ast.Assign) and node.end_lineno < line:
            found += filter(None, (_value_for(name, goal, node.value) for goal in node.targets))
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mult) and node.lineno < line:
            product = ast.copy_location(ast.BinOp(node.target, node.op, node.value), node)
            found += filter(None, [_value_for(name, node.target, product)])
    return max(found, key=lambda value: value.lineno, default=None)


def _value_for(name: str, goal: ast.expr, value: ast.expr) -> ast.expr | None:
    parts = goal.elts if isinstance(goal, ast.Tuple) else [goal]
    names = [ast.unparse(part) for part in parts]
    if name not in names:
        return None
    unpacked = isinstance(goal, ast.Tuple) and isinstance(value, ast.Tuple) and len(value.elts) == len(names)
    return value.elts[names.index(name)] if unpacked else value


def _is_product(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)


def _called(node: ast.AST) -> str:
    match node:
        case ast.Call(ast.Attribute(attr=name) | ast.Name(name)):
            return name
    return ""
