//! A **fire**: the admitted recipients, the repeats, those who have muted everything, and the report whose counts add up.

use std::collections::BTreeSet;

use super::command::{BRISK, Entry};
use super::delivery::Delivery;
use super::event::{Channel, Event, USERS};
use super::reference::{Model, Name, Window};
use super::round::{Probe, Share};

/// The counts of a report, except those that follow from its lines.
#[derive(Debug, Default)]
struct Recipients {
    distinct: usize,
    admitted: usize,
    deduped: usize,
    fully_suppressed: usize,
}

impl Model {
    /// Fires, and returns the report: a line for each recipient and channel, and the counts.
    pub(super) fn fire(
        &mut self,
        entry: Entry,
        event: Event,
        subject: usize,
        recipients: &[usize],
    ) -> Vec<String> {
        self.fires += 1;
        let fire = self.fires;
        let distinct: BTreeSet<usize> = recipients.iter().copied().collect();
        let mut counts = Recipients {
            distinct: distinct.len(),
            ..Recipients::default()
        };
        let (mut lines, mut begun) = (Vec::new(), Vec::new());
        for user in distinct {
            let channels = event.channels().iter().copied();
            let (muted, open): (Vec<_>, Vec<_>) =
                channels.partition(|channel| self.is_muted(user, event, *channel));
            lines.extend(
                muted
                    .iter()
                    .map(|channel| line(user, *channel, "suppressedByPrefs")),
            );
            if open.is_empty() {
                counts.fully_suppressed += 1;
            } else if !self.is_admitted(event, subject, user, open.contains(&Channel::Inbox)) {
                counts.deduped += 1;
                lines.extend(open.iter().map(|channel| line(user, *channel, "deduped")));
            } else {
                counts.admitted += 1;
                for channel in &open {
                    if *channel == Channel::Inbox {
                        self.inbox.push((user, event, subject));
                        lines.push(line(user, *channel, "sent"));
                        continue;
                    }
                    let name = (fire, user, *channel);
                    let turn = self.turn(self.now);
                    let delivery = Delivery::new(event, *channel, turn);
                    self.deliveries.insert(name, delivery);
                    if entry == Entry::Dispatch && !self.pauses.contains_key(channel) {
                        begun.push(name);
                    } else {
                        lines.push(line(user, *channel, "queued"));
                    }
                }
            }
        }
        lines.extend(self.first_attempts(&begun));
        lines.sort();
        lines.push(counts.add_up(&lines, recipients.len()));
        lines
    }

    /// Opens the window, unless it is open.
    fn is_admitted(&mut self, event: Event, subject: usize, user: usize, has_local: bool) -> bool {
        let Some(window) = event.window() else {
            return true;
        };
        let key = (event.event_type(), event.dedup_key(subject), user);
        if self
            .windows
            .get(&key)
            .is_some_and(|window| window.ends_at > self.now)
        {
            return false;
        }
        let opened = Window {
            ends_at: self.now + window,
            fire: self.fires,
            has_local,
        };
        self.windows.insert(key, opened);
        true
    }

    fn first_attempts(&mut self, begun: &[Name]) -> Vec<String> {
        let mut lines = Vec::new();
        for name in begun {
            let turn = self.turn(self.now);
            let now = self.now;
            if let Some(delivery) = self.deliveries.get_mut(name) {
                delivery.claim(BRISK, now, turn);
            }
        }
        // Channel by channel: a misconfigured one pauses after its batch.
        for channel in super::event::REMOTE {
            let names = begun.iter().filter(|name| name.2 == channel);
            let tries = names.map(|name| self.try_of(*name)).collect();
            let share = Share::new(channel, BRISK, Probe::No, tries);
            for (name, outcome) in self.conclude(&share) {
                lines.push(line(name.1, name.2, outcome));
            }
        }
        lines
    }
}

fn line(user: usize, channel: Channel, outcome: &str) -> String {
    format!("{} {} {outcome}", USERS[user], channel.name())
}

impl Recipients {
    fn add_up(&self, lines: &[String], named: usize) -> String {
        let count = |word: &str| {
            let words = lines.iter().filter_map(|line| line.split(' ').nth(2));
            words.filter(|said| *said == word).count()
        };
        format!(
            "sent {} queued {} failed {} suppressed {} unreachable {} addresses {} \
             recipients {} admitted {} deduped {} fully {} repeated {}",
            count("sent"),
            count("queued"),
            count("failed"),
            count("suppressedByPrefs"),
            count("unreachable"),
            count("suppressedAddress"),
            self.distinct,
            self.admitted,
            self.deduped,
            self.fully_suppressed,
            named - self.distinct,
        )
    }
}
