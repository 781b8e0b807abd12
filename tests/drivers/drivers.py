#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""heed's kernels and the compilers of GPUs that are not here.

    tests/drivers/run [-d NAMES] [-k KERNEL] [-v] [--table FILE.md]
                                    compiles what heed selects on each driver for the problems of tests/drivers/shapes.txt,
                                    prints what the compilers say and what is selected, and checks both
    tests/drivers/run exec NAME PROGRAM [ARGUMENTS]
                                    runs a program with that driver alone in sight. lavapipe, at subgroups of 4 and 16 as
                                    well, executes; the others compile, and their dispatches do nothing. Programs for
                                    mali, broadcom and powervr are those of build-drivers-arm64
    tests/drivers/run list          the drivers' names

    -d NAMES     drivers or groups of them, parted by commas: amd,intel,nvidia,adreno,mali,apple,broadcom,powervr,lavapipe
    -k KERNEL    not the selected kernel but this one; "all": every one that accepts. Spills are told, and do not fail
    -v           a line for each pipeline
    --table FILE writes the tables there instead of printing them

The real Mesa drivers run on interfaces of the kernel that do nothing, so that heed itself, in an app that owns the device
and asks for statistics, makes its plans and pipelines on them as it would on the GPU. build-drivers holds heed for this
machine with the newer glslang that comes along: tests/drivers/run exec lavapipe build-drivers/tests/check_kernels

