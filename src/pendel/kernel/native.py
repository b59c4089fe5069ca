"""Kernels as object files: compiled by numba once, later loaded by llvmlite without numba.

numba's own calling convention for nopython functions is used directly through ctypes:

    int32 status = f(result*, exception_info**, flattened arguments)

where a scalar is itself and an array is (meminfo, parent, items, item size, data, shape...,
strides...), all 8 bytes wide. Importing numba costs more than a second of CPU; llvmlite a tenth.
"""

import ctypes
import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pendel.errors import InvariantError
from pendel.kernel import store
from pendel.kernel.elf import undefined_symbols

_SCALARS: dict[str, Any] = {"f8": ctypes.c_double, "i8": ctypes.c_int64, "b1": ctypes.c_int8}
_ARRAY_CODES = {"f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1"}
_STATUS_OK = (0, -2)  # RETCODE_OK and RETCODE_NONE of numba's calling convention
_LAYOUT = 0x0101  # NPY_ARRAY_C_CONTIGUOUS and NPY_ARRAY_ALIGNED: all of the flags that a code tells
_known_codes: dict[tuple[Any, int, int], str] = {}
_lock = threading.RLock()
_engine: Any = None


class NativeKernel:
    """A function that compiles or loads its machine code at the first call per signature."""

    def __init__(
        self, function: Callable[..., Any], fast_math: frozenset[str] = frozenset()
    ) -> None:
        self.py_func = function
        self._fast_math: Any = set(fast_math) or False
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__wrapped__ = function
        self._calls: dict[tuple[str, ...], Callable[..., Any]] = {}
        self._compiler: Any = None
        self._general: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        signature = tuple([_code_of(arg) for arg in args])
        call = self._calls.get(signature)
        if call is None:
            with _lock:
                call = self._calls.get(signature) or self._prepare(signature)
                self._calls[signature] = call
        return call(*args)

    @property
    def _numba_type_(self) -> Any:
        """How numba sees this object inside another kernel: as a function it may compile."""
        types: Any = importlib.import_module("numba.core.types")
        return types.Dispatcher(self._dispatcher())

    def _dispatcher(self) -> Any:
        if self._compiler is None:
            self._compiler = jit(
                self.py_func,
                no_cpython_wrapper=True,
                no_cfunc_wrapper=True,
                fastmath=self._fast_math,
            )
        return self._compiler

    def _prepare(self, signature: tuple[str, ...]) -> Callable[..., Any]:
        if "?" in signature:
            return self._through_numba()
        text = ",".join(signature)
        source = _source_of(self.py_func)
        path = store.file_of(source, self.__name__, text, _cpu())
        kept = store.read_code(path) if path is not None else None
        if kept is None:
            kept = self._compile(signature)
            if kept is not None and path is not None:
                store.write_code(path, *kept)
        if kept is None:
            return self._through_numba()
        symbol, _, result = kept[0].partition(" ")
        address = _load(symbol, kept[1])
        if address is None:
            return self._through_numba()
        return _caller(self.__name__, address, signature, result)

    def _compile(self, signature: tuple[str, ...]) -> tuple[str, bytes] | None:
        """("symbol result", object code) from numba, or None if the result is no scalar."""
        types: Any = importlib.import_module("numba.core.types")
        store.announce(self.__name__)
        dispatcher = self._dispatcher()
        numba_types = tuple(_numba_type(code) for code in signature)
        dispatcher.compile(numba_types)
        compiled = dispatcher.overloads[numba_types]
        result = _result_code(compiled.fndesc.restype, types)
        if result is None:
            return None
        _, kind, data = compiled.library.serialize_using_object_code()
        if kind != "object":
            return None
        return f"{compiled.fndesc.llvm_func_name} {result}", data[0]

    def _through_numba(self) -> Callable[..., Any]:
        if self._general is None:
            self._general = jit(self.py_func, cache=True, fastmath=self._fast_math)
        return self._general


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """numba's dispatcher for a kernel; its own cache is kept apart per source stamp."""
    import numba

    folder = store.cache_folder()
    if folder is not None and options.get("cache"):
        numba.config.CACHE_DIR = str(folder / f"numba-{store.source_stamp()[:16]}")
    return numba.njit(error_model="numpy", nogil=True, **options)(function)


def _code_of(arg: Any) -> str:
    if type(arg) is np.ndarray:
        kind = (arg.dtype, arg.ndim, arg.flags.num & _LAYOUT)
        known = _known_codes.get(kind)
        if known is None:
            known = _known_codes[kind] = _describe(arg)
        return known
    return _describe(arg)


def _describe(arg: Any) -> str:
    if isinstance(arg, np.ndarray):
        code = arg.dtype.str[1:]
        if code not in _ARRAY_CODES or not arg.dtype.isnative or not arg.flags.aligned:
            return "?"
        layout = "C" if arg.flags.c_contiguous else "A"
        return f"{code}{arg.ndim}{layout}"
    if isinstance(arg, bool | np.bool_):
        return "b1"
    if isinstance(arg, int | np.integer):
        return "i8"
    if isinstance(arg, float):
        return "f8"
    return "?"


