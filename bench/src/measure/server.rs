//! What the Postgres server counts: statements, the log that it writes, and how long claims take.

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::Result;
use crate::options::Kind;
use crate::stage::Place;

/// Statements of this database (`$1`). Those that ask are in another one, and not counted.
const STATEMENTS: &str = "\
    select coalesce(sum(calls), 0)::bigint from pg_stat_statements \
    where dbid = (select oid from pg_database where datname = $1)";

const CLAIMS: &str = "\
    select coalesce(sum(calls), 0)::bigint, coalesce(sum(total_exec_time), 0)::double precision from pg_stat_statements \
    where dbid = (select oid from pg_database where datname = $1) \
        and query ilike '%notification_deliveries%' and query ilike '%skip locked%'";

const WRITTEN: &str = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";

/// A look at the server from outside the database that is measured.
pub(crate) struct Observer {
    admin: PgPool,
    name: String,
    is_counting: bool,
}

/// What it has counted so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    /// `None` where the server lacks `pg_stat_statements`.
    pub(crate) statements: Option<i64>,
    /// Bytes.
    pub(crate) wal: i64,
}

impl Observer {
    /// One for a place on Postgres; on SQLite there is no server.
    pub(crate) async fn of(place: &Place) -> Result<Option<Self>> {
        if place.kind == Kind::Sqlite {
            return Ok(None);
        }
        let admin = PgPoolOptions::new().max_connections(1);
        let admin = admin.connect(&place.admin_url()).await?;
        let extension =
            "select exists (select 1 from pg_extension where extname = 'pg_stat_statements')";
        Ok(Some(Self {
            is_counting: sqlx::query_scalar(extension).fetch_one(&admin).await?,
            admin,
            name: place.name().to_owned(),
        }))
    }

    pub(crate) async fn count(&self) -> Result<Counted> {
        let statements = if self.is_counting {
            let statements = sqlx::query_scalar(STATEMENTS).bind(&self.name);
            Some(statements.fetch_one(&self.admin).await?)
        } else {
            None
        };
        let wal = sqlx::query_scalar(WRITTEN).fetch_one(&self.admin).await?;
        Ok(Counted { statements, wal })
    }

    /// How many claims there were, and how many milliseconds they took together.
    pub(crate) async fn claims(&self) -> Result<Option<(i64, f64)>> {
        if !self.is_counting {
            return Ok(None);
        }
        let claims = sqlx::query_as(CLAIMS).bind(&self.name);
        Ok(Some(claims.fetch_one(&self.admin).await?))
    }

    pub(crate) async fn close(self) {
        self.admin.close().await;
    }
}
