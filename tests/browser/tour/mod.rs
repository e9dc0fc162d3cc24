//! The inspector's page: the whole story, with the keyboard alone, on a narrow screen, with a token, and with more than a page
//! of notifications.

mod stage;
mod story;
mod keyboard;
mod narrow;
mod token;
mod many;
