# SPDX-License-Identifier: Apache-2.0
"""python3 -m weft_nccl env | run PROGRAM [ARGUMENT...]"""

import os
import shlex
import sys

from . import TREE, environment

USAGE = """usage: python3 -m weft_nccl env                        prints two exports, for eval in a shell
       python3 -m weft_nccl run PROGRAM [ARGUMENT...]  runs a program of Weft, such as weft-info"""


def main(arguments):
    if arguments == ["env"]:
        for name, value in environment().items():
            print(f"export {name}={shlex.quote(value)}")
        return 0
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if len(arguments) >= 2 and arguments[0] == "run":
        program = os.path.join(TREE, "bin", arguments[1])
        if not os.path.isfile(program):
            print(f"weft_nccl: there is no program {arguments[1]}; {', '.join(sorted(os.listdir(os.path.dirname(program))))}",
                  file=sys.stderr)
            return 2
        os.execv(program, [program] + arguments[2:])
    print(USAGE, file=sys.stderr)
    return 2


sys.exit(main(sys.argv[1:]))
