//! The **reference model**: the guarantees as a state machine without a database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use campanile::preferences::Choice;

use super::command::{BRISK, Command, TICK, is_reachable};
use super::delivery::{Delivery, State, Turn, Word};
use super::event::{Channel, Event, REMOTE, SUBJECTS, USERS};
use super::round::Share;

/// A delivery: the number of its dispatch, the recipient and the channel.
pub(super) type Name = (usize, usize, Channel);

/// A window that was opened.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) ends_at: i64,
    /// The number of the dispatch that opened it.
    pub(super) fire: usize,
    /// Whether its notification is in an inbox, or only on remote channels.
    pub(super) has_local: bool,
}

/// The event type, the dedup key and the recipient.
pub(super) type Key = (&'static str, String, usize);

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) now: i64,
    turns: u32,
    pub(super) fires: usize,
    pub(super) off: BTreeSet<(usize, &'static str, Channel)>,
    pub(super) addresses: BTreeSet<(usize, Channel)>,
    pub(super) suppressed: BTreeSet<usize>,
    pub(super) says: BTreeMap<Channel, Word>,
    /// Until when, if a probe may end it.
    pub(super) pauses: BTreeMap<Channel, Option<i64>>,
    pub(super) windows: BTreeMap<Key, Window>,
    pub(super) inbox: Vec<(usize, Event, usize)>,
    pub(super) deliveries: BTreeMap<Name, Delivery>,
    /// The deliveries that hanging workers hold, round by round.
    pub(super) held: BTreeMap<usize, VecDeque<Vec<Share>>>,
    /// How often the providers accepted each.
    pub(super) accepted: BTreeMap<Name, u32>,
}

impl Model {
    pub(super) fn new() -> Self {
        let mut model = Self::default();
        for user in 0..USERS.len() {
            model.move_in(user);
        }
        model
    }

    /// Applies a command, and returns its answer.
    pub(super) fn apply(&mut self, command: &Command) -> Vec<String> {
        let mut answer = Vec::new();
        match command {
            Command::Fire {
                entry,
                event,
                subject,
                recipients,
            } => answer = self.fire(*entry, *event, *subject, recipients),
            Command::Choose {
                user,
                cell: (category, channel),
                choice,
            } => drop(match choice {
                Choice::Off => self.off.insert((*user, category, *channel)),
                Choice::On => self.off.remove(&(*user, *category, *channel)),
            }),
            Command::Suppress(user) => drop(self.suppressed.insert(*user)),
            Command::Unsuppress(user) => drop(self.suppressed.remove(user)),
            Command::Move(user) => self.move_in(*user),
            Command::Forget(user) => self.forget(*user),
            Command::Say(channel, word) => drop(self.says.insert(*channel, *word)),
            Command::Deliver(at_most) => answer.push(self.deliver_and_tell(*at_most, BRISK)),
            Command::Hang(worker) => drop(self.deliver_and_tell(1_000, *worker)),
            Command::LetGo(worker) => {
                let rounds = self.held.entry(*worker).or_default();
                for share in rounds.pop_front().unwrap_or_default() {
                    self.conclude(&share);
                }
            }
            Command::Advance(ticks) => self.now += ticks * TICK,
            Command::Retry(pick) => answer.extend(self.retry(*pick)),
            Command::Cancel(pick) => answer.extend(self.cancel(*pick)),
            Command::Redrive(channel) => answer.push(self.redrive(*channel)),
            Command::Pause(channel) => drop(self.pauses.insert(*channel, None)),
            Command::Resume(channel) => drop(self.pauses.remove(channel)),
        }
        self.release_windows();
        answer
    }

    fn deliver_and_tell(&mut self, at_most: usize, worker: usize) -> String {
        let (claimed, sent) = self.deliver(at_most, worker);
        format!("claimed {claimed} sent {sent}")
    }

    /// How many calls of a channel hang in the last round of a worker.
    pub(super) fn hanging(&self, worker: usize, channel: Channel) -> usize {
        let round = self.held.get(&worker).and_then(VecDeque::back);
        let shares = round.into_iter().flatten();
        let of_channel = shares.filter(|share| share.channel == channel);
        of_channel.map(Share::calls).sum()
    }

    /// The delivery with this number, if there is one.
    pub(super) fn pick(&self, number: usize) -> Option<Name> {
        let names = self.deliveries.keys();
        names.copied().nth(number % self.deliveries.len().max(1))
    }

    /// A turn after all others of that second.
    pub(super) fn turn(&mut self, at: i64) -> Turn {
        self.turns += 1;
        (at, self.turns)
    }

    pub(super) fn is_muted(&self, user: usize, event: Event, channel: Channel) -> bool {
        !event.is_critical(channel) && self.off.contains(&(user, event.category(), channel))
    }

