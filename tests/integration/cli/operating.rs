//! The commands for operators: deliveries, the dead, channels, pruning, migrations.

use campanile::NotifiableEvent as _;
use campanile::channel::Verdict;
use campanile_email::{SuppressionKind, Suppressions};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::{PigeonAlone, Role};
use campanile_tests::{App, TestDatabase, both_databases};
use serde_json::json;

use super::doctor::unmigrated;
use super::{command, ended, ids, run, run_on};

fn alone(subject: &str) -> campanile::Notice {
    PigeonAlone {
        text: "secret words".into(),
    }
    .about(subject)
    .to(["u_ada"])
}

/// Deliveries that fail permanently.
async fn dead(app: &App, subjects: &[&str]) {
    let pigeons =
        PigeonSettings::new(|_| Flight::Ends(Verdict::permanent("no such\u{1b}[31m tower")));
    let hopeless = app.builder().with(pigeons).build().unwrap();
    for subject in subjects {
        let _ = hopeless.dispatch(alone(subject)).await.unwrap();
    }
}

/// A terminal would set its title, clear its screen, and show the end backwards.
const HOSTILE: &str = "x\u{1b}]0;y\u{7}\u{9b}2J\u{7f}\u{202E}z\u{2066}\u{200F}";

fn a_terminal_obeys(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200F}')
}

