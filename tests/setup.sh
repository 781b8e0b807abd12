# SPDX-License-Identifier: MIT
# Gets a machine ready to build, test and show heed. Sourced by tests/run, examples/run and .ci/run, which then call
#     heed_need GROUP...     install what is missing of these groups (Debian, Ubuntu)
#     heed_build             configure and compile build/
#     heed_unpack            take single files out of a Debian package, without installing it
# Nothing here asks a question. A step that does work says so in one line; a step with nothing to do is silent.

heed_say() {
    printf 'heed: %s\n' "$*"
}

heed_die() {
    printf 'heed: %s\n' "$*" >&2
    exit 1
}

heed_cache() {
    [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || heed_die "neither XDG_CACHE_HOME nor HOME is set: set one, files are cached there"
    printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/heed"
}

# group, Debian package, how to see that it (or something as good) is there. The groups: `build` for the library, the
# command, the tests and the demos; `speech` for what the demo choose says by itself; `device` for something to run on
# where no Vulkan driver is installed; `tests` for the drivers and checkers of the suite; `drivers` for tests/drivers/run;
# `oclgrind` for tests/opencl/run; `ci` for what .ci/run adds.
heed_packages='
build   gcc                       command:cc
build   libc6-dev                 header:stdio.h
build   meson                     command:meson
build   ninja-build               command:ninja
build   pkgconf                   command:pkg-config
build   glslang-tools             command:glslangValidator
build   libvulkan-dev             module:vulkan
build   libvulkan-volk-dev        header:volk.h
build   ocl-icd-opencl-dev        module:OpenCL
build   check                     module:check
build   libpng-dev                module:libpng
build   libjpeg-dev               module:libjpeg
build   libjansson-dev            module:jansson
build   libpcre2-dev              module:libpcre2-8
speech  espeak-ng                 command:espeak-ng
device  libvulkan1                library:libvulkan.so.1
device  mesa-vulkan-drivers       driver:*
tests   g++                       command:c++
tests   spirv-tools               command:spirv-val
tests   mesa-vulkan-drivers       driver:lvp
tests   pocl-opencl-icd           file:/etc/OpenCL/vendors/pocl.icd
tests   vulkan-validationlayers   file:/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json
oclgrind oclgrind                 file:/usr/lib/oclgrind/liboclgrind-rt-icd.so
drivers gcc-aarch64-linux-gnu     command:aarch64-linux-gnu-gcc
drivers libc6-dev-arm64-cross     file:/usr/aarch64-linux-gnu/include/stdio.h
drivers qemu-user-static          command:qemu-aarch64-static
drivers debian-archive-keyring    file:/usr/share/keyrings/debian-archive-keyring.gpg
drivers python3                   command:python3
ci      clang                     command:clang
'

heed_exists() { # heed_exists FILE...: what a pattern became
    [ -e "$1" ]
}

heed_has() { # heed_has KIND:NAME
    case $1 in
    command:*) command -v "${1#*:}" >/dev/null 2>&1 ;;
    module:*) pkg-config --exists "${1#*:}" 2>/dev/null ;;
    header:*) echo "#include <${1#*:}>" | cc -E - >/dev/null 2>&1 ;;
    library:*) heed_exists /usr/lib/*/"${1#*:}" || heed_exists /usr/lib*/"${1#*:}" || heed_exists /usr/local/lib/"${1#*:}" ;;
    file:*) [ -e "${1#*:}" ] ;;
    driver:lvp) heed_exists /usr/share/vulkan/icd.d/lvp_icd*.json ;;
    driver:*)
        [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] || heed_exists /usr/share/vulkan/icd.d/*.json ||
            heed_exists /etc/vulkan/icd.d/*.json || heed_exists /usr/local/share/vulkan/icd.d/*.json
        ;;
    esac
}

heed_missing() { # heed_missing GROUP...: the packages, on one line
    while read -r group package probe; do
        case " $* " in
        *" $group "*) heed_has "$probe" || printf '%s\n' "$package" ;;
        esac
    done <<EOT | sort -u | tr '\n' ' ' | sed 's/ $//'
$(printf '%s' "$heed_packages" | sed '/^$/d')
EOT
}

# Runs a command as root: as it is, or by a sudo that needs no password. 1: neither is possible.
heed_as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

heed_can_be_root() {
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}

heed_apt_update() {
    heed_say "reading the package lists (apt-get update)"
    heed_as_root apt-get -qq update </dev/null || heed_die "apt-get update failed: look at the lines above, then run this again"
}

# The Debian archive among the sources of this system's apt, for packages of a release that is not this system's.
heed_debian_mirror() {
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Identifier: Packages' 2>/dev/null |
        awk '$2 == "Debian" { print $1; exit }')
    [ -n "$mirror" ] || heed_die "apt has no Debian archive among its sources, and this needs one: add it to /etc/apt/sources.list.d"
    printf '%s\n' "$mirror"
}

heed_installed= # what heed_need installed in this run

heed_need() {
    missing=$(heed_missing "$@")
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null ||
        heed_die "missing, by their Debian names: $missing. This script installs them with apt-get only; install them, then run it again"
    heed_can_be_root ||
        heed_die "missing: $missing. Install them as root: apt-get install $missing. Then run this again"
    heed_apt_update
    heed_say "installing $missing"
    # shellcheck disable=SC2086 # a list of words
    heed_as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends \
        $missing </dev/null >/dev/null ||
        heed_die "apt-get could not install $missing: look at the lines above, then run this again"
    heed_installed=$missing
    missing=$(heed_missing "$@")
    [ -z "$missing" ] || heed_die "installed $missing, but what they should bring is not where it is looked for"
}

# heed_unpack PACKAGE DIRECTORY FILE...: the files, without their directories, into DIRECTORY. Nothing is installed, the
# archive's signature chain is apt's. 1 with a sentence on stderr when it cannot be had.
heed_unpack() {
    package=$1 target=$2
    shift 2
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        echo "heed: no apt here to fetch the package $package with" >&2
        return 1
    fi
    if ! apt-cache show "$package" >/dev/null 2>&1 && heed_can_be_root; then
        heed_apt_update
    fi
    mkdir -p "$target" || return 1
    work=$(mktemp -d -p "$target") || return 1
    sandbox=
    [ "$(id -u)" != 0 ] || sandbox='-o APT::Sandbox::User=root' # the sandbox user may not be able to write here
    status=0
    # shellcheck disable=SC2086 # no word or two
    if ! (cd "$work" && apt-get -qq $sandbox download "$package" </dev/null >/dev/null); then
        echo "heed: apt cannot fetch the package $package of this system" >&2
        status=1
    elif ! dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -x -C "$work" "$@"; then
        echo "heed: the package $package does not hold $*" >&2
        status=1
    else
        for file; do
            mv -f "$work/$file" "$target/" || status=1
        done
    fi
    rm -rf "$work"
    return $status
}

# Chromium brings SwiftShader, a strict software driver of 256-byte offset alignment, subgroups of 4 and no 16-bit
# types; only that library is taken. Without it the tests on it count as skipped.
heed_swiftshader() {
    directory=$(heed_cache)/swiftshader
    icd=$directory/vk_swiftshader_icd.json
    [ ! -e "$icd" ] || return 0
    heed_say "fetching SwiftShader (out of the package chromium-common) into $directory"
    if heed_unpack chromium-common "$directory" ./usr/lib/chromium/libvk_swiftshader.so; then
        printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}\n' \
            "$directory/libvk_swiftshader.so" >"$icd.new" && mv "$icd.new" "$icd"
    else
        heed_say "no SwiftShader on this system: the tests on it will count as skipped"
    fi
}

# heed_quietly STEP COMMAND...: one line, and what the command printed only if it fails.
heed_quietly() {
    heed_say "$1"
    shift
    log=$(mktemp) || heed_die "mktemp failed: is the disk full?"
    if ! "$@" </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        heed_die "failed: $*"
    fi
    rm -f "$log"
}

# heed_build [DIRECTORY [MESON OPTIONS...]]: release, unless the options say otherwise.
heed_build() {
    directory=${1:-build}
    [ $# = 0 ] || shift
    if [ ! -e "$directory/build.ninja" ]; then
        heed_quietly "configuring $directory" meson setup "$directory" "$@"
    elif [ -n "$heed_installed" ]; then
        heed_quietly "configuring $directory again, for what was just installed" meson setup --reconfigure "$directory" "$@"
    fi
    if ! ninja -C "$directory" -n 2>/dev/null | grep -q 'no work to do'; then
        heed_quietly "compiling $directory" ninja -C "$directory"
    fi
}
