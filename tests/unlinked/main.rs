//! A separate binary, because the registry contains what a binary links: it links the inbox but not push, and declares two events
//! of one type. All its problems are reported at once, before the first notification.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use campanile::channel::{INBOX, PUSH};
use campanile::{Dispatcher, Registry, notifiable_event};
use campanile_inbox as _;

/// Goes to a channel that nobody links.
#[notifiable_event(
    "tower.bell.rung",
    category = "tower",
    channels(INBOX(title = "a", body = "b"), PUSH(title = "a", body = "b"))
)]
#[derive(Debug)]
pub(crate) struct Rung;

mod elsewhere {
    use super::{INBOX, notifiable_event};

    /// Has the type of another event.
    #[notifiable_event(
        "tower.bell.rung",
        category = "tower",
        channels(INBOX(title = "a", body = "b"))
    )]
    #[derive(Debug)]
    pub(crate) struct RungAgain;
}

#[test]
fn start_up_lists_all_problems_with_their_places_and_the_line_to_add() {
    let error = Registry::collect().unwrap_err();
    let [unlinked, twice] = error.problems() else {
        panic!("{error}");
    };
    assert!(
        unlinked.contains("`use campanile_push as _;`"),
        "{unlinked}"
    );
    assert!(is_at(unlinked, 0), "{unlinked}");
    let same_type = "two events have the type `tower.bell.rung`";
    assert!(twice.contains(same_type), "{twice}");
    assert!(is_at(twice, 0) && is_at(twice, 1), "{twice}");
}

#[test]
#[should_panic(expected = "use campanile_push as _;")]
fn the_one_line_test_of_a_host_fails_with_the_same_message() {
    campanile::assert_registry!();
}

#[test]
fn a_dispatcher_is_not_built() {
    let error = Dispatcher::builder().build().unwrap_err();
    // These problems, and the missing database.
    assert_eq!(error.problems().len(), 3, "{error}");
}

/// Whether a message contains the position of this file's nth attribute, or of the doc comment right above it.
fn is_at(message: &str, nth: usize) -> bool {
    let source = include_str!("main.rs");
    let attributes = source
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim() == "#[notifiable_event(");
    let line = 1 + attributes.map(|(index, _)| index).nth(nth).unwrap();
    [line - 1, line]
        .iter()
        .any(|line| message.contains(&format!("unlinked/main.rs:{line} (")))
}
