//! A signal for every commit, for live views.

use campanile::NotifiableEvent as _;
use campanile::database::each_database;
use campanile_tests::events::Role;
use campanile_tests::{App, both_databases};
use futures_util::FutureExt as _;

both_databases! {
    async fn a_commit_is_signalled_and_many_at_once_are_one_signal(app: App) {
        let mut commits = app.dispatcher.commits();
        assert_eq!(commits.next().now_or_never(), None);
        for subject in ["one", "two"] {
            let notice = app.role_changed(Role::Admin).about(subject).to(["u_ada"]);
            let _ = app.dispatcher.enqueue(notice).await.unwrap();
        }
        assert_eq!(commits.next().await, Some(()));
        assert_eq!(commits.next().now_or_never(), None);
        let notice = app.past_due().about("invoice").to(["u_ada"]);
        let _ = app.dispatcher.clone().dispatch(notice).await.unwrap();
        assert_eq!(commits.next().now_or_never(), Some(Some(())));
    }

    async fn refused_and_uncommitted_writes_are_not_signalled(app: App) {
        let mut commits = app.dispatcher.commits();
        let refused = app.past_due().about("invoice").to([""]);
        app.dispatcher.enqueue(refused).await.unwrap_err();
        each_database!(&app.database.database, |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let notice = app.past_due().about("invoice").to(["u_ada"]);
            let _ = app.dispatcher.enqueue_in(&mut transaction, notice).await.unwrap();
            transaction.rollback().await.unwrap();
        });
        assert_eq!(commits.next().now_or_never(), None);
    }
}
