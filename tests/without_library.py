"""Runs a script where ifl_hub cannot be imported: `python -I without_library.py SCRIPT ARGUMENTS…`.

However the library is installed, this process does not find it; it proves that before it runs the script.
"""

import runpy
import sys


class NoLibrary:
    """A finder that comes first and refuses one package."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "ifl_hub":
            raise ModuleNotFoundError("No module named 'ifl_hub'", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, NoLibrary)
    try:
        import ifl_hub  # noqa: F401
    except ModuleNotFoundError:
        pass
    else:
        sys.exit("ifl_hub can be imported: this environment proves nothing")
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