Exit status 1 when on some driver a selected kernel does not compile, leaves registers for memory (spills, scratch, private
arrays in memory), or is not what tests/drivers/expected.txt says. A driver that heed refuses is told, and is no failure.
Vendors' own drivers differ from Mesa's: this is evidence about them, not proof."""
import argparse, hashlib, json, os, shutil, statistics, subprocess, sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.normpath(os.path.join(HERE, '..', '..'))
LIBRARIES = {'amd64': 'usr/lib/x86_64-linux-gnu', 'arm64': 'usr/lib/aarch64-linux-gnu'}
BUILDS = {'amd64': 'build-drivers', 'arm64': 'build-drivers-arm64'}
DRIVER_SECONDS = 3600  # on a busy machine, qemu included: 900 were not enough beside six other jobs

LEGEND = '''\
A cell is the worst over the pipelines of that shader that heed makes there: the most registers, the least occupancy, and
the median cost. The cost is the compiler's own static figure for the whole shader, for one subgroup, per 1000 useful FLOPs
(2 for each product that the problem asks for) of that subgroup in one walk of the main loop: a tile of keys, or one
sampling point. A walk is not the whole loop, and compilers guess differently how often loops run: compare a kernel with
itself, on other GPUs of the vendor or before a change, never with one whose loops nest otherwise, and never vendors.
"spill" is said of whatever leaves registers for memory, private arrays too.'''

# What each compiler calls its numbers: registers, occupancy, cost, and what those are.
WORDS = {
    'amd': ('VGPRs', 'Subgroups per SIMD', 'Inverse Throughput', 'VGPRs, subgroups a SIMD can hold, cycles per 1000 FLOPs'),
    'intel': ('Max live registers', None, ('Cycles', 'Cycle Count'), 'live registers, subgroup size, cycles per 1000 FLOPs'),
    'nvidia': ('Number of GPRs', 'Max warps/SM', 'Static cycle count', 'registers, warps a multiprocessor can hold, cycles per 1000 FLOPs'),
    'adreno': ('Registers used', 'Max Waves Per Core', 'Instruction Count', 'vec4 registers, waves a core can hold, instructions per 1000 FLOPs'),
    'mali': ('Registers used', 'Threads', 'Cycles', 'registers, 2: full occupancy 1: half, cycles per 1000 FLOPs'),
    'apple': ('GPRs', 'Threads', 'ALU', 'half registers, threads a core can hold, ALU cycles per 1000 FLOPs'),
    'broadcom': (None, 'Thread Count', 'Instruction Count', '-, threads a processor can hold, instructions per 1000 FLOPs'),
    'powervr': ('Temp count', None, 'Inst group count', 'temporaries, subgroup size, instruction groups per 1000 FLOPs'),
    'lavapipe': (None, None, None, 'the driver tells nothing'),
}
# Whatever leaves registers for memory, in any compiler's words.
SPILLS = ['Spilled VGPRs', 'Spilled SGPRs', 'Scratch size', 'Spills', 'Fills', 'Scratch Memory Size', 'Spills to memory',
          'Fills from memory', 'SLM size', 'STP Count', 'LDP Count', 'Scratch', 'Spill Size', 'TMU Spills', 'TMU Fills',
          'Spill count', 'Spill Count', 'Fill Count']


class Driver:
    """A line of drivers.txt."""

    def __init__(self, line):
        self.name, self.machine, self.library, shims, *self.environment = line.split()
        self.shims = [] if shims == '-' else shims.split(',')
        self.group = self.name.split('-')[0]

    def command(self, folder, program):
        """What runs a program with this driver alone in sight."""
        tree = os.path.join(folder, self.machine)
        libraries = os.path.join(tree, LIBRARIES[self.machine])
        manifest = os.path.join(folder, f'{self.name}.json')
        text = json.dumps({'file_format_version': '1.0.0', 'ICD': {
            'library_path': f'{libraries}/libvulkan_{self.library}.so', 'api_version': '1.3.0'}})
        if not os.path.exists(manifest):
            with open(f'{manifest}.{os.getpid()}', 'w') as file:
                file.write(text)
            os.replace(file.name, manifest)
        environment = self.environment + [f'VK_DRIVER_FILES={manifest}', f'VK_ICD_FILENAMES={manifest}',
                                          'MESA_SHADER_CACHE_DISABLE=true', 'NODEVICE_SELECT=1']
        if self.shims:
            environment.append('LD_PRELOAD=' + ':'.join(
                os.path.join(folder, f'shim_{s[1:]}.so') if s[0] == '+' else f'{libraries}/lib{s}_noop_drm_shim.so'
                for s in self.shims))
        if self.machine == 'amd64':
            return ['env', *environment, f'{tree}/lib64/ld-linux-x86-64.so.2', '--library-path', libraries, *program]
        environment.append('LD_LIBRARY_PATH=' + libraries)
        return ['qemu-aarch64-static', '-L', tree, *[w for e in environment for w in ('-E', e)], *program]


def read_drivers():
    with open(os.path.join(HERE, 'drivers.txt')) as file:
        return [Driver(line) for line in file if line.strip() and not line.startswith('#')]


class Result:
    """What plan_stats said on one driver: its lines, and a sentence for each time that the driver did not survive."""

    def __init__(self, driver, lines, crashes):
        self.driver = driver
        self.device = {}
        self.unusable = ''
        self.pipelines = []  # each variant once
        self.chosen = {}     # problem: plan
        self.refused = {}    # problem: why
        self.failures = list(crashes)
        seen = set()
        for line in lines:
            if 'device' in line:
                self.device = line
            elif 'unusable' in line:
                self.unusable = line['unusable']
            elif 'failed' in line:
                self.failures.append(f'{line["shape"]}: {line["failed"]}')
            elif 'refused' in line:
                self.refused[line['shape']] = line['refused']
            elif 'shader' in line:
                self.chosen.setdefault(line['shape'], line['plan'])
                variant = (line['shader'], tuple(line['constants']), line.get('subgroup'))
                if variant not in seen:
                    seen.add(variant)
                    self.pipelines.append(line)


def parse_lines(text):
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            pass  # some drivers print too


def ask(command, arguments, problems):
    """plan_stats' lines and the sentences about crashes, after each of which it begins again behind the problem."""
    lines, crashes, begun = [], [], -1
    while begun < len(problems) - 1:
        options = ['--from', str(begun + 1)] + (['--kernel', arguments.kernel] if arguments.kernel else [])
        before = begun
        try:
            done = subprocess.run([*command, *options, arguments.shapes], capture_output=True, text=True,
                                  errors='replace', timeout=DRIVER_SECONDS)
            out, how = done.stdout, f'crashed (status {done.returncode})' if done.returncode else ''
        except subprocess.TimeoutExpired as late:
            out, how = (late.stdout or b'').decode(errors='replace'), f'was not done after {DRIVER_SECONDS} s'
        for line in parse_lines(out):
            lines.append(line)
            begun = line.get('begin', begun)
        if not how or any('unusable' in line for line in lines):
            break
        if begun == before:
            crashes.append(f'plan_stats {how} before it made a plan')
            break
        crashes.append(f'{problems[begun]}: the driver {how}')
    return lines, crashes


def digest(paths, words):
    """Of the files' contents, and of words."""
    whole = hashlib.sha256(repr(words).encode())
    for path in paths:
        with open(path, 'rb') as file:
            whole.update(file.read())
    return whole.hexdigest()


