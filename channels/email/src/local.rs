//! Whether a host is **this machine**: the only one that may be contacted without encryption.

use std::net::IpAddr;

/// `localhost` or a loopback address. A name that merely resolves to one does not count.
pub(crate) fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
