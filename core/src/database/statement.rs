//! A **statement**: SQL text with placeholders, composed once for each database, and registered in a list of all statements.
//!
//! Every statement declared with [`statement!`] is in the list. A test prepares each of them on a migrated database, so that a
//! missing column is found there and not when the statement first runs.

use std::fmt;
use std::sync::OnceLock;

#[cfg(feature = "postgres")]
use crate::database::dialect::POSTGRES;
#[cfg(feature = "sqlite")]
use crate::database::dialect::SQLITE;
use crate::database::dialect::{Dialect, translate};
use crate::database::{Database, Pool};

/// A statement that is known at build time, with the placeholders of [`Database::sql`]; declared with
/// [`statement!`](macro@crate::statement).
pub struct Statement {
    name: &'static str,
    /// The only kind of database that it is for.
    only: Option<&'static str>,
    text: &'static str,
    /// The values of further placeholders.
    pieces: &'static [(&'static str, &'static str)],
    #[cfg(feature = "postgres")]
    postgres: OnceLock<String>,
    #[cfg(feature = "sqlite")]
    sqlite: OnceLock<String>,
}

/// Declares a static [`Statement`], with the placeholders of [`Database::sql`] and with pieces of its own:
///
/// ```
/// use campanile::database::statement;
///
/// const YOUNG: &str = "created_at > {earlier($1)}";
///
/// statement! {
///     /// How many are young.
///     COUNT = "select count(*) from {campanile}notifications where {young}", young = YOUNG
/// }
/// # async fn run(database: &campanile::Database) -> Result<i64, campanile::sqlx::Error> {
/// campanile::database::each_connection!(database, |connection| {
///     let count = campanile::sqlx::query_scalar(COUNT.on(database)).bind(1_000_000_i64);
///     count.fetch_one(&mut *connection).await
/// })
/// # }
/// ```
///
/// A piece may contain other pieces. A statement for only one kind of database starts with its name: `on Postgres; NAME = ".."`.
#[macro_export]
macro_rules! statement {
    ($(#[$meta:meta])* on $kind:ident; $visible:vis $name:ident = $text:expr $(, $piece:ident = $value:expr)* $(,)?) => {
        $crate::statement! {
            @ $(#[$meta])* $visible $name, ::core::option::Option::Some(stringify!($kind)), $text,
            [$((stringify!($piece), $value)),*]
        }
    };
    ($(#[$meta:meta])* $visible:vis $name:ident = $text:expr $(, $piece:ident = $value:expr)* $(,)?) => {
        $crate::statement! {
            @ $(#[$meta])* $visible $name, ::core::option::Option::None, $text, [$((stringify!($piece), $value)),*]
        }
    };
    (@ $(#[$meta:meta])* $visible:vis $name:ident, $kind:expr, $text:expr, $pieces:expr) => {
        $(#[$meta])*
        $visible static $name: $crate::database::Statement = $crate::database::Statement::declare(
            concat!(module_path!(), "::", stringify!($name)),
            $kind,
            $text,
            &$pieces,
        );
        $crate::__private::inventory::submit! { $crate::__private::Listed(&$name) }
    };
}

/// Not public API: a statement as it is listed.
#[derive(Debug)]
#[doc(hidden)]
pub struct Listed(pub &'static Statement);

inventory::collect!(Listed);

impl Statement {
    /// Not public API: see [`statement!`].
    #[doc(hidden)]
    #[must_use]
    pub const fn declare(
        name: &'static str,
        only: Option<&'static str>,
        text: &'static str,
        pieces: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            name,
            only,
            text,
            pieces,
            #[cfg(feature = "postgres")]
            postgres: OnceLock::new(),
            #[cfg(feature = "sqlite")]
            sqlite: OnceLock::new(),
        }
    }

    /// The path of its static.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// The statement in the dialect of this database.
    ///
    /// # Panics
    ///
    /// On a brace that opens no known placeholder: that is a bug in the statement.
    #[must_use]
    pub fn on(&'static self, database: &Database) -> &'static str {
        match database.pool() {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => self.on_postgres(),
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => self.on_sqlite(),
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            Pool::Missing(never) => match *never {},
        }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn on_postgres(&'static self) -> &'static str {
        self.in_dialect(&self.postgres, &POSTGRES)
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn on_sqlite(&'static self) -> &'static str {
        self.in_dialect(&self.sqlite, &SQLITE)
    }

    fn in_dialect(
        &'static self,
        composed: &'static OnceLock<String>,
        dialect: &Dialect,
    ) -> &'static str {
        composed.get_or_init(|| translate(self.text, dialect, self.pieces))
    }
}

/// Whether it is the same statement.
impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Statement {}

/// Shows its name and what it was declared with.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("name", &self.name)
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

/// Every statement that is linked and for this kind of database, by name.
pub(crate) fn every(database: &Database) -> Vec<&'static Statement> {
    let listed = inventory::iter::<Listed>.into_iter().map(|listed| listed.0);
    let mut statements: Vec<_> = listed
        .filter(|statement| statement.only.is_none_or(|kind| kind == database.kind()))
        .collect();
    statements.sort_unstable_by_key(|statement| statement.name);
    statements
}

/// Composes all statements, so that no caller has to wait for it.
pub(crate) fn compose(database: &Database) {
    for statement in every(database) {
        let _ = statement.on(database);
    }
}
