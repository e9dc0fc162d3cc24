//! What the tests across crates share: databases of their own, a dispatcher with every channel, and a few events.
//!
//! Every promise is tested on SQLite and on Postgres by the same story: see [`both_databases!`].

/// The code of the README and of the pages in `docs`, as doctests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/events.md")]
    struct Events;
    #[doc = include_str!("../../docs/dispatch.md")]
    struct Dispatch;
    #[doc = include_str!("../../docs/preferences.md")]
    struct Preferences;
    #[doc = include_str!("../../docs/channels.md")]
    struct Channels;
    #[doc = include_str!("../../docs/operate.md")]
    struct Operate;
}

pub mod app;
pub mod bouncer;
pub mod database;
pub mod ask;
pub mod running;
pub mod events;
pub mod proxy;
pub mod fault_proxy;
pub mod provider;
pub mod outside;
pub mod smtp;
pub mod older;
pub mod tour;
pub mod viewer;

use campanile_inbox as _;

pub use campanile_chromium as browser;
pub use campanile_cluster as cluster;

pub use crate::app::App;
pub use crate::database::{Kind, TestDatabase};
pub use crate::running::Running;

/// Runs one story on a new SQLite file and on a new Postgres database.
#[macro_export]
macro_rules! both_databases {
    ($($(#[$meta:meta])* async fn $name:ident($argument:ident: $type:ty) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "a story may need nothing from around it")]
            use super::*;

            async fn story($argument: $type) $body

            #[test]
            fn on_sqlite() {
                $crate::database::run($crate::Kind::Sqlite, async |database| {
                    story(<$type as $crate::database::Fixture>::over(database).await).await;
                });
            }

            #[test]
            fn on_postgres() {
                $crate::database::run($crate::Kind::Postgres, async |database| {
                    story(<$type as $crate::database::Fixture>::over(database).await).await;
                });
            }
        }
    )+};
}
