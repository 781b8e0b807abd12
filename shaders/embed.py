#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a SPIR-V file as a C array:  embed.py NAME IN.spv OUT.h"""
import array, sys

name, source, target = sys.argv[1:]
words = array.array('I', open(source, 'rb').read())
if words[0] != 0x07230203:
    words.byteswap()
if words[0] != 0x07230203:
    sys.exit(f'{source}: not a SPIR-V module')
lines = [', '.join(f'0x{w:08x}' for w in words[i:i + 10]) for i in range(0, len(words), 10)]
with open(target, 'w') as out:
    out.write(f'static const uint32_t {name}[{len(words)}] = {{\n' + ',\n'.join(lines) + '\n};\n')
