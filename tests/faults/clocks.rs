//! Wrong clocks: only the database's clock makes decisions. The clocks of workers and of the server are shifted with libfaketime.

use std::ffi::OsString;
use std::path::PathBuf;

use campanile_tests::database::{Fixture as _, run, run_on_own_server};
use campanile_tests::provider::Behaviour;
use campanile_tests::{Kind, both_databases};

use crate::process::Process;
use crate::stage::{Stage, bell, sign};

/// The path of libfaketime.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    libraries.into_iter().find(|library| library.exists()).expect(
        "libfaketime is missing: `sudo apt-get install faketime`; `./test.sh` installs everything that is needed",
    )
}

/// The offset of a process's clock, `+2h` for example; time still passes at the right speed.
fn wrong_by(offset: &str) -> [(&'static str, OsString); 3] {
    [
        ("LD_PRELOAD", faketime().into()),
        ("FAKETIME", offset.into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]
}

/// F24. On SQLite the database's clock is the machine's, so there is nothing to test.
#[test]
fn a_worker_whose_clock_is_wrong_by_hours_claims_only_due_deliveries() {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        stage.people(4).await;
        // Another worker's lease, and deliveries that wait for an hour.
        stage.provider.always(Behaviour::AcceptThenHold);
        let _ = stage.enqueue(bell("leased", 4)).await;
        let right = stage.worker_as(|settings| {
            (settings.mail_millis, settings.attempt_millis) = (120_000, 120_000);
        });
        stage.provider.asked(0, 4).await;
        stage.stop(&right).await;
        stage.provider.always(Behaviour::Accept);
        let _ = stage.enqueue(bell("in an hour", 4)).await;
        let later = "update {campanile}notification_deliveries set run_at = {later(3600000000)} where state = 'pending'";
        stage.database.execute(later).await;
        for offset in ["+2h", "-2h"] {
            let mut worker = stage.worker_command(&stage.database.url, |_| {});
            let worker = Process::start(worker.envs(wrong_by(offset)));
            // Twice, so that it has polled everything in between.
            for time in ["due", "due again"] {
                let _ = stage.enqueue(bell(&format!("{time} {offset}"), 4)).await;
                let due = "select count(*) from {campanile}notification_deliveries where state = 'pending' and run_at <= {now}";
                stage
                    .eventually("due deliveries are claimed", async || {
                        stage.database.number(due).await == 0
                    })
                    .await;
            }
            let untouched = "select count(*) from {campanile}notification_deliveries as delivery \
                join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
                where dispatch.subject_id = 'in an hour' and delivery.state = 'pending' and delivery.attempt = 0";
            assert_eq!(stage.database.number(untouched).await, 8, "{offset}");
            let leased = "select count(*) from {campanile}notification_deliveries as delivery \
                join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
                where dispatch.subject_id = 'leased' and delivery.channel = 'email' and delivery.state = 'running' and delivery.attempt = 1";
            assert_eq!(stage.database.number(leased).await, 4, "{offset}");
            worker.terminate().await;
        }
        stage.provider.release();
        right.signal("CONT").await;
        right.terminate().await;
        stage.ends_well().await;
    });
}

/// F24. A dispatching process with a wrong clock uses the same windows as all others.
#[test]
fn a_dispatcher_whose_clock_is_wrong_by_hours_uses_the_same_windows() {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        stage.people(3).await;
        for (offset, admitted) in [("+2h", "3"), ("-2h", "0"), ("+2h", "0")] {
            // The same name each time: its first dispatch has the same key.
            let mut command = stage.dispatcher_command(&stage.database.url, "enqueue", "same", 3);
            let mut teller = Process::start(command.envs(wrong_by(offset)));
            assert_eq!(teller.line().await, "begun same_0");
            assert_eq!(
                teller.line().await,
                format!("done same_0 {admitted}"),
                "{offset}"
            );
            teller.kill().await;
        }
        stage.ends_well().await;
    });
}

/// F25. The server's own clock is set back by an hour, and forward again.
#[test]
fn a_database_whose_clock_is_set_back_repeats_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let offset = folder.path().join("offset");
    let set_clock = |to: &str| std::fs::write(&offset, format!("{to}\n")).unwrap();
    open(folder.path());
    set_clock("+0");
    let environment = [
        ("LD_PRELOAD", faketime().into()),
        ("FAKETIME_TIMESTAMP_FILE", offset.clone().into()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ];
    run_on_own_server(&environment, async |database, _| {
        let stage = Stage::over(database).await;
        stage.people(4).await;
        let now = "select {micros(clock_timestamp())}";
        let _ = stage.enqueue(bell("before", 4)).await;
        let before = stage.database.number(now).await;
        set_clock("-3600");
        assert!(
            stage.database.number(now).await < before,
            "the clock was set back"
        );
        // Its window is open for an hour longer, and its deliveries wait for an hour longer.
        assert_eq!(stage.enqueue(bell("before", 4)).await.deduped, 4);
        let _ = stage.enqueue(bell("meanwhile", 4)).await;
        let worker = stage.worker();
        let delivered = async || stage.in_state("delivered").await == 8;
        stage
            .eventually("new deliveries are made at once", delivered)
            .await;
        assert_eq!(stage.in_state("pending").await, 8);
        set_clock("+0");
        stage.all_ended().await;
        assert_eq!(stage.enqueue(bell("before", 4)).await.deduped, 4);
        worker.terminate().await;
        stage.ends_well().await;
        assert_eq!(stage.provider.ledger().entries.len(), 8);
    });
}

both_databases! {
    /// F25 on both databases: the clock is not changed, but every stored time is moved into the future.
    async fn stored_times_in_the_future_repeat_nothing_and_lose_nothing(stage: Stage) {
        stage.people(4).await;
        let _ = stage.enqueue(bell("before", 4)).await;
        let _ = stage.enqueue(sign("window", 4)).await;
        stage.pass_time(-3_600).await;
        assert_eq!(stage.enqueue(bell("before", 4)).await.deduped, 4);
        assert_eq!(stage.enqueue(sign("window", 4)).await.deduped, 4);
        let _ = stage.enqueue(bell("meanwhile", 4)).await;
        let worker = stage.worker();
        let delivered = async || stage.in_state("delivered").await == 8;
        stage.eventually("new deliveries are made at once", delivered).await;
        assert_eq!(stage.in_state("pending").await, 8);
        stage.pass_time(3_600 + 30).await;
        assert_eq!(stage.enqueue(sign("window", 4)).await.deduped, 4, "the window is as long as before");
        stage.all_ended().await;
        stage.pass_time(60).await;
        assert_eq!(stage.enqueue(sign("window", 4)).await.admitted, 4);
        worker.terminate().await;
        stage.ends_well().await;
        assert_eq!(stage.provider.ledger().entries.len(), 8);
    }
}

/// The server may run as another user.
fn open(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
