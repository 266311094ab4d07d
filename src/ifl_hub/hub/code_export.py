"""A method's code as flat files beside its weights, so that transformers runs them where ifl_hub is not installed.

transformers copies and loads remote code as single files of one folder, which it finds by scanning for
`from .module import name`. So every module that the entry points need is written under a flat name, with its imports of
other modules of this package rewritten; nothing else of the source changes.
"""

import ast
import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__
from ..files import write_atomically
from ..image_processing import FaceImageProcessor, IflImageProcessor
from ..registration import FACE_CLASSIFICATION_MODELS, LOCALIZATION_MODELS
from .checkpoint import read_json, resolve_model_class

PACKAGE = __package__.partition(".")[0]
#: What transformers itself, and so everybody who loads remote code, has.
_ALWAYS_THERE = {*sys.stdlib_module_names, "torch", "transformers", "numpy", "PIL", "huggingface_hub", "safetensors"}


class _Edit(NamedTuple):
    """Lines `[start, end)` of a source to be replaced."""

    start: int
    end: int
    text: str


def export_code(folder: Path) -> list[str]:
    """Write the code of a checkpoint into its folder, and name it in `config.json` and `preprocessor_config.json`.

    `AutoModel`, `AutoImageProcessor` and `pipeline("<task>-remote")` then work with `trust_remote_code=True` and
    without ifl_hub. With it, its own classes are used, as before.

    Args:
        folder: A checkpoint that is not used otherwise, such as a copy made for an upload.

    Returns:
        The names of the files that were written.

    Raises:
        ValueError: If its model is none of ours.
    """
    config = read_json(folder / "config.json")
    model_class = resolve_model_class(config)
    names = {"AutoConfig": model_class.config_class, "AutoModel": model_class}
    pipeline_class = _pipeline_of(model_class)
    if model_class in FACE_CLASSIFICATION_MODELS.values():
        names["AutoModelForImageClassification"] = model_class
    processor_class = _processor_of(folder)
    entries = [*names.values(), processor_class, *([pipeline_class] if pipeline_class else [])]
    sources = flatten([entry.__module__ for entry in entries])
    config["auto_map"] = {auto: _reference(entry) for auto, entry in names.items()}
    if pipeline_class:
        # Not under the task's own name: transformers would then run this code even where the library is installed.
        task = {"impl": _reference(pipeline_class), "pt": ["AutoModel"], "type": "image"}
        config["custom_pipelines"] = {remote_task(pipeline_class.task): task}
    _write_json(folder / "config.json", config)
    preprocessor = read_json(folder / "preprocessor_config.json")
    preprocessor["auto_map"] = {"AutoImageProcessor": _reference(processor_class)}
    _write_json(folder / "preprocessor_config.json", preprocessor)
    for name, source in sources.items():
        write_atomically(folder / name, source.encode())
    return sorted(sources)


def remote_task(task: str) -> str:
    """What a task is called where the pipeline comes from the repository.

    Example:
        >>> remote_task("deepfake-detection")
        'deepfake-detection-remote'
    """
    return f"{task}-remote"


def flatten(modules: Sequence[str]) -> dict[str, str]:
    """The sources of modules and of everything in this package that they import, by flat file name.

    Args:
        modules: Full names, such as `"ifl_hub.pipelines.tiling"`.

    Raises:
        ValueError: If a module imports from a package's `__init__`, or two modules have one flat name.

    Example:
        >>> sorted(flatten(["ifl_hub.modeling.outputs", "ifl_hub.modeling.ncl.losses_ncl"]))
        ['image_processing_masks.py', 'losses_ncl.py', 'modeling_losses.py', 'modeling_outputs.py']
    """
    sources: dict[str, str] = {}
    origins: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        name = f"{_flat_name(module)}.py"
        if origins.setdefault(name, module) != module:
            raise ValueError(f"{module} and {origins[name]} would both be {name}: rename one of them")
        if name not in sources:
            sources[name], needed = _rewrite(module)
            waiting += needed
    return sources


