//! A process of its own that fires one event many times at once and prints how many notifications it was granted.
//!
//! `campanile-fire DATABASE_URL TIMES`

use campanile::{Database, Dispatcher, NotifiableEvent as _};
use campanile_pigeon::PigeonSettings;
use campanile_tests::app::capture;
use campanile_tests::events::PigeonExpected;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(times)) = (arguments.next(), arguments.next()) else {
        return Err("usage: campanile-fire DATABASE_URL TIMES".into());
    };
    let dispatcher = Dispatcher::builder()
        .database(Database::connect(&url).await?)
        .with(capture().0)
        .with(PigeonSettings::default())
        .build()?;
    let fires = (0..times.parse::<usize>()?).map(|_| {
        let dispatcher = dispatcher.clone();
        tokio::spawn(async move {
            let notice = PigeonExpected::default().about("loft").to(["u_ada"]);
            dispatcher.enqueue(notice).await
        })
    });
    let mut admitted = 0;
    for fire in fires.collect::<Vec<_>>() {
        admitted += fire.await??.admitted;
    }
    // Read by the test that started this process.
    let mut out = std::io::stdout();
    std::io::Write::write_all(&mut out, format!("{admitted}\n").as_bytes())?;
    Ok(())
}
