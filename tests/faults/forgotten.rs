//! F34: a user who is forgotten while deliveries are in flight.

use campanile_tests::both_databases;
use campanile_tests::provider::Behaviour;

use crate::stage::{Stage, bell};

both_databases! {
    /// F34.
    async fn a_user_forgotten_with_deliveries_in_flight_leaves_nothing_behind(stage: Stage) {
        stage.people(4).await;
        stage.provider.always(Behaviour::AcceptThenHold);
        let _ = stage.enqueue(bell("in flight", 4)).await;
        let worker = stage.worker();
        stage.provider.asked(0, 4).await;
        let _ = stage.enqueue(bell("waiting", 4)).await;
        stage.told().forgotten.push("u_1".into());
        stage.dispatcher.operations().forget_user("u_1").await.unwrap();
        stage.provider.always(Behaviour::Accept);
        stage.provider.release();
        stage.all_ended().await;
        worker.terminate().await;
        stage.ends_well().await;
        for (table, column) in [
            ("notifications", "user_id"),
            ("notification_dedup", "recipient_user_id"),
            ("notification_deliveries", "user_id"),
            ("notification_addresses", "user_id"),
        ] {
            let left = format!("select count(*) from {{campanile}}{table} where {column} = $1");
            assert_eq!(stage.number_of(&left, "u_1").await, 0, "{table}");
        }
        let orphans = "select count(*) from {campanile}notification_attempts as line where not exists \
            (select 1 from {campanile}notification_deliveries as its where its.id = line.delivery_id)";
        assert_eq!(stage.database.number(orphans).await, 0);
        assert_eq!(stage.in_state("delivered").await, 2 * 2 * 3);
    }
}
