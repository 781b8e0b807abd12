#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a SPIR-V file as a C array, without what is for debuggers:  embed.py NAME IN.spv OUT.h"""
import array, sys

DEBUG = {2, 3, 4, 5, 6, 7, 8, 317, 330}  # OpSourceContinued, OpSource, ... OpLine, OpNoLine, OpModuleProcessed
HEADER = 5

name, source, target = sys.argv[1:]
words = array.array('I', open(source, 'rb').read())
if words[0] != 0x07230203:
    words.byteswap()
if words[0] != 0x07230203:
    sys.exit(f'{source}: not a SPIR-V module')
kept, at = words[:HEADER], HEADER
while at < len(words):
    length = words[at] >> 16
    if words[at] & 0xffff not in DEBUG:
        kept += words[at:at + length]
    at += length
lines = [', '.join(f'0x{w:08x}' for w in kept[i:i + 10]) for i in range(0, len(kept), 10)]
with open(target, 'w') as out:
    out.write(f'static const uint32_t {name}[{len(kept)}] = {{\n' + ',\n'.join(lines) + '\n};\n')
