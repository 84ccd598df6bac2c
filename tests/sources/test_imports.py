# SPDX-License-Identifier: Apache-2.0
"""The study imports the sources' settings before it is known which Hub is meant."""

import subprocess
import sys

MODULES = (
    *("files", "natural_questions", "nq_open", "published", "sangraha"),
    *("squad", "titles", "wiki_translate", "xquad"),
)


def test_no_hugging_face_library_and_no_study():
    code = (
        "import importlib, sys\n"
        f"for name in {MODULES}: importlib.import_module('xlt_hf.sources.' + name)\n"
        "wrong = {'huggingface_hub', 'datasets', 'transformers', 'torch', 'xlt_hf.study'} & set(sys.modules)\n"
        "sys.exit(f'imported {wrong}' if wrong else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
