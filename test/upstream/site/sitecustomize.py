"""Replaces the controller of Python's IPython Parallel by another program.

Every Python that a suite starts imports this module, for its folder is on
PYTHONPATH. In the process that is to be a controller it notes the start in the
file IPCORE_CONFORMANCE_STARTS and becomes the program
IPCORE_CONFORMANCE_CONTROLLER; without one, it stays what it is.
"""

import os
import sys


def controller_arguments():
    """The arguments of a controller that is being started here, or None."""
    words = iter(sys.orig_argv[1:])
    for word in words:
        if word in ("-W", "-X"):
            next(words, None)
        elif word == "-m":
            return list(words) if next(words, None) == "ipyparallel.controller" else None
        elif not word.startswith("-"):
            return list(words) if os.path.basename(word) == "ipcontroller" else None
    return None


def main():
    arguments = controller_arguments()
    if arguments is None:
        return
    starts = os.environ.get("IPCORE_CONFORMANCE_STARTS")
    if starts:
        with open(starts, "a") as file:
            file.write(f"{os.getpid()} {arguments!r}\n")
    program = os.environ.get("IPCORE_CONFORMANCE_CONTROLLER")
    if program:
        os.execv(program, [program, "controller", *arguments])


main()
