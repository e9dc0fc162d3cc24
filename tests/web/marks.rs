//! Seen, read and archived: one item, or all that was shown.

use campanile_tests::both_databases;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::Site;

fn counts(json: &Value) -> [u64; 3] {
    ["unread", "unseen", "total"].map(|count| json["counts"][count].as_u64().unwrap())
}

both_databases! {
    async fn an_item_is_read_archived_and_restored(site: Site) {
        let id = site.tell("u_ada", "x").await;
        let path = format!("/inbox/{id}");
        let read = site.patch("u_ada", &path, json!({ "read": true })).await;
        assert_eq!(counts(read.expect(200)), [0, 0, 1]);
        assert!(read.json["item"]["readAt"].is_string() && read.json["item"]["seenAt"].is_string());
        let again = site.patch("u_ada", &path, json!({ "read": true })).await;
        assert_eq!(again.json, read.json, "a repeated change has no effect");
        let nothing = site.patch("u_ada", &path, json!({ "read": null })).await;
        assert_eq!(nothing.json, read.json);
        let both = site.patch("u_ada", &path, json!({ "read": false, "archived": true })).await;
        assert_eq!(counts(both.expect(200)), [0, 0, 0]);
        let back = site.patch("u_ada", &path, json!({ "archived": false })).await;
        assert_eq!(counts(back.expect(200)), [1, 0, 1], "it is unread and still seen");
    }

    async fn an_item_of_an_organization_is_changed_and_counted_only_there(site: Site) {
        let here = site.tell_in("u_ada", "here", "org_1").await;
        let there = site.tell_in("u_ada", "there", "org_2").await;
        let read = site.patch("u_ada", &format!("/inbox/{here}?org=org_1"), json!({ "read": true })).await;
        assert_eq!(counts(read.expect(200)), [0, 0, 1]);
        let other = site.patch("u_ada", &format!("/inbox/{there}?org=org_1"), json!({ "read": true })).await;
        other.expect_problem(404, "unknown-notification");
        let whole = site.patch("u_ada", &format!("/inbox/{here}"), json!({ "read": false })).await;
        assert_eq!(counts(whole.expect(200)), [2, 1, 2]);
    }

    async fn items_after_the_first_page_stay_unread_and_unseen(site: Site) {
        site.tell_many("u_ada", 0..3).await;
        site.tell("u_bob", "his").await;
        let page = site.get("u_ada", "/inbox").await;
        let shown = json!({ "asOf": page.json["asOf"] });
        site.tell("u_ada", "meanwhile").await;
        let seen = site.post("u_ada", "/inbox/seen", shown.clone()).await;
        assert_eq!((counts(seen.expect(200)), &seen.json["changed"]), ([4, 1, 4], &json!(3)));
        let read = site.post("u_ada", "/inbox/read-all", shown.clone()).await;
        assert_eq!((counts(read.expect(200)), &read.json["changed"]), ([1, 1, 4], &json!(3)));
        assert_eq!(site.get("u_ada", "/inbox?status=unread").await.titles(), ["meanwhile"]);
        let again = site.post("u_ada", "/inbox/read-all", shown.clone()).await;
        assert_eq!(again.json["changed"], 0);
        assert_eq!(counts(&site.get("u_bob", "/inbox").await.json), [1, 1, 1]);
    }

    async fn marking_all_is_limited_to_the_part_and_skips_archived_items(site: Site) {
        let before = site.as_of("u_ada").await;
        let archived = site.tell_in("u_ada", "archived", "org_1").await;
        site.tell_in("u_ada", "here", "org_1").await;
        let there = site.tell_in("u_ada", "there", "org_2").await;
        let now = site.as_of("u_ada").await;
        site.patch("u_ada", &format!("/inbox/{archived}"), json!({ "archived": true })).await.expect(200);
        for (part, changed) in [
            (json!({ "asOf": before }), 0),
            (json!({ "asOf": now, "category": "team" }), 0),
            (json!({ "asOf": now, "org": "org_1", "category": "loft" }), 1),
            (json!({ "asOf": before, "since": [Uuid::nil(), there, there] }), 1),
            (json!({ "asOf": now }), 0),
        ] {
            let answer = site.post("u_ada", "/inbox/read-all", part.clone()).await;
            assert_eq!(answer.expect(200)["changed"], changed, "{part}");
        }
        let kept = site.get("u_ada", "/inbox?status=archived").await;
        assert_eq!(kept.json["items"][0]["readAt"], Value::Null);
    }

    async fn an_item_that_commits_after_the_page_was_read_stays_unmarked_whatever_its_id(site: Site) {
        let shown = site.tell("u_ada", "shown").await;
        let page = site.get("u_ada", "/inbox").await;
        site.tell("u_ada", "late").await;
        let earlier = Uuid::from_u128(shown.parse::<Uuid>().unwrap().as_u128() - 1);
        site.app.database.execute(&format!("update {{campanile}}notifications set id = '{earlier}' where title = 'late'")).await;
        for path in ["/inbox/seen", "/inbox/read-all"] {
            let answer = site.post("u_ada", path, json!({ "asOf": page.json["asOf"] })).await;
            assert_eq!((counts(answer.expect(200))[1], &answer.json["changed"]), (1, &json!(1)), "{path}");
        }
        let unread = site.get("u_ada", "/inbox?status=unread").await;
        assert_eq!((unread.titles(), &unread.json["items"][0]["seenAt"]), (vec!["late"], &Value::Null));
    }
}
