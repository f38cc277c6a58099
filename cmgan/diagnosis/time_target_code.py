"""Where training code takes its time loss against a clean signal that was never multiplied by the gain."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

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

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Module


@dataclass(frozen=True)
class _Use:
    """An expression used as time target, and the function in which it stands."""

    expression: ast.expr
    function: _Function
    line: int


def unnormalised_targets(tree: ast.Module) -> list[tuple[int, str]]:
    """(line, source) of each expression that ends up as time target without being multiplied by anything.

    A time loss is the mean absolute difference, or l1_loss, of an estimate and a clean waveform, told by their names.
    The clean signal is followed through assignments, dictionary entries and slices of the same file; one that is
    multiplied on its way, as `clean * c`, is normalised. Only code that scales its noisy signal is looked at: without
    a gain there is nothing to be left out.
    """
    if not any(_scales(node) for node in ast.walk(tree)):
        return []
    found: dict[int, str] = {}
    for use in _time_targets(tree):
        for origin in _origins(use, tree, _DEPTH):
            found.setdefault(origin.line, ast.unparse(origin.expression))
    return sorted(found.items())


def _scales(node: ast.AST) -> bool:
    """A product or quotient of a noisy signal, as `noisy * c` or torch.transpose(noisy, 0, 1) * c."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult | ast.Div)
        and ("noisy" in ast.unparse(node) or "mix" in ast.unparse(node))
    )


def _time_targets(tree: ast.Module) -> Iterator[_Use]:
    for function in _scopes(tree):
        for node in _own_nodes(function):
            for first, second in _compared(node):
                for estimate, reference in ((first, second), (second, first)):
                    if _is_waveform(estimate, _ESTIMATE) and _is_waveform(reference, _REFERENCE):
                        yield _Use(reference, function, reference.lineno)


def _compared(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The two sides of an absolute difference or of l1_loss."""
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _LOSS_CALLS and len(node.args) >= 2:
        yield node.args[0], node.args[1]
    if name in ("abs", "absolute"):
        argument = node.args[0] if node.args else getattr(node.func, "value", None)
        if isinstance(argument, ast.BinOp) and isinstance(argument.op, ast.Sub):
            yield argument.left, argument.right


def _is_waveform(expression: ast.expr, words: tuple[str, ...]) -> bool:
    text = ast.unparse(expression).lower()
    return any(word in text for word in words) and not any(word in text for word in _SPECTRAL)


def _origins(use: _Use, tree: ast.Module, depth: int) -> list[_Use]:
    """Where the target comes from without having been multiplied; empty when it was."""
    expression = _unwrapped(use.expression)
    # What another function makes of a signal is not known, so it is not called wrong.
    if _multiplied(expression) or isinstance(expression, ast.Call) or depth == 0:
        return []
    if isinstance(expression, ast.Subscript) and isinstance(expression.slice, ast.Constant):
        entries = list(_entries(tree, expression.slice.value))
        if isinstance(expression.slice.value, str) and entries:
            return [origin for entry in entries for origin in _origins(entry, tree, depth - 1)]
        return [use]
    if isinstance(expression, ast.Name):
        assigned = _last_assignment(use, expression.id)
        if assigned is not None and expression.id not in _names_taken_whole(assigned, use):
            return _origins(assigned, tree, depth - 1)
    return [use]


def _unwrapped(expression: ast.expr) -> ast.expr:
    """The signal inside slices, methods as .to(device) or .squeeze(1), and torch.transpose(x, 0, 1)."""
    while True:
        if isinstance(expression, ast.Subscript) and not isinstance(expression.slice, ast.Constant):
            expression = expression.value
        elif isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
            receiver = expression.func.value
            of_module = isinstance(receiver, ast.Name) and receiver.id in ("torch", "np")
            if expression.func.attr not in _KEEPS_SCALE or (of_module and not expression.args):
                return expression
            expression = expression.args[0] if of_module else receiver
        else:
            return expression


def _multiplied(expression: ast.expr) -> bool:
    return any(
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)
        for node in ast.walk(expression)
    )


def _last_assignment(use: _Use, name: str) -> _Use | None:
    """What was last assigned to a name above the line of its use, in the same function."""
    best = None
    for node in _own_nodes(use.function):
        # A statement over several lines ends before the use; the one that holds the use starts on it or above.
        if isinstance(node, ast.Assign) and (node.end_lineno or node.lineno) < use.line:
            for goal in node.targets:
                value = _value_for(goal, node.value, name)
                if value is not None and (best is None or node.lineno > best.line):
                    best = _Use(value, use.function, node.lineno)
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mult) and node.lineno < use.line:
            is_same = isinstance(node.target, ast.Name) and node.target.id == name
            if is_same and (best is None or node.lineno > best.line):
                best = _Use(ast.BinOp(node.target, ast.Mult(), node.value), use.function, node.lineno)
    return best


def _value_for(goal: ast.expr, value: ast.expr, name: str) -> ast.expr | None:
    if isinstance(goal, ast.Name) and goal.id == name:
        return value
    if isinstance(goal, ast.Tuple):
        for index, part in enumerate(goal.elts):
            if isinstance(part, ast.Name) and part.id == name:
                if isinstance(value, ast.Tuple) and len(value.elts) == len(goal.elts):
                    return value.elts[index]
                return value
    return None


def _names_taken_whole(assigned: _Use, use: _Use) -> set[str]:
    """Names that only come back as themselves: `clean = clean.cuda()` as a function's first word on its argument."""
    inner = _unwrapped(assigned.expression)
    earlier = isinstance(inner, ast.Name) and _last_assignment(
        _Use(inner, use.function, assigned.line), inner.id
    )
    return {inner.id} if isinstance(inner, ast.Name) and earlier is None else set()


def _entries(tree: ast.Module, key: object) -> Iterator[_Use]:
    """Everything that is put under a key, in any dictionary of the file."""
    for function in _scopes(tree):
        for node in _own_nodes(function):
            if isinstance(node, ast.Dict):
                for entry, value in zip(node.keys, node.values, strict=True):
                    if isinstance(entry, ast.Constant) and entry.value == key:
                        yield _Use(value, function, value.lineno)
            if isinstance(node, ast.Assign):
                for goal in node.targets:
                    if (
                        isinstance(goal, ast.Subscript)
                        and isinstance(goal.slice, ast.Constant)
                        and goal.slice.value == key
                    ):
                        yield _Use(node.value, function, node.lineno)


def _scopes(tree: ast.Module) -> Iterator[_Function]:
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _own_nodes(function: _Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