def measure(driver, folder, arguments, problems):
    """What was said before of the same program, problems and shims is not asked again."""
    program = os.path.join(TOP, BUILDS[driver.machine], 'tests', 'plan_stats')
    command = driver.command(folder, [program])
    shims = [os.path.join(folder, f'shim_{s[1:]}.so') for s in driver.shims if s[0] == '+']
    known = os.path.join(folder, f'said.{driver.name}.{arguments.kernel or "selected"}.json')
    key = digest([program, arguments.shapes, *shims], command)
    if os.path.exists(known):
        with open(known) as file:
            said = json.load(file)
        if said['key'] == key:
            return Result(driver, said['lines'], said['crashes'])
    lines, crashes = ask(command, arguments, problems)
    with open(f'{known}.{os.getpid()}', 'w') as file:
        json.dump({'key': key, 'lines': lines, 'crashes': crashes}, file)
    os.replace(file.name, known)
    return Result(driver, lines, crashes)


def spills_of(pipeline):
    stats = pipeline.get('statistics', {})
    return {n: stats[n] for n in SPILLS if stats.get(n)}


def figure(pipeline, names):
    stats = pipeline.get('statistics', {})
    return next((stats[n] for n in (names if isinstance(names, tuple) else (names,)) if n in stats), None)


def cost_of(group, pipeline):
    cost, width = figure(pipeline, WORDS[group][2]), pipeline.get('subgroup') or 1
    if cost is None or not pipeline['flops']:
        return None
    return cost / (pipeline['flops'] / max(1, pipeline['constants'][0] / width) / 1000)


def occupancy_of(group, pipeline):
    name = WORDS[group][1]
    return figure(pipeline, name) if name else pipeline.get('subgroup')


def short(number):
    if number is None:
        return '-'
    return f'{number:.0f}' if number >= 10 or number == int(number) else f'{number:.1f}'


def cell(group, pipelines):
    if not pipelines:
        return ''
    registers = [r for r in (figure(p, WORDS[group][0]) for p in pipelines) if r is not None]
    occupancy = [o for o in (occupancy_of(group, p) for p in pipelines) if o is not None]
    costs = [c for c in (cost_of(group, p) for p in pipelines) if c is not None]
    if not registers and not occupancy:
        return 'ok'
    text = ' / '.join(short(f(v) if v else None) for f, v in
                      ((max, registers), (min, occupancy), (statistics.median, costs)))
    spilling = sum(1 for p in pipelines if spills_of(p))
    return text + (f', **{spilling} of {len(pipelines)} spill**' if spilling else '')


def markdown(heads, rows):
    return '\n'.join('| ' + ' | '.join(r) + ' |' for r in [heads, ['---'] * len(heads), *rows])


def merged(rows):
    """Drivers whose rows say the same share one."""
    same = defaultdict(list)
    for name, *cells in rows:
        same[tuple(cells)].append(name)
    return [[', '.join(names), *cells] for cells, names in same.items()]


def compiler_tables(results):
    shaders = sorted({p['shader'] for r in results for p in r.pipelines})
    parts = []
    for group in dict.fromkeys(r.driver.group for r in results):
        mine = [r for r in results if r.driver.group == group]
        used = [s for s in shaders if any(p['shader'] == s for r in mine for p in r.pipelines)]
        rows = []
        for r in mine:
            name = r.driver.name[len(group) + 1:] or r.driver.name
            if r.unusable:
                rows.append([name, 'refused: ' + r.unusable] + [''] * (len(used) - 1))
            else:
                rows.append([name] + [cell(group, [p for p in r.pipelines if p['shader'] == s]) for s in used])
        versions = sorted({r.device['driver'] for r in mine if r.device})
        parts.append(f'### {group}\n\n{"; ".join(versions)}. {WORDS[group][3]}.\n\n'
                     + markdown(['driver', *used], merged(rows)))
    return '\n\n'.join(parts)


def chosen_table(results, problems):
    rows = [[r.driver.name] + [r.chosen.get(p, 'none').replace('attn_', '') for p in problems]
            for r in results if not r.unusable]
    return markdown(['drivers', *problems], merged(rows))


def read_expected():
    """[names, shape, kernel, whole line]: patterns. The first line that a driver and a problem match counts."""
    with open(os.path.join(HERE, 'expected.txt')) as file:
        return [line.split() for line in file if line.strip() and not line.startswith('#')]


def matches(patterns, name):
    return any(fnmatchcase(name, p) for p in patterns.split(','))


