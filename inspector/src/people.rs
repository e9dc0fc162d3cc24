//! The **people** of the tour and their addresses. Other ids can be notified too; they just have no address.

use campanile::channel::{EMAIL, PUSH};
use campanile::operate::{AddressTable, AddressTableError};
use serde::Serialize;

/// A recipient of the tour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Person {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    #[serde(skip)]
    pub(crate) email: &'static str,
    #[serde(skip)]
    push_tokens: &'static [&'static str],
}

/// Where the events of the tour happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Organization {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
}

/// The domain of the people's mail addresses.
pub(crate) const DOMAIN: &str = "@tower.example";

/// The first of the people, and the recipient of the examples.
pub(crate) const ADA: Person = Person {
    id: "u_ada",
    name: "Ada Okafor",
    email: "ada@tower.example",
    push_tokens: &["phone-of-ada", "tablet-of-ada"],
};

/// Two people with push tokens, two without, to show the outcome of a channel without an address.
pub(crate) const PEOPLE: [Person; 4] = [
    ADA,
    Person {
        id: "u_ben",
        name: "Ben Lindqvist",
        email: "ben@tower.example",
        push_tokens: &["phone-of-ben"],
    },
    Person {
        id: "u_chloe",
        name: "Chloé Marchetti",
        email: "chloe@tower.example",
        push_tokens: &[],
    },
    Person {
        id: "u_dev",
        name: "Dev Patel",
        email: "dev@tower.example",
        push_tokens: &[],
    },
];

/// The one organization.
pub(crate) const ORGANIZATION: Organization = Organization {
    id: "org_tower",
    name: "Tower Works",
};

/// The person with this id.
pub(crate) fn find(id: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.id == id)
}

/// Writes everybody's addresses; a repeated start changes nothing.
pub(crate) async fn seed(book: &AddressTable) -> Result<(), AddressTableError> {
    for person in &PEOPLE {
        book.add(person.id, EMAIL.name(), person.email).await?;
        for token in person.push_tokens {
            book.add(person.id, PUSH.name(), token).await?;
        }
    }
    Ok(())
}
