//! The suppression list.

use campanile_email::{SuppressionError, Suppressions};

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
