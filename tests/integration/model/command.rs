//! A **command**: the next action of a caller, a user, a provider, a worker, an operator or the clock.

use campanile::preferences::Choice;
use proptest::prelude::*;
use proptest::sample::select;

use super::delivery::Word;
use super::event::{Channel, Event, REMOTE, SUBJECTS, USERS};

/// Steps of the clock, in seconds. Sums of them come no closer than five seconds to the end of any window, pause, lease or
/// horizon, so that a slow machine changes nothing.
pub(super) const TICK: i64 = 35;

/// A worker that answers at once.
pub(super) const BRISK: usize = 0;

/// How many workers there are: the brisk one, and those whose calls hang until they are released.
pub(super) const WORKERS: usize = 3;

#[derive(Debug, Clone)]
pub(super) enum Command {
    /// A caller fires an event.
    Fire {
        entry: Entry,
        event: Event,
        subject: usize,
        recipients: Vec<usize>,
    },
    /// A user changes a cell.
    Choose {
        user: usize,
        cell: (&'static str, Channel),
        choice: Choice,
    },
    /// A user's mail address must not be mailed.
    Suppress(usize),
    Unsuppress(usize),
    /// A user can be reached (again) on every channel.
    Move(usize),
    Forget(usize),
    /// How a provider answers from now on.
    Say(Channel, Word),
    /// A worker runs a round.
    Deliver(usize),
    /// A worker runs a round and hangs in it, perhaps concurrently with other rounds of its own. If it is never released, it has
    /// crashed.
    Hang(usize),
    /// A hanging worker continues in the first of its rounds, in time or too late.
    LetGo(usize),
    /// This many ticks pass.
    Advance(i64),
    /// An operator's action on the delivery with this number.
    Retry(usize),
    Cancel(usize),
    Redrive(Option<Channel>),
    Pause(Channel),
    Resume(Channel),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Dispatch,
    Enqueue,
}

/// Where each user can be reached.
pub(super) fn is_reachable(user: usize, channel: Channel) -> bool {
    match channel {
        Channel::Inbox | Channel::Email => true,
        Channel::Pigeon => user < 3,
        Channel::Push => user < 2,
    }
}

pub(super) fn commands() -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec(command(), 1..40)
}

fn command() -> impl Strategy<Value = Command> {
    let user = || 0..USERS.len();
    let remote = || select(REMOTE.to_vec());
    prop_oneof![
        8 => fire(),
        3 => choose(),
        1 => user().prop_map(Command::Suppress),
        1 => user().prop_map(Command::Unsuppress),
        1 => user().prop_map(Command::Move),
        1 => user().prop_map(Command::Forget),
        4 => say(),
        5 => (1..9_usize).prop_map(Command::Deliver),
        4 => (1..WORKERS).prop_map(Command::Hang),
        3 => (1..WORKERS).prop_map(Command::LetGo),
        5 => select(vec![1, 2, 9, 9, 9, 30, 110]).prop_map(Command::Advance),
        2 => (0..64_usize).prop_map(Command::Retry),
        2 => (0..64_usize).prop_map(Command::Cancel),
        1 => prop::option::of(remote()).prop_map(Command::Redrive),
        1 => remote().prop_map(Command::Pause),
        2 => remote().prop_map(Command::Resume),
    ]
}

fn fire() -> impl Strategy<Value = Command> {
    (
        select(vec![Entry::Enqueue, Entry::Enqueue, Entry::Dispatch]),
        select(Event::ALL.to_vec()),
        0..SUBJECTS.len(),
        prop::collection::vec(0..USERS.len(), 0..5),
    )
        .prop_map(|(entry, event, subject, recipients)| Command::Fire {
            entry,
            event,
            subject,
            recipients,
        })
}

fn choose() -> impl Strategy<Value = Command> {
    let cells = vec![
        ("team", Channel::Inbox),
        ("team", Channel::Email),
        ("billing", Channel::Inbox),
        ("security", Channel::Push),
        ("loft", Channel::Inbox),
        ("loft", Channel::Email),
        ("loft", Channel::Pigeon),
        ("loft", Channel::Push),
    ];
    let choices = vec![Choice::Off, Choice::Off, Choice::On];
    (0..USERS.len(), select(cells), select(choices))
        .prop_map(|(user, cell, choice)| Command::Choose { user, cell, choice })
}

fn say() -> impl Strategy<Value = Command> {
    let words = vec![
        Word::Accepted,
        Word::Accepted,
        Word::Retry,
        Word::Permanent,
        Word::Permanent,
        Word::Unknown,
        Word::Misconfigured,
        Word::Panic,
    ];
    (select(REMOTE.to_vec()), select(words)).prop_map(|(channel, word)| match (channel, word) {
        // A mailer that panics fails the whole batch, including suppressed ones: `faults_of_channels` tests that.
        (Channel::Email, Word::Panic) => Command::Say(channel, Word::Retry),
        _ => Command::Say(channel, word),
    })
}
