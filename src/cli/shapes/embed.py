#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes shape files as C, line by line:  embed.py OUT.h IN.txt.."""
import json, os, sys

with open(sys.argv[1], 'w') as out:
    for path in sys.argv[2:]:
        name = os.path.splitext(os.path.basename(path))[0]
        for number, line in enumerate(open(path, encoding='ascii'), 1):
            out.write(f'{{{json.dumps(name)}, {number}, {json.dumps(line.rstrip())}}},\n')
