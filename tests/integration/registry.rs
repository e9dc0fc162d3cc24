//! The registry lists every notification that the app can send, and refuses invalid declarations at start-up.

use campanile::channel::{ChannelDeclaration, LocalChannel, Part, RegisteredChannel, Transport};
use campanile::{Dispatcher, NotifiableEvent as _, Registry};
use campanile_tests::events::{PastDue, PigeonExpected, RoleChanged};
use campanile_tests::{App, both_databases};
use serde_json::json;

const NOWHERE: LocalChannel = LocalChannel {
    postgres: "",
    sqlite: "",
    forget: &[],
    prune: &[],
    prune_unread: &[],
};

fn linked() -> Vec<RegisteredChannel> {
    Registry::collect().unwrap().channels().copied().collect()
}

#[test]
fn this_binary_passes_its_own_check() {
    campanile::assert_registry!();
}

#[test]
fn the_registry_is_sorted_and_shows_everything_as_json() {
    let registry = Registry::collect().unwrap();
    let types: Vec<_> = registry.events().map(|event| event.event_type).collect();
    assert!(types.is_sorted());
    let json = registry.to_json();
    let entry = json
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["eventType"] == "org.billing.past_due")
        .unwrap();
    assert!(
        entry["declaredAt"]["file"]
            .as_str()
            .unwrap()
            .ends_with("src/events.rs")
    );
    assert!(entry["declaredAt"]["line"].as_u64().unwrap() > 10);
    let mut entry = entry.clone();
    entry.as_object_mut().unwrap().remove("declaredAt");
    assert_eq!(
        entry,
        json!({
            "eventType": "org.billing.past_due",
            "description": "A payment is overdue.",
            "category": "billing",
            "aliases": [],
            "channels": ["inbox", "email"],
            "criticalChannel": "email",
            "dedup": { "windowSeconds": 60.0, "by": ["subject"], "until": "elapsed" },
            "expiresAfterSeconds": null,
            "fields": ["amount", "due", "pay_url"],
            "secrets": [],
        })
    );
}

#[test]
fn a_channel_that_is_not_linked_is_reported_with_the_line_to_add() {
    let channels: Vec<_> = linked()
        .into_iter()
        .filter(|channel| channel.declaration.name() == "inbox")
        .collect();
    let error = Registry::new(
        [PigeonExpected::DECLARATION, PastDue::DECLARATION],
        channels,
    )
    .unwrap_err();
    let problems = error.problems();
    assert_eq!(problems.len(), 2, "{error}");
    for (problem, line) in problems
        .iter()
        .zip(["use campanile_pigeon as _;", "use campanile_email as _;"])
    {
        assert!(
            problem.contains(line) && problem.contains("src/events.rs:"),
            "{problem}"
        );
    }
}

