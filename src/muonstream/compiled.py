"""How this project compiles: one decorator for all kernels."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar, cast

import numpy as np
from numba import njit
from numba.core import entrypoints
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=np.generic)

INTERPRETED: Final = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
"""Whether kernels run as Python, line by line, as some tests have them."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile with numba at first use, keep the machine code on disk, and run without the GIL."""
    return cast("Callable[P, R]", njit(cache=True, nogil=True)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """The same for a small part of a kernel that is put into its callers: a call costs some 20 ns an array argument."""
    return cast("Callable[P, R]", njit(cache=True, nogil=True, forceinline=True)(function))


def read_only(array: NDArray[S]) -> NDArray[S]:
    """A view that cannot be written, for a kernel that only reads: numba compiles it again for an array that can be."""
    view = array.view()
    view.flags.writeable = False
    return view


def spare_extensions() -> None:
    """Keep numba from importing the packages that have registered types of their own with it, in a process of ours.

    No kernel here takes such types, and awkward alone, which comes with uproot, would take a tenth of the time of a
    short command. Not for programs that import this project: they may have kernels of their own.
    """
    entrypoints._already_initialized = True
