#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes OpenCL C as C arrays:  embed_cl.py OUT.h DEPENDENCIES FOLDER[:FOLDER..] KERNEL.cl..

A driver that compiles a kernel sees no files: #include "NAME" is replaced here, once for each kernel, by the text of the
file, which is looked for in the folders. Text between two includes is one array, whoever includes it. For each kernel there
are source_KERNEL, its pieces, and source_KERNEL_bytes; SOURCES(X) is X(KERNEL in capitals, KERNEL) for all of them."""
import os, sys

INCLUDE = '#include "'


def pieces(path, folders, seen):
    """The text of a file with its includes, cut where one begins or ends."""
    seen.append(path)
    name, start, lines = os.path.basename(path), 1, []
    for number, line in enumerate(open(path, encoding='ascii'), 1):
        if not line.startswith(INCLUDE):
            lines.append('\n' if line.lstrip().startswith('//') else line)
            continue
        wanted = line[len(INCLUDE):line.rindex('"')]
        found = [p for p in (os.path.join(f, wanted) for f in folders) if os.path.exists(p)]
        if not found:
            sys.exit(f'{path}:{number}: {wanted} is in none of {folders}')
        if ''.join(lines).strip():
            yield f'#line {start} "{name}"\n' + ''.join(lines)
        start, lines = number + 1, []
        if found[0] not in seen:
            yield from pieces(found[0], folders, seen)
    if ''.join(lines).strip():
        yield f'#line {start} "{name}"\n' + ''.join(lines)


def bytes_of(text):
    data = text.encode('ascii')
    return ',\n'.join(', '.join(str(b) for b in data[i:i + 25]) for i in range(0, len(data), 25))


target, dependencies, folders, sources = sys.argv[1], sys.argv[2], sys.argv[3].split(':'), sys.argv[4:]
number, used, kernels, rows = {}, [], [], []
for source in sources:
    name, seen = os.path.splitext(os.path.basename(source))[0], []
    mine = [number.setdefault(text, len(number)) for text in pieces(source, folders, seen)]
    used += seen
    kernels.append(f'static const char *const source_{name}[] = {{{", ".join(f"text_{n}" for n in mine)}}};\n'
                   f'static const size_t source_{name}_bytes[] = {{{", ".join(f"sizeof text_{n}" for n in mine)}}};\n')
    rows.append(f'X({name.upper()}, {name})')
with open(target, 'w') as out:
    out.write('#include <stddef.h>\n')
    for text, n in number.items():
        out.write(f'static const char text_{n}[] = {{\n{bytes_of(text)}\n}};\n')
    out.writelines(kernels)
    out.write(f'#define SOURCES(X) {" ".join(rows)}\n')
with open(dependencies, 'w') as out:
    out.write(f'{target}: {" ".join(sorted(set(used)))}\n')