both_databases! {
    async fn control_sequences_are_never_printed(app: App) {
        app.dispatcher.operations().pause_channel("email", "x").await.unwrap();
        dead(&app, &["a"]).await;
        let id = ids(&app).await.remove(0);
        for column in ["{campanile}notification_channel_pauses set reason", "{campanile}notification_deliveries set user_id",
            "{campanile}notification_deliveries set last_error", "{campanile}notification_attempts set error"] {
            app.database.execute(&format!("update {column} = '{HOSTILE}'")).await;
        }
        for line in ["channels list", "deliveries list", "dead list", &format!("deliveries show {id}"), "doctor",
            "dispatch --type loft.pigeon.alone --to u_ada --explain"] {
            for line in [line.to_owned(), format!("{line} --json")] {
                let ended = run(&app.database, &line).await;
                assert!(!ended.out.chars().chain(ended.err.chars()).any(a_terminal_obeys), "{line}: {ended:?}");
            }
        }
        let channels = run(&app.database, "channels list --json").await.json();
        assert!(channels.to_string().contains(&serde_json::json!(HOSTILE).to_string()), "{channels}");
        let typed = run_on(&app.database.url, &["deliveries", "list", "--channel", HOSTILE]).await;
        assert!(!typed.err.chars().any(a_terminal_obeys), "{typed:?}");
    }

    async fn deliveries_are_listed_by_channel_and_state_page_by_page(app: App) {
        dead(&app, &["a", "b"]).await;
        let _ = app.dispatcher.enqueue(alone("c")).await.unwrap();
        let all = run(&app.database, "deliveries list").await;
        assert_eq!(all.text().lines().count(), 4, "{all:?}");
        assert!(!all.out.contains("secret words"), "content: {all:?}");
        assert!(!all.out.contains('\u{1b}'), "what a terminal obeys: {all:?}");
        let ids = ids(&app).await;
        let page = run(&app.database, "deliveries list --channel pigeon --limit 1").await;
        assert!(page.text().contains(&format!("older ones: --before {}", ids[0])), "{page:?}");
        let next = run(&app.database, &format!("deliveries list --limit 1 --before {} --json", ids[0])).await.json();
        assert_eq!((&next[0]["id"], &next[0]["state"]), (&json!(ids[1]), &json!("dead")));
        let pending = run(&app.database, "deliveries list --state pending --json").await.json();
        assert_eq!(pending.as_array().unwrap().len(), 1);
        assert_eq!(run(&app.database, "deliveries list --channel email").await.text(), "no deliveries\n");
    }

    async fn the_timeline_of_a_delivery_lists_each_attempt(app: App) {
        dead(&app, &["a"]).await;
        let id = ids(&app).await.remove(0);
        let shown = run(&app.database, &format!("deliveries show {id}")).await;
        for words in ["committed", "attempt 1: permanent", "no such\\u{1b}[31m tower", "dead after 1 attempt", " ms "] {
            assert!(shown.text().contains(words), "{words}: {shown:?}");
        }
        let json = run(&app.database, &format!("deliveries show {id} --json")).await.json();
        assert_eq!(json["attempts"][0]["outcome"], "permanent");
        assert_eq!(json["deliveries"][0]["id"], json!(id));
    }

    async fn a_delivery_is_retried_or_cancelled(app: App) {
        dead(&app, &["a"]).await;
        let id = ids(&app).await.remove(0);
        let retried = run(&app.database, &format!("deliveries retry {id} --json")).await.json();
        assert_eq!(retried, json!({ "id": id, "state": "pending" }));
        let cancelled = run(&app.database, &format!("deliveries cancel {id}")).await;
        assert_eq!(cancelled.text(), format!("the delivery {id} is cancelled\n"));
        let refused = run(&app.database, &format!("deliveries cancel {id}")).await;
        assert!(refused.refusal(1).contains("is cancelled, and cannot be cancelled"), "{refused:?}");
    }

    async fn the_dead_are_listed_and_redriven_and_counted(app: App) {
        dead(&app, &["a", "b"]).await;
        let listed = run(&app.database, "dead list --channel pigeon").await;
        assert_eq!(listed.text().lines().count(), 3, "{listed:?}");
        let none = run(&app.database, "dead redrive --channel email --yes --json").await.json();
        assert_eq!(none, json!({ "redriven": 0 }));
        let refused = run(&app.database, "dead redrive").await;
        assert_eq!((refused.code, refused.out.as_str()), (1, "2 deliveries would be due now; nothing is changed without `--yes`\n"));
        let counted = run(&app.database, "dead redrive --dry-run --reason rejected --since 1h --json").await.json();
        assert_eq!(counted, json!({ "dead": 2, "redriven": 0 }));
        let earlier = run(&app.database, "dead redrive --until 1h --yes").await;
        assert_eq!(earlier.text(), "no such delivery is dead\n");
        let both = run(&app.database, "dead redrive --event loft.pigeon.alone --yes").await;
        assert_eq!(both.text(), "2 deliveries are due now; a worker will send them\n");
        assert_eq!(run(&app.database, "dead list --json").await.json(), json!([]));
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 2);
    }

    async fn a_channel_is_paused_with_a_reason_and_resumed(app: App) {
        let url = &app.database.url;
        let paused = run_on(url, &["channels", "pause", "email", "--reason", "the provider is down"]).await;
        assert_eq!(paused.text(), "email is paused; `channels resume email` ends it\n");
        let listed = run(&app.database, "channels list").await;
        assert!(listed.text().contains("the provider is down"), "{listed:?}");
        let json = run(&app.database, "channels list --json").await.json();
        assert_eq!(json[0]["pause"]["reason"], "the provider is down");
        assert_eq!(json[1], json!({ "channel": "pigeon", "pause": null, "workerPauses": [] }));
        let resumed = run(&app.database, "channels resume email --json").await.json();
        assert_eq!(resumed, json!({ "channel": "email", "paused": false }));
        assert!(!run(&app.database, "channels list").await.text().contains("paused"));
    }

    async fn suppressed_addresses_are_listed_added_and_removed(app: App) {
        let url = &app.database.url;
        let list = Suppressions::new(app.database.database.clone());
        list.add_as(SuppressionKind::Bounce, "gone@example.com", "bounced: 550 5.1.1\u{1b}[31m").await.unwrap();
        let added = run_on(url, &["suppressions", "add", "Ada <Ada@BÜCHER.example>", "--reason", "asked us to"]).await;
        let form = "ada@xn--bcher-kva.example";
        assert_eq!(added.text(), format!("{form} is suppressed; `suppressions remove {form}` ends it\n"));
        assert!(list.contains("ada@bücher.example").await.unwrap());
        let again = run_on(url, &["suppressions", "add", form, "--reason", "x", "--for", "1d"]).await;
        assert!(again.text().contains("already"), "{again:?}");
        let timed = run_on(url, &["suppressions", "add", "eve@example.com", "--reason", "spam", "--kind", "complaint", "--for", "14d"]).await;
        timed.text();
        let listed = run(&app.database, "suppressions list").await;
        assert_eq!(listed.text().lines().count(), 4, "{listed:?}");
        assert!(!listed.out.contains('\u{1b}'), "{listed:?}");
        let newest = run(&app.database, "suppressions list --limit 1 --json").await.json();
        assert_eq!((&newest[0]["address"], &newest[0]["kind"]), (&json!("eve@example.com"), &json!("complaint")));
        assert!(newest[0]["expiresAt"].is_string(), "{newest}");
        let older = run(&app.database, "suppressions list --after eve@example.com --json").await.json();
        assert_eq!(older.as_array().unwrap().len(), 2);
        let bounced = run(&app.database, "suppressions list --kind bounce --json").await.json();
        assert_eq!(bounced[0]["address"], "gone@example.com");
        let removed = run(&app.database, "suppressions remove GONE@example.com").await;
        assert_eq!(removed.text(), "gone@example.com is mailed again\n");
        assert!(!list.contains("gone@example.com").await.unwrap());
        assert!(run(&app.database, "suppressions remove gone@example.com").await.text().contains("was not suppressed"));
        assert_eq!(run(&app.database, "suppressions list --suspects").await.text(), "no address is suspected\n");
        assert!(run_on(url, &["suppressions", "add", "nobody", "--reason", "x"]).await.refusal(2).contains("ada@example.com"));
    }

    async fn the_command_line_and_the_channel_agree_on_the_form_of_an_address(app: App) {
        let list = Suppressions::new(app.database.database.clone());
        for form in ["ada@example.com", "Ada+News@Example.COM", "\"L, Ada\" <ADA@bücher.example>", "jörg@例え.jp"] {
            run_on(&app.database.url, &["suppressions", "add", form, "--reason", "x"]).await.text();
            assert!(list.contains(form).await.unwrap(), "{form}");
        }
    }

    async fn pruning_reports_what_it_deleted(app: App) {
        dead(&app, &["a"]).await;
        let _ = app.dispatcher.enqueue(alone("b")).await.unwrap();
        let kept = run(&app.database, "prune").await;
        assert_eq!(kept.text(), "removed 0 deliveries, 0 attempts, 0 dispatches, 0 windows, 0 read items, 0 unread items, 0 parked deliveries\n");
        let removed = run(&app.database, "prune --deliveries 0s --windows 12h --json").await.json();
        assert_eq!(removed, json!({ "deliveries": 1, "attempts": 1, "dispatches": 1, "windows": 0, "readItems": 0, "unreadItems": 0, "parked": 0 }));
        assert_eq!(ids(&app).await.len(), 1);
    }

    async fn tables_are_created_once(database: TestDatabase) {
        let url = unmigrated(&database).await;
        let first = run_on(&url, &["migrate", "--json"]).await.json();
        assert_eq!(first["applied"][0], json!({ "version": 1, "name": "campanile" }));
        let second = run_on(&url, &["migrate"]).await;
        assert!(second.text().contains("were up to date"), "{second:?}");
    }

    async fn tables_are_created_even_if_the_dispatcher_cannot_be_built(database: TestDatabase) {
        let url = unmigrated(&database).await;
        let migrated = run_on(&url, &["--without-mail", "migrate"]).await;
        assert!(migrated.text().starts_with("applied "), "{migrated:?}");
    }

    async fn an_erased_address_is_listed_as_such_and_removed_by_name(app: App) {
        let list = Suppressions::new(app.database.database.clone());
        list.add_as(SuppressionKind::Complaint, "u_ada@example.com", "spam, says Ada").await.unwrap();
        let keyed = async |line: &str| {
            let mut command = command(&app.database.url);
            ended(command.args(line.split(' ')).env("CAMPANILE_ERASURE_KEY", "0123456789abcdef0123456789abcdef")).await
        };
        let forgotten = keyed("forget u_ada --yes").await;
        assert!(forgotten.text().ends_with("kept: a keyed hash of 1 address that must not be mailed any more\n"), "{forgotten:?}");
        let listed = keyed("suppressions list").await;
        assert!(listed.text().contains("(erased)") && !listed.out.contains("ada"), "{listed:?}");
        let json = keyed("suppressions list --json").await.json();
        assert_eq!((&json[0]["erased"], &json[0]["reason"]), (&json!(true), &json!("erased")));
        let after = format!("suppressions list --after {}", json[0]["address"].as_str().unwrap());
        assert_eq!(keyed(&after).await.text(), "no address is suppressed\n");
        // Without the key, the address is not recognized.
        let unknown = run(&app.database, "suppressions remove u_ada@example.com").await;
        assert_eq!(unknown.text(), "u_ada@example.com was not suppressed\n");
        let removed = keyed("suppressions remove U_Ada@example.com").await;
        assert_eq!(removed.text(), "u_ada@example.com is mailed again\n");
        let refused = ended(command(&app.database.url).args(["deliveries", "list"]).env("CAMPANILE_ERASURE_KEY", "short")).await;
        assert!(refused.refusal(1).contains("openssl rand"), "{refused:?}");
    }

    async fn a_user_is_forgotten_only_with_the_option_yes(app: App) {
        let _ = app.dispatcher.enqueue(app.role_changed(Role::Admin).to(["u_ada", "u_bob"])).await.unwrap();
        let written = app.database.written().await;
        assert!(run(&app.database, "forget u_ada").await.refusal(2).contains("--yes"));
        assert_eq!(app.database.written().await, written);
        let text = run(&app.database, "forget u_ada --yes").await;
        assert_eq!(
            text.text(),
            "erased of u_ada: 1 delivery, 0 dispatches with their content, 5 other rows\n\
             not erased: the content of 1 dispatch with other recipients; it is deleted when they are forgotten, or by `prune`\n"
        );
        let bob = run(&app.database, "forget u_bob --yes --json").await;
        assert_eq!(bob.json(), json!({ "deliveries": 1, "dispatches": 1, "sharedDispatches": 0, "rows": 4, "keptHashes": 0 }));
        assert_eq!(app.database.written().await, 0);
        let empty = run_on(&app.database.url, &["forget", "", "--yes"]).await;
        assert!(empty.refusal(1).contains("empty"), "{empty:?}");
    }
}
