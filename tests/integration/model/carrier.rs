//! The **carrier**: a mailer, a push service and pigeons in one. It answers as configured, hangs when its worker should hang, and
//! keeps a ledger of what it accepted.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use campanile::async_trait;
use campanile::channel::Verdict;
use campanile_email::{Answer, Capabilities, Mail, Mailer};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_push::{Message, Provider};

use super::command::BRISK;
use super::delivery::Word;
use super::event::Channel;

/// The state that all carriers share.
#[derive(Debug, Default)]
pub(super) struct Office {
    book: Mutex<Book>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Book {
    says: BTreeMap<Channel, Word>,
    /// How many calls of each hanging worker arrived, on each channel, and how many of them may continue.
    came: BTreeMap<(usize, Channel), usize>,
    may_go: BTreeMap<(usize, Channel), usize>,
    /// Whether the test is over, and all calls may continue.
    is_over: bool,
    /// How often each key was accepted.
    taken: BTreeMap<String, u32>,
    /// The first content under each key.
    bodies: BTreeMap<String, String>,
    /// Keys that came with two bodies.
    changed: Vec<String>,
}

impl Office {
    /// Lets all calls continue, and accepts them.
    pub(super) fn close(&self) {
        let mut book = self.book();
        book.is_over = true;
        book.says.clear();
        drop(book);
        self.changed.notify_all();
    }

    /// Starts a new ledger.
    pub(super) fn open(&self) {
        *self.book() = Book::default();
    }

    pub(super) fn say(&self, channel: Channel, word: Word) {
        self.book().says.insert(channel, word);
    }

    /// Lets this many more calls of a worker continue, in the order in which they arrived.
    pub(super) fn let_go(&self, worker: usize, channel: Channel, calls: usize) {
        *self.book().may_go.entry((worker, channel)).or_default() += calls;
        self.changed.notify_all();
    }

    /// How many calls of this worker arrived.
    pub(super) fn came(&self, worker: usize, channel: Channel) -> usize {
        let came = self.book().came.get(&(worker, channel)).copied();
        came.unwrap_or_default()
    }

    /// How often each delivery was accepted, by its id.
    pub(super) fn taken(&self) -> BTreeMap<String, u32> {
        let book = self.book();
        assert!(
            book.changed.is_empty(),
            "keys with two bodies: {:?}",
            book.changed
        );
        book.taken.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the worker may continue, and returns the answer for that moment. It may block: a channel has its own thread.
    fn answer(&self, worker: usize, channel: Channel) -> Word {
        let mut book = self.book();
        if worker != BRISK {
            let came = book.came.entry((worker, channel)).or_default();
            *came += 1;
            let number = *came;
            let stays = |book: &mut Book| {
                let may_go = book.may_go.get(&(worker, channel)).copied();
                !book.is_over && may_go.unwrap_or_default() < number
            };
            let waited = self.changed.wait_while(book, stays);
            book = waited.unwrap_or_else(PoisonError::into_inner);
        }
        book.says.get(&channel).copied().unwrap_or(Word::Accepted)
    }

    /// Records the content and its key, and returns the verdict.
    fn judge(&self, key: &str, body: &str, word: Word) -> Verdict {
        let mut book = self.book();
        let first = book.bodies.entry(key.to_owned());
        if first.or_insert_with(|| body.to_owned()) != body {
            book.changed.push(key.to_owned());
        }
        match word {
            Word::Retry => Verdict::retry("busy"),
            Word::Permanent => Verdict::permanent("refused"),
            Word::Unknown => Verdict::unknown("no answer"),
            Word::Misconfigured => Verdict::misconfigured("no licence"),
            // No message: a panic hook would print one for each.
            Word::Panic => {
                drop(book);
                std::panic::resume_unwind(Box::new("the carrier fell"))
            }
            _ => {
                let id = key.split('_').nth(1).unwrap_or(key);
                *book.taken.entry(id.to_owned()).or_default() += 1;
                Verdict::accepted()
            }
        }
    }
}

/// One worker's connection to the carrier.
#[derive(Debug, Clone)]
pub(super) struct Carrier {
    pub(super) office: Arc<Office>,
    pub(super) worker: usize,
}

impl Carrier {
    pub(super) fn pigeons(&self) -> PigeonSettings {
        let carrier = self.clone();
        PigeonSettings::new(move |delivery| {
            let word = carrier.office.answer(carrier.worker, Channel::Pigeon);
            let (key, body) = (delivery.idempotency_key(), format!("{:?}", delivery.parts));
            Flight::Ends(carrier.office.judge(&key, &body, word))
        })
    }
}

#[async_trait]
impl Mailer for Carrier {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        let word = self.office.answer(self.worker, Channel::Email);
        let judged = mails.iter().map(|mail| {
            let body = format!("{} {} {}", mail.subject, mail.html, mail.text);
            self.office.judge(&mail.idempotency_key, &body, word).into()
        });
        judged.collect()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

#[async_trait]
impl Provider for Carrier {
    async fn push(&self, message: &Message) -> campanile_push::Answer {
        let word = self.office.answer(self.worker, Channel::Push);
        let body = format!("{} {}", message.title, message.body);
        let verdict = self.office.judge(&message.idempotency_key, &body, word);
        campanile_push::Answer::Failed(verdict)
    }
}
