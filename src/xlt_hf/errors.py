# SPDX-License-Identifier: Apache-2.0
"""The one base class of errors that are the user's to mend."""


class UserError(Exception):
    """What happened, the numbers, what to do: shown without a traceback, with a non-zero exit."""