#[test]
fn all_problems_are_listed_at_once_with_all_their_places() {
    const OTHER: ChannelDeclaration =
        ChannelDeclaration::new("inbox", "other_crate", &[Part::line("title", 9)]);
    let other = RegisteredChannel {
        declaration: &OTHER,
        transport: Transport::Local(NOWHERE),
        location: campanile::here!(),
    };
    let twin: &'static campanile::event::EventDeclaration =
        Box::leak(Box::new(campanile::event::EventDeclaration {
            location: campanile::here!(),
            aliases: &["org.member.changed_role"],
            ..copy(RoleChanged::DECLARATION)
        }));
    let error = Registry::new(
        [RoleChanged::DECLARATION, twin],
        linked().into_iter().chain([other]),
    )
    .unwrap_err();
    let text = error.to_string();
    for part in [
        "3 problems",
        "two channels are named `inbox`",
        "two events have the type `org.member.role_changed`",
        "the alias `org.member.changed_role`",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // Both places of each.
    assert!(text.matches("registry.rs:").count() >= 3, "{text}");
    assert!(
        text.contains("src/events.rs:") && text.contains("inbox/src/lib.rs:"),
        "{text}"
    );
}

/// A declaration is not `Clone`, because only tests need a copy.
fn copy(event: &'static campanile::event::EventDeclaration) -> campanile::event::EventDeclaration {
    campanile::event::EventDeclaration {
        event_type: event.event_type,
        description: event.description,
        category: event.category,
        aliases: event.aliases,
        dedup: event.dedup,
        expires_after: event.expires_after,
        channels: event.channels,
        critical: event.critical,
        fields: event.fields,
        secrets: event.secrets,
        example: event.example,
        location: event.location,
        read: event.read,
    }
}

#[test]
fn a_declaration_made_by_hand_is_checked_like_one_by_the_attribute() {
    use campanile::event::{ChannelUse, Dedup, EventDeclaration, Template};
    let bad: &'static EventDeclaration = Box::leak(Box::new(EventDeclaration {
        event_type: "Not.a_type",
        category: "Bad Category",
        dedup: Dedup {
            window: std::time::Duration::from_hours(400 * 24),
            by: &["no_field"],
            until: campanile::event::Until::Elapsed,
        },
        expires_after: Some(std::time::Duration::from_hours(367 * 24)),
        channels: Box::leak(Box::new([ChannelUse {
            channel: &campanile::channel::INBOX,
            templates: Box::leak(Box::new([
                Template {
                    part: "titel",
                    source: "x",
                },
                Template {
                    part: "body",
                    source: "{{ unclosed",
                },
            ])),
        }])),
        critical: Some(&campanile::channel::EMAIL),
        ..copy(RoleChanged::DECLARATION)
    }));
    let at_once: &'static EventDeclaration = Box::leak(Box::new(EventDeclaration {
        expires_after: Some(std::time::Duration::ZERO),
        ..copy(PastDue::DECLARATION)
    }));
    let text = Registry::new([bad, at_once], linked())
        .unwrap_err()
        .to_string();
    for part in [
        "is not of the form `domain.entity.action`",
        "`Bad Category`",
        "dedup window is longer than a year",
        "expires after more than a year",
        "expires at once",
        "names `no_field`, which is not a field",
        "needs a template for `title`",
        "no part `titel`; did you mean `title`?",
        "critical channel `email` is not among its channels",
        "the template for `body` on channel `inbox` does not parse",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_dispatcher_without_a_database_says_how_to_set_one() {
    let error = Dispatcher::builder().build().unwrap_err();
    assert!(error.to_string().contains(".database(..)"), "{error}");
}

both_databases! {
    async fn a_builder_lists_the_problems_of_registry_channels_and_settings_together(app: App) {
        const TELEPATHY: ChannelDeclaration = ChannelDeclaration::new("telepathy", "campanile_telepathy", &[]);
        let builder = Dispatcher::builder().database(app.dispatcher.database().clone());
        let error = builder.require([&TELEPATHY]).build().unwrap_err();
        assert_eq!(error.problems().len(), 2, "{error}");
        assert!(error.to_string().contains("CAMPANILE_EMAIL_FROM"), "{error}");
        // A `main` that returns it prints it in readable form.
        assert_eq!(format!("{error:?}"), error.to_string());
    }

    async fn a_required_channel_that_is_not_linked_is_a_start_up_error(app: App) {
        const TELEPATHY: ChannelDeclaration = ChannelDeclaration::new("telepathy", "campanile_telepathy", &[]);
        let error = app.builder().require([&TELEPATHY, &campanile::channel::EMAIL]).build().unwrap_err();
        assert!(error.to_string().contains("use campanile_telepathy as _;"), "{error}");
        assert_eq!(error.problems().len(), 1);
    }

    async fn a_channel_without_its_settings_is_a_start_up_error_that_names_both_ways(app: App) {
        let error = Dispatcher::builder().database(app.dispatcher.database().clone()).build().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("EmailSettings") && text.contains("CAMPANILE_EMAIL_FROM"), "{text}");
    }
}

#[test]
fn a_template_that_fails_on_the_events_example_is_a_problem_at_start_up() {
    use campanile::event::{ChannelUse, EventDeclaration, Template};
    let subject = |source: &'static str| {
        let html = Template {
            part: "html",
            source: "<p>{{ device.name }}</p>",
        };
        let subject = Template {
            part: "subject",
            source,
        };
        let declaration: &'static EventDeclaration = Box::leak(Box::new(EventDeclaration {
            channels: Box::leak(Box::new([ChannelUse {
                channel: &campanile::channel::EMAIL,
                templates: Box::leak(Box::new([subject, html])),
            }])),
            ..copy(campanile_tests::events::PasswordChanged::DECLARATION)
        }));
        Registry::new([declaration], linked())
    };
    assert!(subject("From {{ device.name }}").is_ok());
    let error = subject("From {{ device.nam }}").unwrap_err();
    let [problem] = error.problems() else {
        panic!("{error}")
    };
    assert!(
        problem.contains("event `auth.password.changed`"),
        "{problem}"
    );
    assert!(
        problem.contains("with its example, on channel `email`, the part `subject` cannot be rendered: undefined value"),
        "{problem}"
    );
}
