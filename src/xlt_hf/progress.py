# SPDX-License-Identifier: Apache-2.0
"""Progress of long work as bars: what is done, how fast, and the time left; on the first process alone."""

import os
from types import TracebackType

from tqdm import tqdm


class ProgressBars:
    """Call it as ``progress(what, done, total)``; each `what` gets a bar, which ends when another begins.

    Use it as a context, so that the last bar is closed whatever happens.
    """

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._what = ""

    def __enter__(self) -> "ProgressBars":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if self._bar is None or what != self._what:
            self._close()
            silent = int(os.environ.get("RANK", "0")) != 0
            self._bar = tqdm(
                desc=what, total=total, unit="", unit_scale=True, mininterval=0.5, disable=silent
            )
            self._what = what
        self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
