"""Each room of lib/ includes only rooms that its CMakeLists.txt names, and names only rooms above it.

The compiler finds every header of lib/, so that an edge can be missing from the link line and
nobody notices until the order of two libraries changes.
"""

import re
import sys
from pathlib import Path

LIB = Path("lib")


def fail_all(faults):
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


def allowed_rooms(room):
    """What follows ROOMS in the call of rcptsync_room, up to the next keyword."""
    text = (LIB / room / "CMakeLists.txt").read_text(encoding="utf-8")
    call = re.search(r"rcptsync_room\(\s*(\w+)(.*?)\)", text, re.DOTALL)
    if not call or call[1] != room:
        return None
    words = call[2].split()
    if "ROOMS" not in words:
        return []
    after = words[words.index("ROOMS") + 1:]
    end = next((i for i, word in enumerate(after) if word in ("SOURCES", "LIBRARIES")), len(after))
    return after[:end]


def main():
    order = re.findall(r"^add_subdirectory\((\w+)\)",
                       (LIB / "CMakeLists.txt").read_text(encoding="utf-8"), re.MULTILINE)
    folders = sorted(path.name for path in LIB.iterdir() if path.is_dir())
    faults = []
    if sorted(order) != folders:
        faults.append(f"lib/CMakeLists.txt adds {sorted(order)}, the folders are {folders}")
    for position, room in enumerate(order):
        allowed = allowed_rooms(room)
        if allowed is None:
            faults.append(f"lib/{room}/CMakeLists.txt: no rcptsync_room({room} …)")
            continue
        for name in allowed:
            if name not in order[:position]:
                faults.append(f"lib/{room}/CMakeLists.txt: {name} does not stand above {room}")
        for path in sorted((LIB / room).rglob("*.[ch]pp*")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                include = re.match(r'\s*#\s*include\s+"([^/"]+)/', line)
                if include and include[1] not in (*allowed, room):
                    faults.append(f"{path}:{number}: room {room} may not use {include[1]}; "
                                  f"its CMakeLists.txt allows {', '.join(allowed) or 'none'}")
    if not order:
        faults.append("lib/CMakeLists.txt: no rooms found")
    fail_all(faults)


main()
