//! The **works**, each a list of cases.

pub(crate) mod one;
pub(crate) mod fanout;
pub(crate) mod rows;
pub(crate) mod drain;
pub(crate) mod snapshot;
pub(crate) mod transaction;
pub(crate) mod compile;

use std::sync::Arc;

use campanile::Database;
use campanile::database::each_database;

use crate::contenders::{self, Contender};
use crate::options::{Form, Options, Work};
use crate::report::{Case, Report, Section};
use crate::stage::{Place, Stage};
use crate::{Failure, Result, seed};

/// Runs the works, and reports; `so_far` gets what there is after each work. A work that fails says so in its section, and the others
/// go on.
///
/// # Errors
///
/// When a database cannot be set up, or `so_far` fails.
pub async fn run_works(
    options: &Options,
    mut so_far: impl FnMut(&Report) -> Result<()>,
) -> Result<Report> {
    let mut report = Report::begin(options);
    let on_databases = options.works.iter().any(|work| *work != Work::Compile);
    for kind in options.databases.iter().filter(|_| on_databases) {
        let stage = Stage::set(*kind, options.form).await?;
        let run = Run {
            database: format!("{} {}", kind.name(), version(&stage).await?),
            options,
            stage,
        };
        for work in options.works.iter().filter(|work| **work != Work::Compile) {
            report.sections.push(run.section(*work).await);
            so_far(&report)?;
        }
    }
    if options.works.contains(&Work::Compile) {
        eprintln!("compile ..");
        let cases = compile::run(options).await;
        report.sections.push(section(Work::Compile, None, cases));
        so_far(&report)?;
    }
    Ok(report)
}

async fn version(stage: &Stage) -> Result<String> {
    let place = stage.place().await?;
    let database = place.open().await?;
    let ask = match database.kind() {
        "Postgres" => "select current_setting('server_version')",
        _ => "select sqlite_version()",
    };
    let version = each_database!(&database, |pool| {
        let version = sqlx::query_scalar(ask).fetch_one(pool).await?;
        pool.close().await;
        version
    });
    stage.clear(place).await?;
    Ok(version)
}

/// One database, and what is measured on it.
pub(crate) struct Run<'a> {
    pub(crate) options: &'a Options,
    pub(crate) stage: Stage,
    database: String,
}

impl Run<'_> {
    async fn section(&self, work: Work) -> Section {
        eprintln!("{} on {} ..", work.name(), self.database);
        let cases = match work {
            Work::One => one::run(self).await,
            Work::FanOut => fanout::run(self).await,
            Work::Rows => rows::run(self).await,
            Work::Drain => drain::run(self).await,
            Work::Snapshot => snapshot::run(self).await,
            Work::Transaction => transaction::run(self).await,
            Work::Compile => Ok(Vec::new()),
        };
        section(work, Some(self.database.clone()), cases)
    }

    /// Settles a database that was filled, which takes seconds.
    pub(crate) async fn settle(&self, database: &Database) -> Result<()> {
        match self.options.form {
            Form::Full => seed::settle(database).await,
            Form::Quick => Ok(()),
        }
    }

    /// The one number in the full form, and the other in the quick one.
    pub(crate) fn of<T>(&self, full: T, quick: T) -> T {
        self.options.form.of(full, quick)
    }
}

fn section(work: Work, database: Option<String>, cases: Result<Vec<Case>>) -> Section {
    let (cases, failure) = match cases {
        Ok(cases) => (cases, None),
        Err(error) => {
            eprintln!("{} failed: {error}", work.name());
            (Vec::new(), Some(error.to_string()))
        }
    };
    Section {
        work,
        database,
        cases,
        failure,
    }
}

/// The contenders, each over a database of its own or all over one.
pub(crate) struct Field {
    contenders: Vec<(&'static str, Place, Arc<dyn Contender>)>,
}

impl Field {
    pub(crate) async fn apart(stage: &Stage, names: &[&'static str]) -> Result<Self> {
        let mut contenders = Vec::new();
        for name in names {
            let place = stage.place().await?;
            let contender = contenders::open(name, &place).await?;
            contenders.push((*name, place, contender.into()));
        }
        Ok(Self { contenders })
    }

    pub(crate) async fn over(place: &Place, names: &[&'static str]) -> Result<Self> {
        let mut contenders = Vec::new();
        for name in names {
            let contender = contenders::open(name, place).await?;
            contenders.push((*name, place.clone(), contender.into()));
        }
        Ok(Self { contenders })
    }

    pub(crate) fn get(&self, name: &str) -> Result<(&Place, &Arc<dyn Contender>)> {
        let found = self.contenders.iter().find(|(known, ..)| *known == name);
        let (_, place, contender) =
            found.ok_or_else(|| Failure::from(format!("`{name}` does not take part")))?;
        Ok((place, contender))
    }

    /// Closes all connections, and removes the databases.
    pub(crate) async fn clear(self, stage: &Stage) -> Result<()> {
        let mut places: Vec<Place> = Vec::new();
        for (_, place, contender) in self.contenders {
            contender.close().await;
            if !places.iter().any(|known| known.url == place.url) {
                places.push(place);
            }
        }
        for place in places {
            stage.clear(place).await?;
        }
        Ok(())
    }
}
