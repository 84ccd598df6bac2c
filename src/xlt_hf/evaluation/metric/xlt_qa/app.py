# SPDX-License-Identifier: Apache-2.0
"""The metric Space's page, made by `evaluate` from the metric itself."""

import evaluate
from evaluate.utils import launch_gradio_widget

launch_gradio_widget(evaluate.load("./xlt_qa.py"))
