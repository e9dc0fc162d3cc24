//! F32: finished rows are pruned while users are notified, with new notices and repeats, and while one user is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile::operate::{Pruned, Retention};
use campanile_tests::both_databases;
use tokio::task::JoinHandle;

use crate::rounds::rounds;
use crate::stage::{Stage, bell, sign};

const A_DAY: Duration = Duration::from_hours(24);

/// The deliveries of the forgotten user.
const OF_ONE: &str =
    "select count(*) from {campanile}notification_deliveries where user_id = 'u_4'";

/// Prunes rows that ended a day ago, again and again.
pub(crate) struct Pruning {
    ended: Arc<AtomicBool>,
    task: JoinHandle<Pruned>,
}

impl Pruning {
    pub(crate) fn start(stage: &Stage) -> Self {
        stage.told().pruned = true;
        let ended = Arc::new(AtomicBool::new(false));
        let (dispatcher, told) = (stage.dispatcher.clone(), Arc::clone(&ended));
        let retention = Retention {
            deliveries: A_DAY,
            windows: A_DAY,
            ..Retention::default()
        };
        let task = tokio::spawn(async move {
            let mut pruned = Pruned::default();
            while !told.load(Ordering::SeqCst) {
                let round = dispatcher.operations().prune(retention).await.unwrap();
                pruned.deliveries += round.deliveries;
                pruned.windows += round.windows;
            }
            // Once more, when nothing is written concurrently.
            let last = dispatcher.operations().prune(retention).await.unwrap();
            pruned.deliveries += last.deliveries;
            pruned.windows += last.windows;
            pruned
        });
        Self { ended, task }
    }

    pub(crate) async fn end(self) -> Pruned {
        self.ended.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

both_databases! {
    /// F32.
    async fn pruning_during_dispatches_deletes_no_open_window_and_no_unfinished_delivery(stage: Stage) {
        stage.people(5).await;
        for round in rounds("F32", &stage) {
            let worker = stage.worker();
            let text = |word: &str, n: usize| round.text(&format!("{word} {n}"));
            for n in 0..20 {
                let _ = stage.enqueue(bell(&text("long ago", n), 5)).await;
                let _ = stage.enqueue(sign(&text("again", n), 5)).await;
            }
            stage.all_ended().await;
            stage.pass_time(2 * 24 * 3_600).await;
            // Including those of the round before.
            let over = stage.database.count("notification_deliveries").await;
            let of_one = stage.database.number(OF_ONE).await;
            let pruning = Pruning::start(&stage);
            for n in 0..20 {
                // One whose window is over and may be pruned right now, and one that is new; afterwards both are repeats.
                for (notice, admitted) in [
                    (sign(&text("again", n), 5), 5),
                    (bell(&text("new", n), 5), 5),
                    (sign(&text("again", n), 5), 0),
                    (bell(&text("new", n), 5), 0),
                ] {
                    assert_eq!(stage.enqueue(notice).await.admitted, admitted);
                }
            }
            stage.told().forgotten.push("u_4".into());
            stage.dispatcher.operations().forget_user("u_4").await.unwrap();
            stage.all_ended().await;
            let pruned = pruning.end().await;
            // All old ones and nothing else; some of the forgotten user's were already gone.
            let deliveries = i64::try_from(pruned.deliveries).unwrap();
            assert!((over - of_one..=over).contains(&deliveries), "{over}, {of_one} of one: {pruned:?}");
            assert!(pruned.windows >= 20 * 4, "{pruned:?}");
            worker.terminate().await;
            stage.ends_well().await;
        }
    }
}
