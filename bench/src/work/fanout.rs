//! One dispatch to many recipients, of whom one in twenty has muted everything, and one in twenty is a repeat. Each is
//! measured in a process of its own.

use campanile::database::each_database;

use super::{Field, Run, one};
use crate::contenders::ALL;
use crate::host::Job;
use crate::report::{Case, Samples};
use crate::seed::{self, MUTED};
use crate::stage::Place;
use crate::{Result, child};

/// Every so many recipients one is muted, and one is a repeat.
const OF: usize = 20;
const IS_MUTED: usize = 10;
const IS_REPEAT: usize = 15;

pub(crate) async fn run(run: &Run<'_>) -> Result<Vec<Case>> {
    let field = Field::apart(&run.stage, &ALL).await?;
    let audiences: &[usize] = run.of(&[1, 100, 1_000, 10_000, 100_000], &[1, 100]);
    let mut cases = Vec::new();
    for audience in audiences {
        cases.push(case(run, &field, *audience, "").await?);
    }
    field.clear(&run.stage).await?;
    Ok(cases)
}

pub(crate) async fn case(
    run: &Run<'_>,
    field: &Field,
    audience: usize,
    more: &str,
) -> Result<Case> {
    let name = format!("{audience} recipient(s){more}");
    let mut samples = Samples::of(name, &ALL);
    for _ in 0..run.options.rounds {
        for name in samples.next_round() {
            let subject = format!("to many {}", one::next_number());
            let (place, contender) = field.get(name)?;
            let repeats: Vec<_> = (1..=audience)
                .filter(|number| number % OF == IS_REPEAT)
                .map(seed::user)
                .collect();
            let told = repeats.len() + job(&subject, audience).admitted.len();
            if !repeats.is_empty() {
                contender.enqueue(&Job::to(&subject, repeats)).await?;
            }
            let sample = child::fan_out(run.options, name, place, &subject, audience).await?;
            // Where there are millions of rows, to count them would empty the caches.
            if more.is_empty() {
                check(place, &subject, told).await?;
            }
            samples.record(name, sample);
        }
    }
    Ok(samples.end())
}

/// Whether everybody who is not muted has one item and one delivery.
async fn check(place: &Place, subject: &str, told: usize) -> Result<()> {
    let database = place.open().await?;
    let items = format!(
        "select count(*) from {{campanile}}notifications as item join {{campanile}}notification_deliveries as delivery \
         on delivery.notification_id = item.id and delivery.user_id = item.user_id where item.subject_id = '{subject}'"
    );
    let items = seed::number(&database, &items).await?;
    each_database!(&database, |pool| pool.close().await);
    if usize::try_from(items)? == told {
        return Ok(());
    }
    Err(format!("{items} of {told} recipients have an item and a delivery").into())
}

/// The job, as the process that dispatches it makes it.
pub(crate) fn job(subject: &str, audience: usize) -> Job {
    let mut recipients = Vec::with_capacity(audience);
    let mut admitted = Vec::with_capacity(audience);
    for number in 1..=audience {
        match number % OF {
            IS_MUTED => recipients.push(seed::muted(number / OF % MUTED)),
            IS_REPEAT => recipients.push(seed::user(number)),
            _ => {
                recipients.push(seed::user(number));
                admitted.push(seed::user(number));
            }
        }
    }
    Job {
        subject: subject.to_owned(),
        recipients,
        admitted,
    }
}
