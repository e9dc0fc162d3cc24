//! The inbox: a pure read of frozen rows, only the user's own.

use campanile::NotifiableEvent as _;
use campanile::database::each_database;
use campanile_inbox::{Change, Cursor, Feed, Filter, Inbox, InboxError, Item, Moment, Page};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, Kind, both_databases};
use uuid::Uuid;

async fn tell(app: &App, user: &str, title: &str) {
    tell_in(app, user, title, "org_1").await;
}

async fn tell_in(app: &App, user: &str, title: &str, org: &str) {
    let notice = notice(title, user)
        .about(format!("{title}{org}"))
        .in_org(org);
    let _ = app.dispatcher.enqueue(notice).await.unwrap();
}

fn notice(title: &str, user: &str) -> campanile::Notice {
    let event = PigeonExpected {
        title: title.into(),
        text: "-".into(),
    };
    event.about(title).to([user])
}

fn inbox(app: &App, user: &str) -> Inbox {
    Inbox::for_user(app.dispatcher.database(), user).unwrap()
}

/// Ids from a machine whose clock is behind, or ahead by an hour or more.
const BEHIND: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
const AHEAD: Uuid = Uuid::from_u128(0x0fff_0000_0000_7000_8000_0000_0000_0001);
const FAR_AHEAD: Uuid = Uuid::from_u128(0x0fff_0000_0001_7000_8000_0000_0000_0001);

/// Changes the id of the item with this title to one from such a machine.
async fn identify(app: &App, title: &str, id: Uuid) {
    let set = format!("update {{campanile}}notifications set id = '{id}' where title = '{title}'");
    app.database.execute(&set).await;
}

/// A million rows take minutes to write: `CAMPANILE_INBOX_ROWS=1000000` enables that.
pub(crate) fn rows_of_others() -> u32 {
    std::env::var("CAMPANILE_INBOX_ROWS").map_or(100_000, |rows| rows.parse().unwrap())
}

fn titles(feed: &Feed) -> Vec<&str> {
    feed.items.iter().map(|item| item.title.as_str()).collect()
}

/// Everything in a page except the time at which it was read.
fn place(feed: &Feed) -> (&[Item], Option<Cursor>, Option<Cursor>) {
    (&feed.items, feed.next, feed.previous)
}

async fn page(inbox: &Inbox, page: Page) -> Feed {
    inbox.feed(page).await.unwrap()
}

