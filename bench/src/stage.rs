//! The **stage**: the server and the files that a run works on, and fresh databases in them.

use std::str::FromStr as _;
use std::time::Duration;

use campanile::Database;
use campanile::database::each_database;
use campanile_cluster::{OwnServer, has_module};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use tempfile::TempDir;
use uuid::Uuid;

use crate::options::{Form, Kind};
use crate::{Result, seed};

/// How many connections the pool of each contender has.
pub(crate) const CONNECTIONS: u32 = 20;

/// The module by which statements are counted.
const STATISTICS: &str = "pg_stat_statements";

/// Where a run works.
pub(crate) struct Stage {
    host: Host,
    /// Whether databases are removed before the run ends. A server syncs everything it has for that.
    is_cleared: bool,
}

/// A database server, or a folder of files.
enum Host {
    Sqlite(TempDir),
    Postgres(Box<Server>),
}

struct Server {
    server: OwnServer,
    template: String,
}

/// A migrated database, with [users](crate::seed::USERS) who have addresses.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) url: String,
}

impl Stage {
    /// Starts the server, with the settings that `initdb` writes; or makes a folder.
    pub(crate) async fn set(kind: Kind, form: Form) -> Result<Self> {
        Ok(Self {
            host: match kind {
                Kind::Sqlite => {
                    Host::Sqlite(tempfile::Builder::new().prefix("campanile-").tempdir()?)
                }
                Kind::Postgres => Host::Postgres(Box::new(Server::start().await?)),
            },
            is_cleared: form == Form::Full,
        })
    }

    /// A fresh one.
    pub(crate) async fn place(&self) -> Result<Place> {
        let name = format!("bench_{}", Uuid::now_v7().simple());
        match &self.host {
            Host::Sqlite(folder) => {
                let file = folder.path().join(name);
                let place = Place::at(Kind::Sqlite, format!("sqlite://{}", file.display()));
                prepare(&place.open().await?).await?;
                Ok(place)
            }
            Host::Postgres(stage) => {
                let admin = stage.admin().await?;
                let create = format!("create database {name} template {}", stage.template);
                execute(&admin, &create).await?;
                admin.close().await;
                let url = url_beside(&stage.server.url, &name);
                Ok(Place::at(Kind::Postgres, url))
            }
        }
    }

    /// Removes one, so that a long run does not fill the disk.
    pub(crate) async fn clear(&self, place: Place) -> Result<()> {
        if !self.is_cleared {
            return Ok(());
        }
        match &self.host {
            Host::Sqlite(_) => {
                let file = place.url.trim_start_matches("sqlite://");
                for part in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{file}{part}"));
                }
            }
            Host::Postgres(stage) => {
                let admin = stage.admin().await?;
                let (_, name) = place.url.rsplit_once('/').unwrap_or_default();
                execute(&admin, &format!("drop database {name} with (force)")).await?;
                admin.close().await;
            }
        }
        Ok(())
    }

    /// The server's first process.
    pub(crate) fn process(&self) -> Option<u32> {
        match &self.host {
            Host::Sqlite(_) => None,
            Host::Postgres(stage) => stage.server.process_id(),
        }
    }
}

impl Server {
    async fn start() -> Result<Self> {
        let preload = format!("shared_preload_libraries={STATISTICS}");
        let is_counting = has_module(STATISTICS);
        let settings: &[&str] = if is_counting { &[&preload] } else { &[] };
        let server = tokio::task::block_in_place(|| OwnServer::with_default_settings_but(settings));
        let stage = Self {
            template: format!("bench_{}", Uuid::now_v7().simple()),
            server,
        };
        let admin = stage.admin().await?;
        if is_counting {
            execute(&admin, &format!("create extension {STATISTICS}")).await?;
        }
        execute(&admin, &format!("create database {}", stage.template)).await?;
        admin.close().await;
        let template = url_beside(&stage.server.url, &stage.template);
        prepare(&Place::at(Kind::Postgres, template).open().await?).await?;
        Ok(stage)
    }

    async fn admin(&self) -> Result<PgPool> {
        let pool = PgPoolOptions::new().max_connections(1);
        Ok(pool.connect(&self.server.url).await?)
    }
}

async fn execute(pool: &PgPool, statement: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(pool)
        .await?;
    Ok(())
}

/// The same server's other database.
fn url_beside(url: &str, name: &str) -> String {
    let server = url.rsplit_once('/').map_or(url, |(server, _)| server);
    format!("{server}/{name}")
}

async fn prepare(database: &Database) -> Result<()> {
    database.migrate().await?;
    seed::people(database).await?;
    each_database!(database, |pool| pool.close().await);
    Ok(())
}

impl Place {
    pub(crate) const fn at(kind: Kind, url: String) -> Self {
        Self { kind, url }
    }

    /// The place of a URL.
    pub(crate) fn of_url(url: &str) -> Self {
        let is_file = url.starts_with("sqlite:");
        let kind = if is_file {
            Kind::Sqlite
        } else {
            Kind::Postgres
        };
        Self::at(kind, url.to_owned())
    }

    pub(crate) async fn open(&self) -> Result<Database> {
        Ok(match self.kind {
            Kind::Sqlite => self.open_sqlite(CONNECTIONS).await?.into(),
            Kind::Postgres => self.open_postgres().await?.into(),
        })
    }

    pub(crate) async fn open_postgres(&self) -> Result<PgPool> {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
        Ok(pool.connect(&self.url).await?)
    }

    /// In WAL mode, as `Database::connect` opens a file; `synchronous` is `full`, which is sqlx's default.
    pub(crate) async fn open_sqlite(&self, connections: u32) -> Result<SqlitePool> {
        let options = SqliteConnectOptions::from_str(&self.url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_mins(2));
        Ok(pool.connect_with(options).await?)
    }

    /// The server's database in which statements are counted.
    pub(crate) fn admin_url(&self) -> String {
        url_beside(&self.url, "postgres")
    }

    /// What the database is called on its server.
    pub(crate) fn name(&self) -> &str {
        self.url.rsplit_once('/').map_or("", |(_, name)| name)
    }
}
