# What our own engine and the node image need of the machine, from Debian's packages. Programs that do nothing by
# themselves are installed; docker and its parts are only unpacked, because installing them would start services.

INSTALLED_PROGRAMS="jq=jq gcc=gcc nsenter=util-linux ip=iproute2 iptables=iptables mmdebstrap=mmdebstrap"
UNPACKED_PACKAGES="docker.io containerd runc busybox-static"

install_host_programs() {
    command -v apt-get >/dev/null ||
        fail "no docker engine answers, and one can be set up here only from Debian's packages: start docker, then try again"
    local wanted="" pair
    for pair in $INSTALLED_PROGRAMS; do
        command -v "${pair%%=*}" >/dev/null || wanted+=" ${pair#*=}"
    done
    [ -e /usr/include/stdlib.h ] || wanted+=" libc6-dev"
    if [ ! -d "$ENGINE_PROGRAMS" ]; then
        unpack_engine_programs
        wanted+=" $(libraries_of_unpacked_packages)"
    fi
    [ -n "$wanted" ] || return 0
    # shellcheck disable=SC2086  # each package is a word
    with_fresh_package_lists apt-get install -y -qq --no-install-recommends --no-upgrade -o DPkg::Lock::Timeout=300 $wanted
    progress "installed Debian packages:$wanted"
}

unpack_engine_programs() {
    local partial=$ENGINE_PROGRAMS.partial package
    rm -rf "$partial"
    mkdir -p "$partial"
    # shellcheck disable=SC2086
    (cd "$partial" && with_fresh_package_lists apt-get download -qq -o APT::Sandbox::User=root $UNPACKED_PACKAGES)
    for package in "$partial"/*.deb; do
        dpkg-deb --extract "$package" "$partial"
        rm "$package"
    done
    mv "$partial" "$ENGINE_PROGRAMS"
    progress "unpacked Debian packages: $UNPACKED_PACKAGES"
}

libraries_of_unpacked_packages() {
    # shellcheck disable=SC2086
    apt-cache depends $UNPACKED_PACKAGES | awk '$1 == "Depends:" && $2 ~ /^lib/ {print $2}' | sort -u | tr '\n' ' '
}

# A new machine has no package lists, an older one lists that name files which are gone.
with_fresh_package_lists() {
    export DEBIAN_FRONTEND=noninteractive
    "$@" >> "$LOGS/apt.log" 2>&1 && return
    run_logged apt apt-get update -qq
    run_logged apt "$@"
}
