//! The **figures** of this process: every metric with its labels, and its value since somebody last looked.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// By metric and labels, `campanile.deliveries{messaging.destination.name=pigeon,state=dead}` for example.
pub(crate) type Figures = BTreeMap<String, f64>;

/// What was counted since the last look: of counters how much, of gauges the last word, of histograms how many.
///
/// What did not move is not in it, nor a gauge that is at zero.
pub(crate) fn look() -> Figures {
    static SNAPSHOTTER: OnceLock<Snapshotter> = OnceLock::new();
    let snapshotter = SNAPSHOTTER.get_or_init(|| {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        recorder.install().unwrap();
        snapshotter
    });
    let mut figures = Figures::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let (name, labels) = key.key().clone().into_parts();
        let mut labels: Vec<_> = labels
            .iter()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        labels.sort();
        let value = match value {
            DebugValue::Counter(count) => f64::from(u32::try_from(count).unwrap()),
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => f64::from(u32::try_from(values.len()).unwrap()),
        };
        if value > 0.0 {
            figures.insert(format!("{}{{{}}}", name.as_str(), labels.join(",")), value);
        }
    }
    figures
}

/// Checks that there are these figures and no others.
#[track_caller]
pub(crate) fn check(figures: &Figures, expected: &[(&str, u32)]) {
    let expected: Figures = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), f64::from(*value)))
        .collect();
    assert_eq!(figures, &expected);
}