def unexpected(result, rules):
    wrong = []
    for problem, plan in {**result.chosen, **{p: 'none' for p in result.refused}}.items():
        rule = next((r for r in rules if matches(r[0], result.driver.name) and matches(r[1], problem)), None)
        if rule and not matches(rule[2], plan):
            wrong.append(f'{problem}: {plan} is selected, and expected.txt says {rule[2]}')
    return wrong


def report(result, arguments, rules):
    """Prints a driver's lines; True when all is as it should be."""
    name, bad = result.driver.name, list(result.failures)
    if result.unusable:
        print(f'{name}: heed refuses it: {result.unusable}', flush=True)
        return True
    for p in result.pipelines:
        spills = ', '.join(f'{n} {v}' for n, v in spills_of(p).items())
        constants = ','.join(map(str, p['constants']))
        if arguments.verbose:
            registers, cost = figure(p, WORDS[result.driver.group][0]), cost_of(result.driver.group, p)
            print(f'  {p["shape"]:16} {p["plan"]:30} {p["shader"]:24} {constants:48} registers {short(registers)}, '
                  f'occupancy {short(occupancy_of(result.driver.group, p))}, cost {short(cost)}'
                  + (f', SPILLS {spills}' if spills else ''))
        if spills and not arguments.kernel:
            bad.append(f'{p["shape"]}: {p["shader"]} of {p["plan"]} with {constants} leaves registers: {spills}')
    if not arguments.kernel:
        bad += [f'{shape}: no kernel: {why}' for shape, why in result.refused.items()] + unexpected(result, rules)
    matrix = ', matrix ' + ' '.join(result.device['matrix']) if result.device.get('matrix') else ''
    spilling = sum(1 for p in result.pipelines if spills_of(p))
    print(f'{name}: {result.device.get("device", "no device").strip()}{matrix}: {len(result.pipelines)} pipelines, '
          f'{spilling} spill, {len(bad)} not as it should be', flush=True)
    for text in bad:
        print(f'  FAILED {text}', flush=True)
    return not bad


def tables(results, shapes, words):
    rules = [r[1] for r in read_expected()]
    problems = [s for s in shapes if any(fnmatchcase(s, p) for r in rules for p in r.split(','))]
    return (f'# What the compilers of {len(results)} drivers say of heed\n\nMade by `{" ".join(["tests/drivers/run", *words])}`; '
            f'the problems are those of shapes.txt.\n\n{LEGEND}\n\n## Kernels\n\n{compiler_tables(results)}\n\n'
            f'## What is selected\n\nDrivers with the same choice share a row.\n\n{chosen_table(results, problems)}\n')


def main():
    folder, *words = sys.argv[1:]
    drivers = read_drivers()
    if words[:1] == ['list']:
        print('\n'.join(d.name for d in drivers))
        return 0
    if words[:1] == ['exec']:
        driver = next((d for d in drivers if words[1:2] == [d.name]), None)
        if not driver or len(words) < 3:
            print('tests/drivers/run exec NAME PROGRAM: NAME is one of tests/drivers/run list', file=sys.stderr)
            return 2
        program = shutil.which(words[2])
        if not program:
            print(f'tests/drivers/run exec: {words[2]} is no program here', file=sys.stderr)
            return 2
        command = driver.command(folder, [program, *words[3:]])
        os.execvp(command[0], command)
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument('-d', dest='names', default='*')
    parser.add_argument('-k', dest='kernel')
    parser.add_argument('-v', dest='verbose', action='store_true')
    parser.add_argument('--table')
    parser.add_argument('--shapes', default=os.path.join(HERE, 'shapes.txt'))
    parser.add_argument('-h', '--help', action='store_true')
    arguments = parser.parse_args(words)
    if arguments.help:
        print(__doc__ + '\n\n' + LEGEND)
        return 0
    wanted = [d for d in drivers if any(fnmatchcase(d.name, n) or d.group == n for n in arguments.names.split(','))]
    if not wanted:
        print(f'tests/drivers/run: -d {arguments.names}: no such driver; see tests/drivers/run list', file=sys.stderr)
        return 2
    with open(arguments.shapes) as file:
        problems = [l.split()[1] for l in file if l.strip() and not l.startswith('#')]
    rules = read_expected()
    results, good = [], True
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(lambda d: measure(d, folder, arguments, problems), wanted):
            good &= report(result, arguments, rules)
            results.append(result)
    text = tables(results, problems, words)
    if arguments.table:
        with open(arguments.table, 'w') as file:
            file.write(text)
    else:
        print('\n' + text)
    return 0 if good else 1


sys.exit(main())
