# SPDX-License-Identifier: MIT
# What tests/drivers/run needs, made once in a folder of the cache: Mesa's drivers for two machines, the shims that
# stand in for the kernel, a newer glslang, and heed built for both. Sourced after tests/setup.sh. Packages are unpacked
# there, not installed; apt verifies them with Debian's own keys.

drivers_gib=2 # with the packages' archives, which go again; 0.7 stays

# Mesa of backports.
drivers_sources() {
    mirror=$(heed_debian_mirror) || exit 1
    for suite in trixie trixie-backports; do
        printf 'deb [signed-by=%s] %s %s main\n' "$drivers_keys" "$mirror" $suite
    done
}
drivers_keys=/usr/share/keyrings/debian-archive-keyring.gpg

# drivers_tree FOLDER MACHINE PACKAGE[/SUITE]...: those and what they depend on, unpacked.
drivers_tree() {
    tree=$1 machine=$2
    shift 2
    [ ! -e "$tree/unpacked" ] || return 0
    heed_say "unpacking Mesa for $machine into $tree"
    rm -rf "$tree"
    apt=$tree/apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" || heed_die "cannot write $tree: set XDG_CACHE_HOME to a folder that can be written"
    : >"$apt/status"
    drivers_sources >"$apt/sources.list"
    cat >"$apt/conf" <<EOT
Dir::State "$apt"; Dir::State::status "$apt/status"; Dir::State::lists "lists";
Dir::Cache "$apt"; Dir::Cache::archives "archives";
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "-"; Dir::Etc::preferencesparts "-";
APT::Architecture "$machine"; APT::Architectures { "$machine"; };
APT::Install-Recommends "false"; APT::Sandbox::User ""; Acquire::Languages "none"; Debug::NoLocking "true";
EOT
    if ! APT_CONFIG=$apt/conf apt-get -qq update </dev/null >"$apt/log" 2>&1 ||
        ! APT_CONFIG=$apt/conf apt-get -qq -y --download-only install "$@" </dev/null >>"$apt/log" 2>&1; then
        tail -n 5 "$apt/log" >&2
        heed_die "apt could not fetch Mesa for $machine out of $(sed -n '1s/.*] \([^ ]*\).*/\1/p' "$apt/sources.list"): is the network up?"
    fi
    for archive in "$apt"/archives/*.deb; do
        dpkg-deb -x "$archive" "$tree" || heed_die "cannot unpack $archive: is the disk full?"
    done
    for link in bin lib lib64; do
        [ -e "$tree/$link" ] || [ ! -e "$tree/usr/$link" ] || ln -s "usr/$link" "$tree/$link"
    done
    rm -rf "$apt"
    : >"$tree/unpacked"
}

# Programs of the tree with the tree's own libraries.
drivers_tool() {
    tool=$drivers/$1
    [ -e "$tool" ] || {
        printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$drivers/amd64/lib64/ld-linux-x86-64.so.2" \
            "$drivers/amd64/usr/lib/x86_64-linux-gnu" "$drivers/amd64/usr/bin/$1" >"$tool" && chmod +x "$tool"
    }
}

# drivers_shim COMPILER SOURCE LIBRARY
drivers_shim() {
    [ "$3" -nt "$2" ] || heed_quietly "compiling $(basename "$3")" "$1" -std=c11 -Wall -Wextra -Werror -O2 -shared -fPIC \
        -I"$drivers/amd64/usr/include" -I"$drivers/amd64/usr/include/libdrm" -o "$3" "$2" -ldl
}

drivers_build() ( # drivers_build TOP: heed's own folder; in build-drivers*/ of it
    cd "$1" || exit 1
    heed_build build-drivers -Dexamples=false -Dglslang="$drivers/glslangValidator"
    cross=$drivers/arm64.meson
    [ -e "$cross" ] || cat >"$cross" <<'EOT'
[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
EOT
    heed_build build-drivers-arm64 -Dexamples=false -Dglslang="$drivers/glslangValidator" --cross-file "$cross"
)

drivers_setup() { # drivers_setup TOP
    [ "$(uname -m)" = x86_64 ] || heed_die "this machine is $(uname -m): the drivers here are those of x86_64, and arm64's run in qemu on it"
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        heed_die "the drivers come out of Debian's packages: run this on Debian 12 or newer, or in a container of it"
    fi
    heed_need build drivers
    drivers=$(heed_cache)/drivers
    mkdir -p "$drivers" || heed_die "cannot make $drivers: set XDG_CACHE_HOME to a folder that can be written"
    if [ ! -e "$drivers/amd64/unpacked" ] || [ ! -e "$drivers/arm64/unpacked" ]; then
        free=$(df -Pk "$drivers" | awk 'NR == 2 { print int($4 / 1048576) }')
        [ "$free" -ge $drivers_gib ] ||
            heed_die "$drivers needs $drivers_gib GiB and its disk has $free: make room, or set XDG_CACHE_HOME to another disk"
    fi
    exec 9>"$drivers/lock"
    flock 9 || heed_die "cannot lock $drivers/lock: does its file system have locks?"
    mesa='mesa-vulkan-drivers/trixie-backports mesa-drm-shim/trixie-backports libvulkan1'
    # shellcheck disable=SC2086 # lists of words
    drivers_tree "$drivers/amd64" amd64 $mesa libdrm-dev glslang-tools spirv-tools
    # shellcheck disable=SC2086
    drivers_tree "$drivers/arm64" arm64 $mesa
    drivers_tool glslangValidator
    drivers_tool spirv-val
    drivers_shim cc "$1/tests/drivers/shim_intel.c" "$drivers/shim_intel.so"
    drivers_shim aarch64-linux-gnu-gcc "$1/tests/drivers/shim_arm.c" "$drivers/shim_arm.so"
    exec 9>&-
}
