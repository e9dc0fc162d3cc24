//! The suppression list.

use std::time::Duration;

use campanile_email::{SuppressionError, SuppressionFilter, SuppressionKind, Suppressions};

use crate::app::database;

#[tokio::test]
async fn an_address_is_listed_until_it_is_removed() {
    let list = Suppressions::new(database().await);
    assert!(!list.contains("ada@example.com").await.unwrap());

    list.add("ada@example.com", "complained").await.unwrap();
    assert!(list.contains("ada@example.com").await.unwrap());

    assert!(list.remove("ada@example.com").await.unwrap());
    assert!(!list.remove("ada@example.com").await.unwrap());
    assert!(!list.contains("ada@example.com").await.unwrap());
}

#[tokio::test]
async fn an_address_is_the_same_in_every_spelling() {
    let list = Suppressions::new(database().await);
    list.add("Ada <ADA@BÜCHER.example>", "by hand")
        .await
        .unwrap();
    for spelling in [
        "ada@bücher.example",
        "Ada@xn--bcher-kva.example",
        " ada@bücher.example ",
    ] {
        assert!(list.contains(spelling).await.unwrap(), "{spelling}");
    }
}

#[tokio::test]
async fn the_first_reason_stays_and_is_kept_short() {
    let list = Suppressions::new(database().await);
    let long = format!("bounced\0{}", "é".repeat(1_000));
    list.add("ada@example.com", &long).await.unwrap();
    list.add("ada@example.com", "complained").await.unwrap();

    let reason = list.reason("ada@example.com").await.unwrap().unwrap();
    assert!(reason.starts_with("bounced é"), "{reason}");
    assert_eq!(reason.chars().count(), 500);
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    let list = Suppressions::new(database().await);
    for text in ["", "ada", "ada@example.com\n", "a b@example.com"] {
        let error = list.add(text, "by hand").await.unwrap_err();
        assert!(
            matches!(error, SuppressionError::InvalidAddress(_)),
            "{text:?}"
        );
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn an_entry_has_a_kind_and_an_end() {
    let list = Suppressions::new(database().await);
    let kind = SuppressionKind::Complaint;
    list.add_for(Duration::ZERO, kind, "over@example.com", "spam")
        .await
        .unwrap();
    list.add_for(Duration::from_hours(1), kind, "ada@example.com", "spam")
        .await
        .unwrap();
    list.add("bob@example.com", "by hand").await.unwrap();

    assert!(!list.contains("over@example.com").await.unwrap());
    let ada = list.get("Ada@example.com").await.unwrap().unwrap();
    assert_eq!((ada.kind, ada.reason.as_str()), (kind, "spam"));
    assert!(ada.expires_at.unwrap() > ada.since);
    let filter = SuppressionFilter::default();
    let all = list.list(filter).await.unwrap();
    let mut addresses: Vec<_> = all.iter().map(|entry| entry.address.as_str()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["ada@example.com", "bob@example.com"]);
    let after = Some(all[0].address.as_str());
    let next = list.list(SuppressionFilter { after, ..filter }).await;
    assert_eq!(next.unwrap(), all[1..]);

    // A later end replaces an earlier one, and no end is the latest.
    list.add("ada@example.com", "asked us to").await.unwrap();
    list.add_for(Duration::ZERO, kind, "ada@example.com", "spam")
        .await
        .unwrap();
    let ada = list.get("ada@example.com").await.unwrap().unwrap();
    assert_eq!((ada.kind, ada.expires_at), (SuppressionKind::Manual, None));
}
