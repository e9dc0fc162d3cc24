//! The **oracle**: what must be true when a scenario has ended, whatever happened in it.
//!
//! One check for each guarantee that can be verified from the database and the ledgers of the outside world. All checks are made,
//! and all violations are reported together.

use std::collections::{HashMap, HashSet};

use campanile::Outcome;
use campanile_tests::provider::{Answered, Keys, Mail};

use crate::ledgers::{Delivery, deliveries, scrolls};
use crate::stage::{Stage, Told};
use crate::windows::{o3_admissions_are_a_window_apart, o4_windows_and_notifications_match};

/// The amount of data that the oracle checked.
pub(crate) struct Found {
    deliveries: usize,
    mails: usize,
    repeated: usize,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} deliveries, {} mails taken, {} requests repeated",
            self.deliveries, self.mails, self.repeated
        )
    }
}

/// Makes every check, and returns how much data it checked.
pub(crate) async fn oracle(stage: &Stage) -> Found {
    let deliveries = deliveries(stage).await;
    let wrong = what_is_wrong(stage, &deliveries).await;
    assert!(wrong.is_empty(), "the oracle found:\n{}", wrong.join("\n"));
    let ledger = stage.provider.ledger();
    Found {
        deliveries: deliveries.len(),
        mails: ledger.mails(),
        repeated: ledger.answered(Answered::Repeated),
    }
}

/// All violations, each in a line that begins with the name of the check.
pub(crate) async fn what_is_wrong(stage: &Stage, deliveries: &[Delivery]) -> Vec<String> {
    let told = stage.told().clone();
    let mut wrong = Vec::new();
    wrong.extend(o1_recipients_are_partitioned(stage, &told).await);
    wrong.extend(o2_an_inbox_row_for_each_notification(stage, &told).await);
    wrong.extend(o3_admissions_are_a_window_apart(stage).await);
    wrong.extend(o4_windows_and_notifications_match(stage, &told).await);
    wrong.extend(o5_delivered_deliveries_are_in_a_ledger(stage, deliveries));
    wrong.extend(o6_no_key_is_taken_twice(stage));
    wrong.extend(o7_no_lease_is_dead(stage).await);
    wrong.extend(o8_attempts_are_within_the_limit(stage).await);
    wrong.extend(o9_accepted_mails_are_delivered_or_unknown(
        stage, &told, deliveries,
    ));
    wrong
}

/// O1: every recipient of every dispatch is admitted, a repeat, or has muted everything; and the reports match the existing
/// notifications.
async fn o1_recipients_are_partitioned(stage: &Stage, told: &Told) -> Vec<String> {
    let mut wrong = Vec::new();
    for report in &told.reports {
        let sum = report.admitted + report.deduped + report.fully_suppressed + report.fully_failed;
        if sum != report.recipients {
            wrong.push(format!("O1: {sum} of {} recipients", report.recipients));
        }
    }
    let admitted: usize = told.reports.iter().map(|report| report.admitted).sum();
    let notifications = stage
        .database
        .number(
            "select count(*) from (select id from {campanile}notifications \
             union select notification_id from {campanile}notification_deliveries) as delivery",
        )
        .await;
    if told.complete() && i64::try_from(admitted).unwrap() != notifications {
        wrong.push(format!(
            "O1: {admitted} were admitted, and there are {notifications} notifications"
        ));
    }
    wrong
}

/// O2: a notification on the inbox has one row there, and no other notification has any.
async fn o2_an_inbox_row_for_each_notification(stage: &Stage, told: &Told) -> Vec<String> {
    let mut wrong = count(
        stage,
        "O2: notifications whose inbox row is missing, or should not be there",
        "select count(*) from {campanile}notification_deliveries as delivery where delivery.has_local <> \
         (delivery.notification_id in (select id from {campanile}notifications))",
    )
    .await;
    let lines = told.reports.iter().flat_map(|report| &report.outcomes);
    let sent = lines.filter(|line| line.channel == "inbox" && line.outcome == Outcome::Sent);
    let (sent, rows) = (sent.count(), stage.database.count("notifications").await);
    if told.complete() && i64::try_from(sent).unwrap() != rows {
        wrong.push(format!(
            "O2: {sent} were sent to the inbox, which has {rows}"
        ));
    }
    wrong
}

/// O5: every delivered delivery has reached the outside world.
fn o5_delivered_deliveries_are_in_a_ledger(stage: &Stage, deliveries: &[Delivery]) -> Vec<String> {
    let (ledger, scrolls) = (stage.provider.ledger(), scrolls(stage));
    let taken = ledger.taken();
    let arrived = |delivery: &&Delivery| match delivery.channel.as_str() {
        "email" => taken.contains_key(&delivery.mail),
        _ => scrolls.contains(&delivery.key),
    };
    let delivered = deliveries
        .iter()
        .filter(|delivery| delivery.state == "delivered");
    let missing = delivered.filter(|delivery| !arrived(delivery));
    missing
        .map(|delivery| format!("O5: delivered, and nobody got it: {delivery:?}"))
        .collect()
}

