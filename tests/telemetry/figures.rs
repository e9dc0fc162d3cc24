//! The **metrics** of this process: every metric with its labels, and its value since the last read.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// By metric and labels, `campanile.deliveries{messaging.destination.name=pigeon,state=dead}` for example.
pub(crate) type Figures = BTreeMap<String, f64>;

/// The values since the last read: the increase of counters, the last value of gauges, the number of samples of histograms.
///
/// It contains neither metrics that did not change, nor gauges that are zero.
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

/// Checks that there are exactly these metrics.
#[track_caller]
pub(crate) fn check(figures: &Figures, expected: &[(&str, u32)]) {
    let expected: Figures = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), f64::from(*value)))
        .collect();
    assert_eq!(figures, &expected);
}
