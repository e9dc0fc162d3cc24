//! The **clock** of the stage: it advances only when the test says so, although real time passes.

use std::time::Instant;

use super::event::Channel;
use super::reference::Model;
use super::stage::{Stage, shown};

impl Stage {
    /// Undoes the real time that has passed, and replaces the randomness: every pause has its maximum length, and no two
    /// deliveries are due at the same time.
    pub(super) async fn hold_the_clock(&mut self, model: &Model) {
        let database = &self.app.database;
        let elapsed = i64::try_from(self.still_since.elapsed().as_micros()).unwrap();
        self.still_since = Instant::now();
        database.advance_clock(-elapsed).await;
        let now = database.number("select {now_micros}").await;
        let time = |at: i64| now + (at - model.now - 1) * 1_000_000;
        let rows = self.names.iter().filter_map(|(id, name)| {
            let mut deliveries = model.deliveries.iter();
            let (_, delivery) = deliveries.find(|(known, _)| shown(**known) == *name)?;
            let turn = time(delivery.turn.0) + i64::from(delivery.turn.1);
            (!delivery.state.is_end()).then(|| format!("[\"{id}\",{turn}]"))
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        let turn = database.time_of("(given.value ->> 1)");
        let statement = format!(
            "update {{campanile}}notification_deliveries as delivery set \
             run_at = case when state = 'pending' then {turn} else run_at end, \
             lease_until = case when state = 'running' then {turn} end \
             from {{rows('[{rows}]')}} as given where delivery.id = {{uuid(given.value ->> 0)}}"
        );
        database.execute(&statement).await;
        for (channel, at) in &model.pauses {
            if let Some(at) = at {
                let (at, channel) = (database.time_of(&time(*at).to_string()), channel.name());
                let statement = format!(
                    "update {{campanile}}notification_channel_pauses set probe_at = {at} where channel = '{channel}'"
                );
                database.execute(&statement).await;
            }
        }
    }

    /// Delays the waiting deliveries on the other channels by this many seconds.
    pub(super) async fn set_aside_all_but(&self, channel: Channel, seconds: i64) {
        let (database, channel) = (&self.app.database, channel.name());
        let by = database.span_of(seconds * 1_000_000);
        let tables = [
            ("notification_deliveries", ["run_at", "lease_until"]),
            ("notification_channel_pauses", ["probe_at", "paused_at"]),
        ];
        let statements = tables.map(|(table, times)| {
            let times = times
                .map(|time| format!("{time} = {time} + {by}"))
                .join(", ");
            format!("update {{campanile}}{table} set {times} where channel <> '{channel}'")
        });
        database.execute(&statements.join("; ")).await;
    }
}