/// O6: a provider that supports keys accepts no key and no mail twice, and no provider sees one key with two bodies.
fn o6_no_key_is_taken_twice(stage: &Stage) -> Vec<String> {
    let ledger = stage.provider.ledger();
    let mut bodies: HashMap<&str, HashSet<[u8; 32]>> = HashMap::new();
    let mut taken: HashMap<&str, usize> = HashMap::new();
    for entry in &ledger.entries {
        bodies.entry(&entry.key).or_default().insert(entry.body);
        *taken.entry(&entry.key).or_default() += usize::from(entry.answered.is_acceptance());
    }
    let mut wrong = Vec::new();
    for (key, bodies) in bodies.iter().filter(|(_, bodies)| bodies.len() > 1) {
        wrong.push(format!("O6: {key} came with {} bodies", bodies.len()));
    }
    if stage.provider.keys() == Keys::Honoured {
        for (key, times) in taken.iter().filter(|(_, times)| **times > 1) {
            wrong.push(format!("O6: {key} was taken {times} times"));
        }
        for (mail, delivery) in ledger.taken() {
            if delivery.alone + delivery.in_batch > 1 {
                wrong.push(format!(
                    "O6: {mail:?} went out more than once: {delivery:?}"
                ));
            }
        }
    }
    wrong
}

/// O7: no delivery is unfinished, and no finished delivery is leased.
async fn o7_no_lease_is_dead(stage: &Stage) -> Vec<String> {
    count(
        stage,
        "O7: deliveries that run, wait or are leased",
        "select count(*) from {campanile}notification_deliveries \
         where state in ('running', 'pending') or lease_until is not null or worker is not null",
    )
    .await
}

/// O8: no delivery was tried more than the allowed twelve times, and the log has no attempt that was not started.
async fn o8_attempts_are_within_the_limit(stage: &Stage) -> Vec<String> {
    let mut wrong = count(
        stage,
        "O8: deliveries with too many attempts, or an account of them that does not add up",
        "select count(*) from {campanile}notification_deliveries \
         where attempt - uncounted > 12 or uncounted > attempt or attempt < 0",
    )
    .await;
    let log = "select count(*) from {campanile}notification_attempts as line where not exists \
         (select 1 from {campanile}notification_deliveries as delivery where delivery.id = line.delivery_id and delivery.attempt >= line.attempt)";
    wrong.extend(count(stage, "O8: lines of the log without their attempt", log).await);
    wrong
}

/// O9: every accepted mail is delivered or unknown, and never reported as failed.
fn o9_accepted_mails_are_delivered_or_unknown(
    stage: &Stage,
    told: &Told,
    deliveries: &[Delivery],
) -> Vec<String> {
    let by_mail: HashMap<&Mail, &Delivery> = deliveries
        .iter()
        .filter(|entry| entry.channel == "email")
        .map(|entry| (&entry.mail, entry))
        .collect();
    let by_key: HashMap<&str, &Delivery> = deliveries
        .iter()
        .map(|entry| (entry.key.as_str(), entry))
        .collect();
    let is_told = |entry: &Delivery| matches!(entry.state.as_str(), "delivered" | "unknown");
    let is_forgotten = |to: &str| {
        told.forgotten
            .iter()
            .any(|user| to == crate::stage::address(user))
    };
    let mut wrong = Vec::new();
    for mail in stage.provider.ledger().taken().into_keys() {
        match by_mail.get(mail) {
            Some(entry) if is_told(entry) => {}
            None if told.pruned || is_forgotten(&mail.to) => {}
            entry => wrong.push(format!(
                "O9: {mail:?} was taken, and its delivery is {entry:?}"
            )),
        }
    }
    for key in scrolls(stage) {
        match by_key.get(key.as_str()) {
            Some(entry) if is_told(entry) => {}
            None if told.pruned || !told.forgotten.is_empty() => {}
            entry => wrong.push(format!("O9: {key} arrived, and its delivery is {entry:?}")),
        }
    }
    wrong
}

impl Told {
    /// Whether the reports and the database contain the same dispatches.
    fn complete(&self) -> bool {
        !self.unheard && !self.pruned && self.forgotten.is_empty()
    }
}

pub(crate) async fn count(stage: &Stage, what: &str, statement: &str) -> Vec<String> {
    match stage.database.number(statement).await {
        0 => Vec::new(),
        some => vec![format!("{what}: {some}")],
    }
}
