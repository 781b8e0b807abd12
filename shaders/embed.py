#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a SPIR-V file as a C array, without what is for debuggers:

    embed.py NAME IN.spv OUT.h            uint32_t NAME[], its words
    embed.py --packed NAME IN.spv OUT.h   uint8_t NAME[], and NAME_words, how many it unpacks to

Most words are small numbers. Packed, each takes 7 bits a byte, the low ones first, and bit 7 says that more follow
(LEB128); the first word of an instruction is kept as two, its opcode and its length. src/vulkan/kernels.c unpacks."""
import array, sys

DEBUG = {2, 3, 4, 5, 6, 7, 8, 317, 330}  # OpSourceContinued, OpSource, ... OpLine, OpNoLine, OpModuleProcessed
HEADER = 5


def leb128(number):
    while number > 127:
        yield number & 127 | 128
        number >>= 7
    yield number


packed = sys.argv[1] == '--packed'
name, source, target = sys.argv[1 + packed:]
words = array.array('I', open(source, 'rb').read())
if words[0] != 0x07230203:
    words.byteswap()
if words[0] != 0x07230203:
    sys.exit(f'{source}: not a SPIR-V module')
kept, at = [words[:HEADER]], HEADER
while at < len(words):
    length = words[at] >> 16
    if words[at] & 0xffff not in DEBUG:
        kept.append(words[at:at + length])
    at += length
count = sum(len(part) for part in kept)
if packed:
    numbers = list(kept[0])
    for opcode, *operands in kept[1:]:
        numbers += [opcode & 0xffff, opcode >> 16, *operands]
    items = [str(byte) for number in numbers for byte in leb128(number)]
    head = f'enum {{ {name}_words = {count} }};\nstatic const uint8_t {name}[{len(items)}]'
else:
    items = [f'0x{word:08x}' for part in kept for word in part]
    head = f'static const uint32_t {name}[{len(items)}]'
with open(target, 'w') as out:
    out.write(head + ' = {\n' + ',\n'.join(', '.join(items[i:i + 20]) for i in range(0, len(items), 20)) + '\n};\n')
