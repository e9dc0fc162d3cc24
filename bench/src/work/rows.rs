//! Writes and reads where there are many old **rows**. All contenders use one database: what they add is little beside them.

use std::sync::Arc;
use std::time::Instant;

use campanile::database::each_database;

use super::{Field, Run, fanout, one};
use crate::Result;
use crate::contenders::{ALL, Contender};
use crate::measure::percentiles;
use crate::report::{Case, Samples};
use crate::seed;

/// What is done with an inbox.
#[derive(Debug, Clone, Copy)]
enum Look {
    Feed,
    Counts,
    MarkAll,
    Bell,
}

impl Look {
    const fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed page",
            Self::Counts => "counts",
            Self::MarkAll => "mark all as read",
            Self::Bell => "opening the bell",
        }
    }

    /// Whether it changes the inbox, so that each needs another one.
    const fn is_write(self) -> bool {
        matches!(self, Self::MarkAll | Self::Bell)
    }

    async fn at(self, contender: &Arc<dyn Contender>, user: &str) -> Result<()> {
        match self {
            Self::Feed => contender.feed(user).await.map(drop),
            Self::Counts => contender.counts(user).await,
            Self::MarkAll => contender.mark_all(user).await,
            Self::Bell => contender.open_bell(user).await,
        }
    }
}

pub(crate) async fn run(run: &Run<'_>) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for rows in &run.options.rows {
        let place = run.stage.place().await?;
        let database = place.open().await?;
        seed::old_rows(&database, *rows).await?;
        run.settle(&database).await?;
        each_database!(&database, |pool| pool.close().await);
        let field = Field::over(&place, &ALL).await?;
        let more = format!(", {rows} old rows");
        cases.push(one::case(run, &field, one::Way::Enqueue, 8, &more).await?);
        let audience = run.of(1_000, 100);
        cases.push(fanout::case(run, &field, audience, &more).await?);
        let inboxes = seed::inboxes(*rows);
        let mut fresh = (0..inboxes).cycle();
        // No inbox is changed twice: two looks change one, by each contender in each round.
        let changes = inboxes / (2 * ALL.len() as u64 * u64::from(run.options.rounds));
        let changes = usize::try_from(changes)?.clamp(1, 5);
        for look in [Look::Feed, Look::Counts, Look::MarkAll, Look::Bell] {
            let looks = if look.is_write() {
                changes
            } else {
                run.of(100, 3)
            };
            let mut samples = Samples::of(format!("{}{more}", look.name()), &ALL);
            for _ in 0..run.options.rounds {
                for name in samples.next_round() {
                    let (_, contender) = field.get(name)?;
                    let mut times = Vec::new();
                    for user in fresh.by_ref().take(looks) {
                        let user = format!("u_{user}");
                        let began = Instant::now();
                        look.at(contender, &user).await?;
                        times.push(began.elapsed());
                    }
                    samples.record(name, percentiles(&mut times));
                }
            }
            cases.push(samples.end());
        }
        field.clear(&run.stage).await?;
    }
    Ok(cases)
}
