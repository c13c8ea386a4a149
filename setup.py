"""Compiles the hot modules where a compiler is found; without one they run as they are."""

import runpy
from pathlib import Path

from setuptools import Extension, setup

HOT_MODULES = runpy.run_path("infrastructure/hot_modules.py")["HOT_MODULES"]


def extensions() -> list[Extension]:
    """The hot modules that exist, each free to fail: then its .py runs instead."""
    sources = {name: name.replace(".", "/") + ".py" for name in HOT_MODULES}
    present = [
        Extension(name, [source], extra_compile_args=["-O3"])
        for name, source in sources.items()
        if Path(source).exists()
    ]
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules: list[Extension] = cythonize(
        present,
        build_dir="build/cython",
        compiler_directives={"language_level": "3"},
    )
    for module in modules:
        # cythonize() does not carry this over from what it was given.
        module.optional = True
    return modules


setup(ext_modules=extensions())