both_databases! {
    async fn the_feed_is_newest_first_and_pages_to_the_end(app: App) {
        for n in 0..7 {
            tell(&app, "u_ada", &n.to_string()).await;
        }
        let inbox = inbox(&app, "u_ada");
        let first = page(&inbox, Page { limit: 3, ..Page::default() }).await;
        assert_eq!(titles(&first), ["6", "5", "4"]);
        let second = page(&inbox, Page { limit: 3, after: first.next, ..Page::default() }).await;
        assert_eq!(titles(&second), ["3", "2", "1"]);
        let last = page(&inbox, Page { limit: 3, after: second.next, ..Page::default() }).await;
        assert_eq!((titles(&last), last.next), (vec!["0"], None));
    }

    async fn the_next_page_continues_where_the_last_one_ended_although_rows_arrive_and_share_their_time(app: App) {
        for n in 0..6 {
            tell(&app, "u_ada", &n.to_string()).await;
        }
        app.database.execute("update {campanile}notifications set created_at = {now}").await;
        app.database.execute("update {campanile}notifications set created_at = (select max(created_at) from {campanile}notifications)").await;
        let inbox = inbox(&app, "u_ada");
        let first = page(&inbox, Page { limit: 2, ..Page::default() }).await;
        tell(&app, "u_ada", "new").await;
        // The cursor is passed as text.
        let cursor = first.next.unwrap().to_string().parse().unwrap();
        let second = page(&inbox, Page { limit: 10, after: Some(cursor), ..Page::default() }).await;
        assert_eq!(titles(&first), ["5", "4"]);
        assert_eq!(titles(&second), ["3", "2", "1", "0"]);
    }

    async fn read_items_leave_the_unread_feed_and_the_badge(app: App) {
        for n in 0..3 {
            tell(&app, "u_ada", &n.to_string()).await;
        }
        let inbox = inbox(&app, "u_ada");
        let unread = Page { filter: Filter::Unread, ..Page::default() };
        let item = page(&inbox, unread).await.items[1].clone();
        assert_eq!(item.read_at, None);
        inbox.mark_read(item.id).await.unwrap();
        assert_eq!(titles(&page(&inbox, unread).await), ["2", "0"]);
        assert_eq!(inbox.unread().await.unwrap(), 2);
        let read_at = page(&inbox, Page::default()).await.items[1].read_at.unwrap();
        assert!(read_at >= item.created_at);
        inbox.mark_read(item.id).await.unwrap();
        assert_eq!(page(&inbox, Page::default()).await.items[1].read_at, Some(read_at), "the first time is kept");
        inbox.mark_unread(item.id).await.unwrap();
        assert_eq!(inbox.unread().await.unwrap(), 3);
    }

    async fn a_badge_can_be_capped(app: App) {
        let users = ["u_ada"; 1];
        for n in 0..12 {
            tell(&app, users[0], &n.to_string()).await;
        }
        let inbox = inbox(&app, "u_ada");
        assert_eq!(inbox.unread_up_to(10).await.unwrap(), 10);
        assert_eq!(inbox.unread_up_to(100).await.unwrap(), 12);
    }

    async fn mark_all_read_covers_what_was_seen_but_not_what_arrived_since(app: App) {
        tell(&app, "u_ada", "old").await;
        tell(&app, "u_ada", "seen").await;
        let inbox = inbox(&app, "u_ada");
        let seen = page(&inbox, Page::default()).await.as_of;
        tell(&app, "u_ada", "new").await;
        assert_eq!(inbox.mark_all_read(&seen, &[]).await.unwrap(), 2);
        let unread = Page { filter: Filter::Unread, ..Page::default() };
        assert_eq!(titles(&page(&inbox, unread).await), ["new"]);
        assert_eq!(inbox.mark_all_read(&seen, &[]).await.unwrap(), 0);
    }

    async fn an_item_committed_after_the_query_stays_unread_and_unseen_whatever_its_id(app: App) {
        let inbox = inbox(&app, "u_ada");
        each_database!(app.dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let _ = app.dispatcher.enqueue_in(&mut transaction, notice("late", "u_ada")).await.unwrap();
            // On SQLite no other connection can write meanwhile.
            if app.database.kind == Kind::Postgres {
                tell(&app, "u_ada", "shown").await;
            }
            let look = page(&inbox, Page::default()).await;
            transaction.commit().await.unwrap();
            let shown = look.items.len() as u64;
            assert_eq!(inbox.mark_all_seen(&look.as_of, &[]).await.unwrap(), shown);
            assert_eq!(inbox.mark_all_read(&look.as_of, &[]).await.unwrap(), shown);
        });
        let unread = page(&inbox, Page { filter: Filter::Unread, ..Page::default() }).await;
        assert_eq!((titles(&unread), unread.items[0].seen_at), (vec!["late"], None));
        assert_eq!(inbox.mark_all_read(&unread.as_of, &[]).await.unwrap(), 1);
    }

    async fn a_machine_with_a_wrong_clock_neither_adds_to_nor_removes_from_what_was_shown(app: App) {
        let inbox = inbox(&app, "u_ada");
        for title in ["ahead", "shown"] {
            tell(&app, "u_ada", title).await;
        }
        identify(&app, "ahead", AHEAD).await;
        let look = page(&inbox, Page::default()).await;
        assert_eq!(titles(&look), ["ahead", "shown"]);
        for title in ["behind", "later", "far ahead"] {
            tell(&app, "u_ada", title).await;
        }
        identify(&app, "behind", BEHIND).await;
        identify(&app, "far ahead", FAR_AHEAD).await;
        assert_eq!(inbox.mark_all_seen(&look.as_of, &[]).await.unwrap(), 2);
        assert_eq!(inbox.mark_all_read(&look.as_of, &[]).await.unwrap(), 2);
        let unread = page(&inbox, Page { filter: Filter::Unread, ..Page::default() }).await;
        assert_eq!(titles(&unread), ["far ahead", "later", "behind"]);
        assert!(unread.items.iter().all(|item| item.seen_at.is_none()));
        // Items that arrived since the query were shown too, and are named.
        let since = [unread.items[1].id];
        assert_eq!(inbox.mark_all_read(&look.as_of, &since).await.unwrap(), 1);
        assert_eq!(inbox.unread().await.unwrap(), 2);
        assert_eq!(inbox.mark_all_read(&unread.as_of, &[]).await.unwrap(), 2);
    }

    async fn items_from_another_server_count_as_present_at_any_query(app: App) {
        let inbox = inbox(&app, "u_ada");
        for title in ["here", "from elsewhere"] {
            tell(&app, "u_ada", title).await;
        }
        // The numbers of another server's transactions mean nothing here; on SQLite those of a copy are its own.
        if app.database.kind == Kind::Postgres {
            app.database.execute("update {campanile}notifications set created_in = '9000000'::xid8 where title <> 'here'").await;
        }
        let look = page(&inbox, Page::default()).await;
        assert_eq!(inbox.mark_all_seen(&look.as_of, &[]).await.unwrap(), 2);
        assert_eq!(inbox.mark_all_read(&look.as_of, &[]).await.unwrap(), 2);
    }

    async fn an_as_of_of_another_kind_of_database_marks_nothing(app: App) {
        let inbox = inbox(&app, "u_ada");
        tell(&app, "u_ada", "x").await;
        let other = match app.database.kind {
            Kind::Postgres => i64::MAX.to_string(),
            Kind::Sqlite => "1:9000000:".to_owned(),
        };
        let refused = inbox.mark_all_read(&other.parse().unwrap(), &[]).await;
        assert!(matches!(refused, Err(InboxError::InvalidMoment)));
        let look: Moment = page(&inbox, Page::default()).await.as_of.to_string().parse().unwrap();
        assert_eq!(inbox.mark_all_read(&look, &[]).await.unwrap(), 1, "an as-of is passed as text");
    }

    async fn seen_read_and_archived_are_three_things(app: App) {
        for n in 0..3 {
            tell(&app, "u_ada", &n.to_string()).await;
        }
        let inbox = inbox(&app, "u_ada");
        let counts = async || {
            let counts = inbox.counts_up_to(100).await.unwrap();
            (counts.unread, counts.unseen, counts.total)
        };
        let Feed { items, as_of, .. } = page(&inbox, Page::default()).await;
        assert_eq!(counts().await, (3, 3, 3));
        app.database.execute("update {campanile}notifications set seen_at = {now} where title <> '2'").await;
        assert_eq!(counts().await, (3, 1, 3));
        let archive = Change { archived: Some(true), ..Change::default() };
        let archived = inbox.change(items[1].id, archive).await.unwrap();
        assert!(archived.archived_at.is_some() && archived.seen_at.is_some() && archived.read_at.is_none());
        assert_eq!(counts().await, (2, 1, 2));
        inbox.mark_read(items[0].id).await.unwrap();
        assert_eq!(counts().await, (1, 0, 2), "what was read has been seen");
        let of = async |filter| titles(&page(&inbox, Page { filter, ..Page::default() }).await).join(" ");
        assert_eq!([of(Filter::All).await, of(Filter::Unread).await, of(Filter::Archived).await], ["2 0", "0", "1"]);
        assert_eq!(inbox.mark_all_read(&as_of, &[]).await.unwrap(), 1, "archived items are unchanged");
        let back = inbox.change(items[1].id, Change { archived: Some(false), ..Change::default() }).await.unwrap();
        assert_eq!((back.archived_at, back.read_at), (None, None));
        assert_eq!(inbox.counts_up_to(1).await.unwrap().total, 1, "a count goes up to its cap");
    }

    async fn pages_can_be_read_towards_the_head_too(app: App) {
        for n in 0..7 {
            tell(&app, "u_ada", &n.to_string()).await;
        }
        let inbox = inbox(&app, "u_ada");
        let three = Page { limit: 3, ..Page::default() };
        let first = page(&inbox, three).await;
        assert_eq!(first.previous, None);
        let second = page(&inbox, Page { after: first.next, ..three }).await;
        let third = page(&inbox, Page { after: second.next, ..three }).await;
        assert_eq!((titles(&third), third.next), (vec!["0"], None));
        let back = page(&inbox, Page { before: third.previous, ..three }).await;
        assert_eq!(place(&back), place(&second));
        let head = page(&inbox, Page { before: back.previous, ..three }).await;
        assert_eq!((place(&head), head.previous), (place(&first), None));
        let between = page(&inbox, Page { after: first.next, before: third.previous, ..three }).await;
        assert_eq!(titles(&between), ["3", "2", "1"]);
    }

    async fn a_page_that_became_empty_has_a_cursor_back_to_where_it_was_reached_from(app: App) {
        for n in 0..4 {
            tell(&app, "u_ada", &n.to_string()).await;
        }
        let inbox = inbox(&app, "u_ada");
        let two = Page { limit: 2, ..Page::default() };
        let first = page(&inbox, two).await;
        let second = page(&inbox, Page { after: first.next, ..two }).await;
        let archive = async |items: &Feed, archived| {
            for item in &items.items {
                inbox.change(item.id, Change { archived: Some(archived), ..Change::default() }).await.unwrap();
            }
        };
        archive(&second, true).await;
        let older = page(&inbox, Page { after: first.next, ..two }).await;
        assert_eq!((&older.items, older.next), (&vec![], None));
        let back = page(&inbox, Page { before: older.previous, ..two }).await;
        assert_eq!(titles(&back), titles(&first));
        archive(&second, false).await;
        archive(&first, true).await;
        let newer = page(&inbox, Page { before: second.previous, ..two }).await;
        assert_eq!((&newer.items, newer.previous), (&vec![], None));
        let back = page(&inbox, Page { after: newer.next, ..two }).await;
        assert_eq!(titles(&back), titles(&second));
        archive(&second, true).await;
        let head = page(&inbox, two).await;
        assert_eq!((head.items, head.next, head.previous), (vec![], None, None));
    }

    async fn an_inbox_of_a_category_contains_only_its_items(app: App) {
        tell(&app, "u_ada", "pigeon").await;
        let notice = app.past_due().about("invoice").to(["u_ada"]);
        let _ = app.dispatcher.enqueue(notice).await.unwrap();
        let billing = inbox(&app, "u_ada").of_category("billing").unwrap();
        assert_eq!(titles(&page(&billing, Page::default()).await), ["Payment overdue"]);
        let as_of = page(&billing, Page::default()).await.as_of;
        assert_eq!(billing.mark_all_read(&as_of, &[]).await.unwrap(), 1);
        assert_eq!(inbox(&app, "u_ada").unread().await.unwrap(), 1);
        let unknown = inbox(&app, "u_ada").of_category("weather").unwrap();
        assert_eq!(page(&unknown, Page::default()).await.items, []);
    }

    async fn nobody_reads_or_marks_the_rows_of_another(app: App) {
        tell(&app, "u_ada", "secret").await;
        let (ada, bob) = (inbox(&app, "u_ada"), inbox(&app, "u_bob"));
        let item = page(&ada, Page::default()).await.items.remove(0);
        assert_eq!(page(&bob, Page::default()).await.items, []);
        assert_eq!(bob.unread().await.unwrap(), 0);
        for foreign_or_missing in [item.id, Uuid::nil()] {
            let answers = [bob.mark_read(foreign_or_missing).await, bob.mark_unread(foreign_or_missing).await];
            assert!(answers.iter().all(|answer| matches!(answer, Err(InboxError::NotFound))));
        }
        let as_of = page(&ada, Page::default()).await.as_of;
        assert_eq!(bob.mark_all_read(&as_of, &[item.id]).await.unwrap(), 0);
        assert_eq!(ada.unread().await.unwrap(), 1);
    }

    async fn an_inbox_of_an_organization_contains_only_its_items(app: App) {
        tell_in(&app, "u_ada", "here", "org_1").await;
        tell_in(&app, "u_ada", "there", "org_2").await;
        let here = inbox(&app, "u_ada").in_org("org_1").unwrap();
        let there = inbox(&app, "u_ada").in_org("org_2").unwrap();
        let item = page(&here, Page::default()).await.items.remove(0);
        assert_eq!((item.title.as_str(), item.org_id.as_deref()), ("here", Some("org_1")));
        assert!(matches!(there.mark_read(item.id).await, Err(InboxError::NotFound)));
        assert_eq!(there.unread().await.unwrap(), 1);
        assert_eq!(inbox(&app, "u_ada").unread().await.unwrap(), 2);
    }

    async fn a_limit_outside_one_to_a_hundred_is_refused(app: App) {
        let inbox = inbox(&app, "u_ada");
        for limit in [0, 101, usize::MAX] {
            let refused = inbox.feed(Page { limit, ..Page::default() }).await;
            assert!(matches!(refused, Err(InboxError::InvalidLimit(_))));
        }
        assert!(Inbox::for_user(app.dispatcher.database(), "a\0").is_err());
    }

    async fn every_statement_is_served_by_an_index_of_its_users_rows(app: App) {
        // Enough rows of other users that a plan without an index would be worse, and enough of her own that a sort would be.
        let others = rows_of_others();
        app.database.fill_inbox(others).await;
        app.database.fill_inbox_of("u_ada", others / 100).await;
        let middle = Uuid::from_u128(1 << 127);
        let now = page(&inbox(&app, "u_ada"), Page::default()).await.as_of;
        for (name, statement, places, indexes) in campanile_inbox::every_statement(&app.database.database, middle, &now) {
            let plan = app.database.plan_for("u_ada", statement, &places).await;
            for index in indexes {
                assert!(plan.contains(index), "{name}: {plan}");
            }
            let scans = ["Seq Scan", "SCAN campanile_notifications", "Sort", "TEMP B-TREE"];
            assert!(!scans.iter().any(|scan| plan.contains(scan)), "{name}: {plan}");
        }
    }
}
