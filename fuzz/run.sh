#!/bin/sh
# Searches for input that breaks a guarantee, for the given number of seconds (default: 60) in each target or in the named ones:
#   fuzz/run.sh [SECONDS [TARGET..]]
# It needs a C++ compiler, and `cargo-fuzz`, which is installed if it is missing. Stable Rust is enough: coverage comes from
# LLVM, and no sanitizer is linked, since there is no unsafe code to sanitize. Findings are written to `fuzz/artifacts`.
set -eu
cd "$(dirname "$0")/.."
seconds="${1:-60}"
[ $# -eq 0 ] || shift
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(cargo fuzz list)
for target in "$@"; do
    echo "fuzz: $target, $seconds s"
    dictionary=""
    case "$target" in html*) dictionary="-dict=fuzz/html.dict" ;; esac
    # An input may take ten seconds and a gigabyte; one that takes more than a second is reported. 16 KiB are the maximum size of a
    # request's body, and enough for inputs that may be longer.
    cargo fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" -timeout=10 -report_slow_units=1 \
        -rss_limit_mb=1024 -max_len=16384 $dictionary
done
