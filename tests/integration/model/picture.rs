//! A **picture**: the full state of the database and the providers, in the terms of the model, and its invariants.

use super::delivery::{MAX_ATTEMPTS, PAUSE};
use super::stage::Stage;

const NAMES: &str = "\
    select {text(id)} || ' ' || {text(dispatch_id)} || ' ' || user_id || ' ' || channel \
    from {campanile}notification_deliveries";

/// The rest of the state; the second word of a delivery and of an attempt is the dispatch.
const ROWS: [&str; 5] = [
    "select 'delivery ' || {text(dispatch_id)} || ' ' || user_id || ' ' || channel || ' ' || state || ' ' || \
        cast(attempt as text) || ' ' || cast(uncounted as text) || case when maybe_sent then ' maybe' else ' -' end \
     from {campanile}notification_deliveries",
    "select 'attempt ' || {text(delivery.dispatch_id)} || ' ' || delivery.user_id || ' ' || delivery.channel || ' ' || \
        cast(log.attempt as text) || ' ' || log.outcome \
     from {campanile}notification_attempts as log \
     left join {campanile}notification_deliveries as delivery on delivery.id = log.delivery_id",
    "select 'window ' || event_type || ' ' || dedup_key || ' ' || recipient_user_id \
     from {campanile}notification_dedup where window_ends_at > {now}",
    "select 'inbox ' || user_id || ' ' || event_type || ' ' || subject_id from {campanile}notifications",
    "select 'paused ' || channel || case when probe_at is null then ' operator' else ' itself' end \
     from {campanile}notification_channel_pauses",
];

/// Violations that must never exist.
const NEVER: [(&str, &str); 6] = [
    (
        "an open window without its notification",
        "notification_dedup as claimed where window_ends_at > {now} \
         and not exists (select 1 from {campanile}notifications as item where item.id = claimed.notification_id) \
         and not exists (select 1 from {campanile}notification_deliveries as delivery \
             where delivery.notification_id = claimed.notification_id)",
    ),
    (
        "an attempt beyond the limit",
        "notification_deliveries where attempt - uncounted > {most}",
    ),
    (
        "a pause longer than the maximum",
        "notification_deliveries where state = 'pending' and run_at > {later({pause})}",
    ),
    (
        "a lease without a running attempt, or the other way round",
        "notification_deliveries \
         where (state = 'running') <> (lease_until is not null) or (state = 'running') <> (worker is not null)",
    ),
    (
        "an end without its time",
        "notification_deliveries \
         where (state in ('pending', 'running')) <> (finished_at is null)",
    ),
    (
        "a delivered one that its log does not say was accepted",
        "notification_deliveries as delivery where state = 'delivered' \
         and not exists (select 1 from {campanile}notification_attempts as log \
             where log.delivery_id = delivery.id and log.attempt = delivery.attempt and log.outcome = 'accepted')",
    ),
];

impl Stage {
    /// Learns the names of new deliveries.
    pub(super) async fn look(&mut self) {
        for line in self.app.database.lines(NAMES).await {
            let (id, name) = line.split_once(' ').expect("two words");
            let name = self.numbered(name);
            self.names.insert(id.to_owned(), name);
        }
    }

    /// The full state, one line for each item.
    pub(super) async fn picture(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let rows = self.app.database.lines(&ROWS.join(" union all ")).await;
        lines.extend(rows.iter().map(|row| self.numbered(row)));
        for (id, times) in self.office.taken() {
            let name = self.names.get(&id).unwrap_or(&id);
            lines.push(format!("accepted {name} {times}"));
        }
        lines.sort();
        lines
    }

    /// The existing violations.
    pub(super) async fn impossible(&self) -> Vec<String> {
        let questions = NEVER.map(|(what, of)| {
            let of = of
                .replace("{most}", &MAX_ATTEMPTS.to_string())
                .replace("{pause}", &(PAUSE * 1_000_000).to_string());
            format!("select '{what}' where exists (select 1 from {{campanile}}{of})")
        });
        let questions = questions.join(" union all ");
        self.app.database.lines(&questions).await
    }

    /// The line, with the numbers of dispatches instead of their ids.
    fn numbered(&self, line: &str) -> String {
        let words = line.split(' ').map(|word| match self.fires.get(word) {
            Some(number) => format!("#{number}"),
            None => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}
