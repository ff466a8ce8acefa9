"""How this project compiles: one decorator for all kernels."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import update_wrapper
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar, cast

import numpy as np
from numba import njit, types
from numba.core import entrypoints
from numba.extending import typeof_impl
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=np.generic)

INTERPRETED: Final = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
"""Whether kernels run as Python, line by line, as some tests have them."""


class Kernel:
    """A function that numba compiles at its first call, from Python or from another kernel.

    numba's own object for it, which takes a quarter of a millisecond to make, is made only then: of the two hundred
    kernels here a command calls ten.
    """

    def __init__(self, function: Callable[..., object], *, inline: bool) -> None:
        """inline: put into its callers."""
        update_wrapper(self, function, updated=())
        self._function = function
        self._inline = inline
        self._dispatcher: Any = None

    def __call__(self, *args: object) -> object:
        """The function's result."""
        return self.dispatcher(*args)

    @property
    def dispatcher(self) -> Any:
        """numba's own object for the function, with machine code on disk, which runs without the GIL."""
        if self._dispatcher is None:
            with _making:
                if self._dispatcher is None:
                    make = njit(cache=True, nogil=True, forceinline=self._inline)
                    self._dispatcher = make(self._function)
        return self._dispatcher


_making = Lock()


@typeof_impl.register(Kernel)
def _type_of(kernel: Kernel, context: object) -> types.Type:
    """How numba sees a kernel that another one calls."""
    return types.Dispatcher(kernel.dispatcher)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile with numba at first use, keep the machine code on disk, and run without the GIL."""
    return function if INTERPRETED else cast("Callable[P, R]", Kernel(function, inline=False))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """The same for a small part of a kernel that is put into its callers: a call costs some 20 ns an array argument."""
    return function if INTERPRETED else cast("Callable[P, R]", Kernel(function, inline=True))


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
