# SPDX-License-Identifier: Apache-2.0
"""The scores as an `evaluate` module, and the metric Space that it is published as.

`METRIC_DIR` is the module in this source tree: `evaluate.load(str(METRIC_DIR))` works offline where `xlt_hf`
is installed. `build_metric_space` writes the folder that is published: the same module with its own copies of
`scoring.py` and `normalization.py`, so that it loads where `xlt_hf` is not installed (it is on no package
index).
"""

import shutil
from importlib.resources import as_file, files
from pathlib import Path

METRIC_DIR = Path(__file__).parent / "xlt_qa"

_INSTALLED = "from xlt_hf.evaluation.{module} import"
_COPIED = "from .{module} import"
_MODULES = ("normalization", "scoring")


def build_metric_space(out_dir: Path) -> list[Path]:
    """Write the metric Space.

    Args:
        out_dir (`Path`): Folder to write into; made if it is not there. Named `xlt_qa` it can be given to
            `evaluate.load` as it is.

    Returns:
        `list[Path]`: The files written, sorted.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted(METRIC_DIR.iterdir()):
        if source.is_file():
            written.append(Path(shutil.copyfile(source, out_dir / source.name)))
    script = out_dir / "xlt_qa.py"
    text = script.read_text(encoding="utf-8")
    for module in _MODULES:
        installed = _INSTALLED.format(module=module)
        assert text.count(installed) == 1, f"{script.name} imports {module} {text.count(installed)} times"
        text = text.replace(installed, _COPIED.format(module=module))
        with as_file(files("xlt_hf.evaluation") / f"{module}.py") as path:
            written.append(Path(shutil.copyfile(path, out_dir / f"{module}.py")))
    script.write_text(text, encoding="utf-8")
    return sorted(written)