def _rewrite(module: str) -> tuple[str, list[str]]:
    """A module's source for a flat folder, and the modules of this package that it needs."""
    source = Path(_origin(module)).read_text(encoding="utf-8")
    needed: list[str] = []
    edits: list[_Edit] = []
    for node in _imports(ast.parse(source)):
        if isinstance(node, ast.If):  # for type checkers only
            edits.append(_Edit(node.lineno - 1, _end(node), ""))
            continue
        target = _resolve(module, node)
        indent = " " * node.col_offset
        if target is None:
            if indent and _packages(node) - _ALWAYS_THERE:
                edits.append(_Edit(node.lineno - 1, _end(node), _guarded(node, indent)))
            continue
        if Path(_origin(target)).name == "__init__.py":
            raise ValueError(f"{module}, line {node.lineno}: import from the module that defines the name")
        needed.append(target)
        names = ", ".join(ast.unparse(alias) for alias in node.names)
        edits.append(_Edit(node.lineno - 1, _end(node), f"{indent}from .{_flat_name(target)} import {names}\n"))
    lines = source.splitlines(keepends=True)
    for edit in sorted(edits, reverse=True):
        lines[edit.start : edit.end] = [edit.text]
    return f"# {module} of ifl-hub {__version__} (Apache-2.0), written by `ifl-hub push`.\n{''.join(lines)}", needed


def _imports(node: ast.AST) -> Iterator[Any]:
    """Import statements, in a `try` those of this package only, and whole `if TYPE_CHECKING:` blocks."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom) or _is_for_type_checkers(child):
            yield child
        elif isinstance(child, ast.Try):
            yield from (found for found in _imports(child) if getattr(found, "level", 0))
        else:
            yield from _imports(child)


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _resolve(module: str, node: ast.Import | ast.ImportFrom) -> str | None:
    """The full name of the module of this package that a statement imports from; None for other packages."""
    if isinstance(node, ast.Import):
        return PACKAGE if any(alias.name.partition(".")[0] == PACKAGE for alias in node.names) else None
    if node.level:
        base = module.split(".")[: -node.level]
        return ".".join([*base, node.module] if node.module else base)
    return node.module if node.module and node.module.partition(".")[0] == PACKAGE else None


def _packages(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.partition(".")[0] for name in names}


def _guarded(node: ast.AST, indent: str) -> str:
    """An import in a `try`: transformers demands every package that it sees imported, unless it is in one."""
    lines = ("try:", f"    {ast.unparse(node)}", "except ImportError:", "    raise")
    return "".join(f"{indent}{line}\n" for line in lines)


def _end(node: Any) -> int:
    return int(node.end_lineno)


def _origin(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {module}")
    return spec.origin


def _flat_name(module: str) -> str:
    """The module's own name where that says which folder it is from, as `losses_ncl` does; else with the folders'."""
    parts = module.split(".")[1:]
    return parts[-1] if len(parts) > 1 and parts[-2] in parts[-1] else "_".join(parts)


def _reference(entry: type) -> str:
    return f"{_flat_name(entry.__module__)}.{entry.__name__}"


def _pipeline_of(model_class: type) -> Any:
    from ..pipelines import DeepfakeDetectionPipeline, ImageForgeryLocalizationPipeline

    if model_class in LOCALIZATION_MODELS.values():
        return ImageForgeryLocalizationPipeline
    return DeepfakeDetectionPipeline if model_class in FACE_CLASSIFICATION_MODELS.values() else None


def _processor_of(folder: Path) -> type[IflImageProcessor]:
    name = read_json(folder / "preprocessor_config.json")["image_processor_type"]
    return FaceImageProcessor if name == FaceImageProcessor.__name__ else IflImageProcessor


def _write_json(path: Path, values: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())
