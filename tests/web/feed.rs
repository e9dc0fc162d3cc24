//! `GET /inbox`: pages, views, and cursors that are valid in one view of one user, in every process.

use campanile_tests::both_databases;
use campanile_web::Settings;
use serde_json::{Value, json};

use crate::site::{Answer, Site};

fn cursor(answer: &Answer, which: &str) -> String {
    answer.json[which].as_str().unwrap().to_owned()
}

both_databases! {
    async fn the_feed_is_walked_to_its_end_and_back(site: Site) {
        site.tell_many("u_ada", 0..7).await;
        let first = site.get("u_ada", "/inbox?limit=3").await;
        assert_eq!((first.titles(), &first.json["previous"]), (vec!["6", "5", "4"], &Value::Null));
        site.tell("u_ada", "new").await;
        let second = site.get("u_ada", &format!("/inbox?limit=3&cursor={}", cursor(&first, "next"))).await;
        assert_eq!(second.titles(), ["3", "2", "1"]);
        let last = site.get("u_ada", &format!("/inbox?limit=3&cursor={}", cursor(&second, "next"))).await;
        assert_eq!((last.titles(), &last.json["next"]), (vec!["0"], &Value::Null));
        let back = site.get("u_ada", &format!("/inbox?limit=3&cursor={}", cursor(&last, "previous"))).await;
        assert_eq!(back.titles(), second.titles());
        let head = site.get("u_ada", &format!("/inbox?limit=10&cursor={}", cursor(&back, "previous"))).await;
        assert_eq!((head.titles(), &head.json["previous"]), (vec!["new", "6", "5", "4"], &Value::Null));
    }

    async fn an_item_has_all_its_fields(site: Site) {
        let id = site.tell("u_ada", "<b>hello</b>").await;
        let answer = site.get("u_ada", "/inbox").await;
        let item = &answer.json["items"][0];
        assert_eq!(item["id"], id);
        for (member, value) in [
            ("title", json!("<b>hello</b>")),
            ("eventType", json!("loft.pigeon.expected")),
            ("category", json!("loft")),
            ("orgId", json!("org_1")),
            ("seenAt", Value::Null),
            ("readAt", Value::Null),
            ("archivedAt", Value::Null),
        ] {
            assert_eq!(item[member], value, "{member}");
        }
        assert!(item["createdAt"].as_str().unwrap().ends_with('Z'));
        assert_eq!(answer.json["counts"], json!({ "unread": 1, "unseen": 1, "total": 1, "badge": "1" }));
        assert_eq!(answer.headers["cache-control"], "private, no-store");
    }

    async fn a_view_contains_only_its_items(site: Site) {
        let ids = [site.tell("u_ada", "archived").await, site.tell("u_ada", "read").await];
        site.tell_in("u_ada", "new", "org_2").await;
        site.patch("u_ada", &format!("/inbox/{}", ids[0]), json!({ "archived": true })).await.expect(200);
        site.patch("u_ada", &format!("/inbox/{}", ids[1]), json!({ "read": true })).await.expect(200);
        for (view, titles) in [
            ("", vec!["new", "read"]),
            ("?status=all", vec!["new", "read"]),
            ("?status=unread", vec!["new"]),
            ("?status=archived", vec!["archived"]),
            ("?org=org_2", vec!["new"]),
            ("?category=loft&org=org_1", vec!["read"]),
            ("?category=team", vec![]),
        ] {
            assert_eq!(site.get("u_ada", &format!("/inbox{view}")).await.titles(), titles, "{view}");
        }
    }

    async fn a_cursor_fits_its_own_view_and_its_own_user(site: Site) {
        site.tell_many("u_ada", 0..3).await;
        let page = site.get("u_ada", "/inbox?limit=1&category=loft").await;
        let cursor = cursor(&page, "next");
        site.get("u_ada", &format!("/inbox?category=loft&cursor={cursor}")).await.expect(200);
        for (user, query) in [
            ("u_bob", format!("category=loft&cursor={cursor}")),
            ("u_ada", format!("cursor={cursor}")),
            ("u_ada", format!("category=team&cursor={cursor}")),
            ("u_ada", format!("category=loft&status=unread&cursor={cursor}")),
            ("u_ada", format!("category=loft&org=org_1&cursor={cursor}")),
            ("u_ada", format!("category=loft&cursor={}", &cursor[1..])),
        ] {
            site.get(user, &format!("/inbox?{query}")).await.expect_problem(400, "invalid-cursor");
        }
    }

    async fn two_replicas_read_each_others_cursors(site: Site) {
        site.tell_many("u_ada", 0..3).await;
        let [one, other] = [site.another(Settings::default()), site.another(Settings::default())];
        let first = one.get("u_ada", "/inbox?limit=1").await;
        let second = other.get("u_ada", &format!("/inbox?limit=1&cursor={}", cursor(&first, "next"))).await;
        assert_eq!(second.titles(), ["1"]);
        let back = one.get("u_ada", &format!("/inbox?limit=1&cursor={}", cursor(&second, "previous"))).await;
        assert_eq!(back.titles(), ["2"]);
    }
}
