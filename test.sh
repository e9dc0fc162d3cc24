#!/bin/sh
# Runs every test of the workspace. What the tests need and the machine lacks is installed first, from Debian's packages
# (axe-core from npm, and schemathesis from PyPI):
#   postgresql            a private, throw-away server is started from its programs (or set DATABASE_URL)
#   chromium, -driver     the browser tests
#   npm                   fetches axe-core, which looks at pages for what keeps people out, into the target folder
#   python3-aiosmtpd      a real SMTP server on loopback
#   faketime              clocks that are wrong, in the fault suite
#   python3-venv          schemathesis, which is fetched from PyPI into the target folder
# Arguments are passed on to `cargo test`.
set -eu
cd "$(dirname "$0")"

missing=""
need() { # package, then a test that it is there
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
need postgresql sh -c 'command -v initdb || ls /usr/lib/postgresql/*/bin/initdb'
need chromium sh -c 'command -v chromium'
need chromium-driver sh -c 'command -v chromedriver'
need python3-aiosmtpd /usr/bin/python3 -c 'import aiosmtpd'
need faketime sh -c 'ls /usr/lib/*/faketime/libfaketime.so.1'
need python3-venv python3 -c 'import ensurepip, venv'
axe="${CARGO_TARGET_DIR:-target}/axe-core"
[ -f "$axe/node_modules/axe-core/axe.min.js" ] || need npm sh -c 'command -v npm'
command -v cc >/dev/null || missing="$missing build-essential"

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null; then
        echo "test.sh: this machine lacks$missing, and has no apt-get: install them by other means" >&2
        exit 1
    fi
    root=""
    [ "$(id -u)" -eq 0 ] || root="sudo"
    echo "test.sh: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    $root apt-get update -qq
    # shellcheck disable=SC2086
    $root apt-get install -y -qq --no-install-recommends $missing
fi

fuzzer="${CARGO_TARGET_DIR:-target}/schemathesis"
if [ ! -x "$fuzzer/bin/schemathesis" ]; then
    echo "test.sh: fetching schemathesis"
    python3 -m venv "$fuzzer"
    "$fuzzer/bin/pip" install --quiet schemathesis==4.32.5
fi

if [ ! -f "$axe/node_modules/axe-core/axe.min.js" ]; then
    echo "test.sh: fetching axe-core"
    npm install --prefix "$axe" --no-audit --no-fund --silent axe-core@4.14.1
fi

exec cargo test --workspace "$@"
