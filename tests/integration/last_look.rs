//! The last look: a change that is committed before a call starts applies to it, however long ago its delivery was claimed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::channel::{Delivery, Verdict};
use campanile::preferences::Choice;
use campanile::{Dispatcher, Notice, NotifiableEvent as _};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::PigeonAlone;
use campanile_tests::{App, both_databases};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Who makes the first attempt.
#[derive(Clone, Copy)]
enum By {
    Dispatch,
    Worker,
}

/// A dispatcher whose pigeons fly one loft after the other and wait at a gate, and a record of the pigeons that started.
struct Scene {
    dispatcher: Dispatcher,
    gate: Arc<Semaphore>,
    begun: Arc<Mutex<Vec<Begun>>>,
}

type Begun = (Option<String>, String);

fn scene(app: &App, loft: usize) -> Scene {
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::<Mutex<Vec<_>>>::default());
    let (at, note) = (Arc::clone(&gate), Arc::clone(&begun));
    let mut pigeons = PigeonSettings::new(move |delivery: &Delivery| {
        let line = (delivery.batch_key(), delivery.user_id.clone());
        note.lock().unwrap().push(line);
        Flight::WaitsAt(Arc::clone(&at), Verdict::accepted())
    });
    pigeons.loft = loft;
    let builder = app.builder().with(pigeons).tune(&PIGEON, |policy| {
        let policy = policy.concurrency(1);
        policy.key_lifetime(Duration::from_hours(24))
    });
    let dispatcher = builder.build().unwrap();
    Scene {
        dispatcher,
        gate,
        begun,
    }
}

impl Scene {
    /// Notifies them, and continues once the first call is running and the data read before it is no longer fresh.
    async fn under_way(&self, app: &App, by: By, users: &[&str]) -> JoinHandle<()> {
        let (dispatcher, notice) = (self.dispatcher.clone(), alone(users));
        let telling = tokio::spawn(async move {
            match by {
                By::Dispatch => drop(dispatcher.dispatch(notice).await.unwrap()),
                By::Worker => {
                    let _ = dispatcher.enqueue(notice).await.unwrap();
                    dispatcher.deliver_due(100).await.unwrap();
                }
            }
        });
        app.eventually(async || !self.begun.lock().unwrap().is_empty())
            .await;
        // By this process's own clock, which cannot be changed.
        tokio::time::sleep(Duration::from_millis(150)).await;
        telling
    }

    /// Opens the gate, and returns the recipients whose pigeons started, by the keys of their batches.
    async fn ends(self, telling: JoinHandle<()>) -> Vec<(Option<String>, String)> {
        self.gate.add_permits(100);
        telling.await.unwrap();
        let begun = self.begun.lock().unwrap();
        begun.clone()
    }

    fn first(&self) -> String {
        self.begun.lock().unwrap()[0].1.clone()
    }
}

fn alone(users: &[&str]) -> Notice {
    let text = "x".to_owned();
    PigeonAlone { text }.about(users.concat()).to(users)
}

fn other_than(user: &str) -> &'static str {
    if user == "u_ada" { "u_bob" } else { "u_ada" }
}

/// Applies a change to the second of two while the first is in flight, and returns whether the second starts.
async fn second_sets_out(app: &App, by: By, happens: impl AsyncFnOnce(&str)) -> bool {
    let scene = scene(app, 1);
    let telling = scene.under_way(app, by, &["u_ada", "u_bob"]).await;
    let second = other_than(&scene.first());
    happens(second).await;
    let begun = scene.ends(telling).await;
    begun.iter().any(|(_, user)| user == second)
}

both_databases! {
    async fn an_opt_out_while_a_delivery_waits_for_its_call_is_respected(app: App) {
        for (by, ended) in [(By::Worker, 1), (By::Dispatch, 2)] {
            let opt_out = async |user: &str| app.choose(user, "loft", "pigeon", Choice::Off).await;
            assert!(!second_sets_out(&app, by, opt_out).await);
            assert_eq!(app.database.deliveries("state = 'suppressed'").await, ended);
            for user in ["u_ada", "u_bob"] {
                app.choose(user, "loft", "pigeon", Choice::On).await;
            }
            app.database.advance_windows(61).await;
        }
    }

    async fn a_user_who_is_forgotten_while_a_delivery_waits_for_its_call_is_sent_nothing(app: App) {
        for by in [By::Worker, By::Dispatch] {
            for user in ["u_ada", "u_bob"] {
                app.address(user, "pigeon", "the tower").await;
            }
            let forgotten = async |user: &str| {
                app.dispatcher.operations().forget_user(user).await.unwrap();
            };
            assert!(!second_sets_out(&app, by, forgotten).await);
            app.database.advance_windows(61).await;
        }
    }

    async fn a_delivery_that_expires_while_it_waits_for_its_call_is_not_sent(app: App) {
        let expires = async |user: &str| {
            let change = format!("expires_at = {{earlier(1)}} where user_id = '{user}'");
            app.database.change_deliveries(&change).await;
        };
        assert!(!second_sets_out(&app, By::Worker, expires).await);
        assert_eq!(app.database.deliveries("state = 'expired'").await, 1);
    }

    async fn an_unchanged_delivery_that_waits_for_its_call_is_sent(app: App) {
        assert!(second_sets_out(&app, By::Worker, async |_| {}).await);
        app.database.advance_windows(61).await;
        assert!(second_sets_out(&app, By::Dispatch, async |_| {}).await);
    }

    async fn the_rest_of_a_batch_is_sent_under_its_key(app: App) {
        let scene = scene(&app, 2);
        let users = ["u_ada", "u_bob", "u_cyd", "u_eve"];
        let telling = scene.under_way(&app, By::Worker, &users).await;
        let batched = "select {text(batch_id)} from {campanile}notification_deliveries where user_id = ";
        let key_of = async |user: &str| app.database.texts(&format!("{batched}'{user}'")).await.remove(0).unwrap();
        let first_batch = key_of(&scene.first()).await;
        let mut waiting = Vec::new();
        for user in users {
            if key_of(user).await != first_batch {
                waiting.push(user);
            }
        }
        assert_eq!(waiting.len(), 2);
        let second_batch = key_of(waiting[0]).await;
        app.choose(waiting[0], "loft", "pigeon", Choice::Off).await;
        let begun = scene.ends(telling).await;
        let later: Vec<_> = begun.iter().filter(|(_, user)| waiting.contains(&user.as_str())).collect();
        let rest = (Some(format!("cmp_batch_{second_batch}")), waiting[1].to_owned());
        assert_eq!(later, [&rest]);
    }
}