def _numba_type(code: str) -> Any:
    types: Any = importlib.import_module("numba.core.types")
    numpy_support: Any = importlib.import_module("numba.np.numpy_support")
    if len(code) == 2:
        return {"f8": types.float64, "i8": types.int64, "b1": types.boolean}[code]
    element = numpy_support.from_dtype(np.dtype("=" + code[:2]))
    return types.Array(element, int(code[2:-1]), code[-1])


def _result_code(result: Any, types: Any) -> str | None:
    """`-` for None, `f8` for a scalar, `f8+i8` for a tuple of scalars; None for anything else."""
    names = {types.float64: "f8", types.int64: "i8", types.boolean: "b1"}
    if result == types.none:
        return "-"
    if result in names:
        return names[result]
    if isinstance(result, types.BaseTuple) and len(result) > 0:
        members = [names.get(member, "") for member in result.types]
        return None if "" in members else "(" + "+".join(members)
    return None


def _caller(name: str, address: int, signature: tuple[str, ...], result: str) -> Callable[..., Any]:
    """A Python function that flattens arguments, calls the machine code, unpacks the result."""
    kinds: list[Any] = [ctypes.c_void_p, ctypes.c_void_p]
    for code in signature:
        width = 5 + 2 * int(code[2:-1]) if len(code) > 2 else 0
        kinds += [ctypes.c_int64] * width if width else [_SCALARS[code]]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(address)
    place_of = _place_reader()
    is_array = [len(code) > 2 for code in signature]
    members = [] if result == "-" else result.removeprefix("(").split("+")
    fields = [(f"m{i}", _SCALARS[code]) for i, code in enumerate(members)]
    holder_type = type("Result", (ctypes.Structure,), {"_fields_": fields})
    is_tuple = result.startswith("(")

    def call(*args: Any) -> Any:
        flat: list[Any] = []
        for arg, array in zip(args, is_array, strict=True):
            if array:
                flat += (0, 0, arg.size, arg.itemsize, place_of(arg), *arg.shape, *arg.strides)
            else:
                flat.append(arg if type(arg) is float else arg.item() if _is_numpy(arg) else arg)
        holder = holder_type()
        slot = ctypes.c_int64(0)
        target = ctypes.byref(holder) if members else ctypes.byref(slot)
        failure = ctypes.c_void_p(0)
        status = function(ctypes.cast(target, ctypes.c_void_p), ctypes.addressof(failure), *flat)
        if status not in _STATUS_OK:
            raise InvariantError(f"kernel {name} failed with status {status}")
        if not members:
            return None
        values = tuple(
            bool(getattr(holder, field)) if code == "b1" else getattr(holder, field)
            for (field, _), code in zip(fields, members, strict=True)
        )
        return values if is_tuple else values[0]

    return call


def _place_said(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


@cache
def _place_reader() -> Callable[[Any], int]:
    """How to read where an array's items begin.

    numpy's ABI has that pointer right behind the object's head; reading it there takes a tenth of
    the time of asking, which was most of a small call. Where a trial differs, arrays are asked.
    """
    head, word = object.__basicsize__, ctypes.c_int64.from_address

    def place_read(array: Any) -> int:
        return word(id(array) + head).value

    trial = [np.zeros(3), np.zeros((4, 2))[1:], np.zeros(8, dtype=np.bool_)[::2]]
    fits = type(trial[0]).__basicsize__ > head + 8 and sys.implementation.name == "cpython"
    same = fits and all(place_read(array) == _place_said(array) for array in trial)
    return place_read if same else _place_said


def _is_numpy(arg: Any) -> bool:
    return isinstance(arg, np.generic)


def _source_of(function: Callable[..., Any]) -> str:
    try:
        return Path(inspect.getfile(function)).read_text("utf-8")
    except (OSError, TypeError):
        return inspect.getsource(function)


_cpu_text = ""


def _cpu() -> str:
    global _cpu_text
    if not _cpu_text:
        import llvmlite.binding as llvm

        _cpu_text = llvm.get_host_cpu_name() + llvm.get_host_cpu_features().flatten()
    return _cpu_text


def _load(symbol: str, code: bytes) -> int | None:
    """Address of a symbol of object code made executable; None if something it needs is absent.

    LLVM ends the process at an unresolved symbol, so they are looked up beforehand.
    """
    global _engine
    import llvmlite.binding as llvm

    if _engine is None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        for name, address in _memory_functions().items():
            llvm.add_symbol(name, address)
    if any(not llvm.address_of_symbol(name) for name in undefined_symbols(code)):
        return None
    _engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    _engine.finalize_object()
    address = _engine.get_function_address(symbol)
    return int(address) or None


def _memory_functions() -> dict[str, int]:
    """numba's reference counting for arrays made inside kernels, from its C extension alone."""
    name = "numba.core.runtime._nrt_python"
    module = sys.modules.get(name)
    if module is None:
        package = importlib.util.find_spec("numba")
        if package is None or not package.submodule_search_locations:
            return {}
        folder = Path(package.submodule_search_locations[0]) / "core" / "runtime"
        for path in folder.glob("_nrt_python*.so"):
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
    helpers: dict[str, int] = getattr(module, "c_helpers", {})
    return {key if key.startswith("_") else f"NRT_{key}": at for key, at in helpers.items()}