    /// The outcome of a delivery that is known before its channel is called.
    pub(super) fn known_before(&self, (_, user, channel): Name) -> Option<Word> {
        if !self.addresses.contains(&(user, channel)) {
            Some(Word::Unreachable)
        } else if channel == Channel::Email && self.suppressed.contains(&user) {
            Some(Word::Suppressed)
        } else {
            None
        }
    }

    /// A window stays as long as its notification has reached, may have reached, or may still reach its recipient; and where it
    /// is the person who cannot be reached, and not the system that failed.
    fn release_windows(&mut self) {
        let deliveries = &self.deliveries;
        self.windows.retain(|(_, _, user), window| {
            let remote = REMOTE.iter();
            let remote =
                remote.filter_map(|channel| deliveries.get(&(window.fire, *user, *channel)));
            let remote: Vec<_> = remote.collect();
            window.has_local
                || remote
                    .iter()
                    .any(|delivery| delivery.maybe_sent || !delivery.state.reached_nobody())
                || !remote.iter().any(|delivery| delivery.state.is_failure())
        });
    }

    fn move_in(&mut self, user: usize) {
        let channels = REMOTE.into_iter();
        let reachable = channels.filter(|channel| is_reachable(user, *channel));
        self.addresses
            .extend(reachable.map(|channel| (user, channel)));
    }

    fn forget(&mut self, user: usize) {
        // Only an address that is known to be the user's can be removed from the list.
        if self.addresses.contains(&(user, Channel::Email)) {
            self.suppressed.remove(&user);
        }
        self.addresses.retain(|address| address.0 != user);
        self.off.retain(|cell| cell.0 != user);
        self.windows.retain(|key, _| key.2 != user);
        self.inbox.retain(|item| item.0 != user);
        self.deliveries.retain(|name, _| name.1 != user);
    }

    fn retry(&mut self, pick: usize) -> Option<String> {
        let name = self.pick(pick)?;
        let turn = self.turn(self.now);
        let delivery = self.deliveries.get_mut(&name)?;
        Some(match delivery.state {
            State::Running | State::Delivered => refused(delivery.state),
            _ => {
                delivery.retry(turn);
                "done".to_owned()
            }
        })
    }

    fn cancel(&mut self, pick: usize) -> Option<String> {
        let delivery = self.deliveries.get_mut(&self.pick(pick)?)?;
        Some(match delivery.state {
            State::Pending => {
                delivery.state = State::Cancelled;
                "done".to_owned()
            }
            state => refused(state),
        })
    }

    fn redrive(&mut self, channel: Option<Channel>) -> String {
        let dead = self.deliveries.iter().filter(|(name, delivery)| {
            delivery.state == State::Dead && channel.is_none_or(|channel| channel == name.2)
        });
        let dead: Vec<Name> = dead.map(|(name, _)| *name).collect();
        for name in &dead {
            let turn = self.turn(self.now);
            if let Some(delivery) = self.deliveries.get_mut(name) {
                delivery.retry(turn);
            }
        }
        format!("redriven {}", dead.len())
    }

    /// The full state, one line for each item.
    pub(super) fn picture(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((fire, user, channel), delivery) in &self.deliveries {
            let name = format!("#{fire} {} {}", USERS[*user], channel.name());
            let (maybe, state) = (
                if delivery.maybe_sent { "maybe" } else { "-" },
                delivery.state.name(),
            );
            let (attempts, uncounted) = (delivery.attempts, delivery.uncounted);
            lines.push(format!(
                "delivery {name} {state} {attempts} {uncounted} {maybe}"
            ));
            let log = delivery.log.iter();
            lines.extend(log.map(|(attempt, said)| format!("attempt {name} {attempt} {said}")));
        }
        for ((event_type, key, user), window) in &self.windows {
            if window.ends_at > self.now {
                lines.push(format!("window {event_type} {key} {}", USERS[*user]));
            }
        }
        for (user, event, subject) in &self.inbox {
            let (user, event_type) = (USERS[*user], event.event_type());
            lines.push(format!("inbox {user} {event_type} {}", SUBJECTS[*subject]));
        }
        for (channel, probe) in &self.pauses {
            let by = if probe.is_some() {
                "itself"
            } else {
                "operator"
            };
            lines.push(format!("paused {} {by}", channel.name()));
        }
        for ((fire, user, channel), times) in &self.accepted {
            let (user, channel) = (USERS[*user], channel.name());
            lines.push(format!("accepted #{fire} {user} {channel} {times}"));
        }
        lines.sort();
        lines
    }
}

fn refused(state: State) -> String {
    format!("refused {}", state.name())
}
