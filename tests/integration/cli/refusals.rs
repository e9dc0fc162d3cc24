//! Bad input: an error that says what to do, an exit code, and nothing written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use campanile_tests::{App, TestDatabase, both_databases};

use super::doctor::unmigrated;
use super::{command, given, run, run_on};

const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

both_databases! {
    async fn an_invalid_command_line_exits_with_2(database: TestDatabase) {
        for (line, reason) in [
            ("deliveries show 7", "`deliveries list` shows the ids"),
            ("deliveries list --before x", "`deliveries list` shows the ids"),
            ("deliveries list --state deliverd", "pending, running, delivered, suppressed"),
            ("deliveries list --limit 1001", "1..=1000"),
            ("channels pause email", "--reason"),
            ("prune --deliveries 30", "`30d`"),
            ("prune --windows 1mo", "no fixed length"),
            ("doctor --overdue=-1h", "cannot be negative"),
            ("worker --tasks 0", "1..="),
            ("dispatch", "--type"),
            ("dispatch - --to u_ada", "cannot be used"),
            ("dispatch --type a.b.c --to u_ada --explain --enqueue", "cannot be used"),
            ("dispatch --type a.b.c", "--to <USER,..>"),
            ("redrive", "unrecognized subcommand"),
        ] {
            let ended = run(&database, line).await;
            assert!(ended.refusal(2).contains(reason), "{line}: {ended:?}");
        }
    }

    async fn a_refused_command_exits_with_1_and_the_reason(app: App) {
        for (line, reason) in [
            ("channels pause emial --reason x", "did you mean `email`?"),
            ("channels resume inbox", "no remote channel `inbox` is linked; there are email, pigeon, push"),
            ("deliveries list --channel emial", "did you mean `email`?"),
            ("dead list --channel emial", "did you mean `email`?"),
            ("dead redrive --yes --channel emial", "did you mean `email`?"),
            ("dispatch --type org.member.role_change --to u_ada", "did you mean `org.member.role_changed`?"),
            ("dispatch --type loft.pigeon.alone --to u_ada", "missing field `text`"),
            ("dispatch --type loft.pigeon.alone --to u_ada --payload {", "the payload is not valid JSON: EOF"),
            ("dispatch --type loft.pigeon.alone --to u_ada --payload []", "it must be a JSON object"),
            ("dispatch --type loft.door.opened --to u_ada,,u_bob", "empty"),
        ] {
            let ended = run(&app.database, line).await;
            assert!(ended.refusal(1).contains(reason), "{line}: {ended:?}");
        }
        for action in ["show", "retry", "cancel"] {
            let ended = run(&app.database, &format!("deliveries {action} {NO_ID}")).await;
            assert!(ended.refusal(1).contains("`deliveries list` shows the existing ones"), "{ended:?}");
        }
        let empty = run_on(&app.database.url, &["channels", "pause", "email", "--reason", ""]).await;
        assert!(empty.refusal(1).contains("reason"), "{empty:?}");
        assert_eq!(app.database.written().await, 0);
    }

    async fn bytes_that_are_not_utf8_are_refused(app: App) {
        let url = &app.database.url;
        let document = b"{ \"type\": \"loft.door.opened\", \"subjectId\": \"\xff\" }";
        let ended = given(command(url).args(["dispatch", "-"]), document).await;
        assert!(ended.refusal(1).contains("is not UTF-8: byte 45 is not part of a character"), "{ended:?}");
        let word = OsStr::from_bytes(b"loft.\xff");
        let ended = run_on(url, &[OsStr::new("dispatch"), OsStr::new("--type"), word]).await;
        assert!(ended.refusal(2).contains("invalid UTF-8"), "{ended:?}");
        for (document, reason) in [
            ("", "is not a valid request: EOF"),
            ("{ \"type\": 7 }", "line 1 column"),
            ("{ \"recipients\": [] }", "\"recipientUserIds\""),
        ] {
            let ended = given(command(url).args(["dispatch", "-"]), document.as_bytes()).await;
            assert!(ended.refusal(1).contains(reason), "{document}: {ended:?}");
        }
        assert_eq!(app.database.written().await, 0);
    }

    async fn without_tables_every_command_says_to_migrate(database: TestDatabase) {
        let url = unmigrated(&database).await;
        for line in [
            "channels list",
            "channels resume email",
            "deliveries list",
            &format!("deliveries show {NO_ID}"),
            &format!("deliveries cancel {NO_ID}"),
            "dead redrive",
            "prune",
            "worker",
            "dispatch --type loft.door.opened --to u_ada",
        ] {
            let words: Vec<_> = line.split(' ').collect();
            let ended = run_on(&url, &words).await;
            let expected = "error: the database has no tables of campanile yet: run `migrate`\n";
            assert_eq!(ended.refusal(1), expected, "{line}");
        }
    }
}

#[tokio::test]
async fn no_command_fails_on_an_in_memory_database() {
    for line in ["events", "migrate", "doctor", "deliveries list"] {
        let words: Vec<_> = line.split(' ').collect();
        let ended = run_on("sqlite::memory:", &words).await;
        assert!((0..=1).contains(&ended.code), "{line}: {ended:?}");
        assert!(!ended.err.contains("panicked"), "{line}: {ended:?}");
    }
}
