//! Where an event stands does not matter, nor what else has the names of the standard library there.
#![deny(warnings)]
#![forbid(unsafe_code)]

mod events {
    pub mod hostile {
        #![allow(dead_code, non_camel_case_types)]

        pub struct Option;
        pub struct Result;
        pub struct Some;
        mod core {}
        mod std {}
        mod serde {}
        mod campanile {}

        /// An invoice is overdue.
        #[::campanile::notifiable_event(
            "billing.invoice.past_due",
            category = "billing",
            channels(::campanile::channel::INBOX(title = "{{ number }} is overdue", body = "Please pay.")),
            critical = ::campanile::channel::INBOX,
        )]
        pub struct PastDue {
            pub number: u64,
        }
    }
}

use campanile::channel::{self, PUSH};
use campanile::event::NotifiableEvent;

fn main() {
    /// Said inside a function.
    #[campanile::notifiable_event(
        "dev.function.called",
        category = "dev",
        channels(PUSH(title = "{{ name }}", body = "{{ name }}"), channel::INBOX(title = "{{ name }}", body = "..")),
        critical = channel::PUSH,
    )]
    struct Called {
        name: String,
    }

    assert_eq!(events::hostile::PastDue::DECLARATION.fields, ["number"]);
    assert_eq!(Called::DECLARATION.critical, Some(&PUSH));
    let _ = Called {
        name: "main".to_owned(),
    }
    .about("f_1")
    .to(["u_1"]);

    use campanile::__private::inventory;
    let mut registered: Vec<&str> = inventory::iter::<campanile::event::RegisteredEvent>()
        .map(|event| event.0.event_type)
        .collect();
    registered.sort_unstable();
    assert_eq!(
        registered,
        ["billing.invoice.past_due", "dev.function.called"]
    );
}
