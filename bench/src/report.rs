//! The **report**, as Markdown and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::Result;
use crate::contenders::CAMPANILE;
use crate::measure::{Figure, Sample};
use crate::options::{Form, Options, Work};

/// What a run measured, and where.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// The version of campanile.
    pub version: &'static str,
    /// When the run began, in UTC.
    pub began_at: String,
    /// Whether it is a release build; the figures of another one mean nothing.
    pub is_release: bool,
    /// How large the works were.
    pub form: Form,
    /// How many rounds.
    pub rounds: u32,
    /// The processor, with how many cores, and the memory.
    pub machine: String,
    /// What was measured.
    pub sections: Vec<Section>,
}

/// One work on one database.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Section {
    /// The work.
    pub work: Work,
    /// The database with its version; none for what has none.
    pub database: Option<String>,
    /// The cases.
    pub cases: Vec<Case>,
    /// Why there are none.
    pub failure: Option<String>,
}

/// One case of a work, with what each contender did in it.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Case {
    /// What was done.
    pub name: String,
    /// The figures of it.
    pub figures: Vec<Row>,
}

/// One figure of a case.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// What it is called.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Each contender's.
    pub contenders: Vec<Figures>,
    /// Campanile's in proportion to each other contender's.
    pub ratios: Vec<Ratio>,
}

/// A figure of one contender.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// The contender.
    pub contender: &'static str,
    /// Over all rounds.
    #[serde(flatten)]
    pub spread: Spread,
}

/// Campanile's figure in proportion to another contender's, computed in each round.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Ratio {
    /// The other contender.
    pub to: &'static str,
    /// Over all rounds.
    #[serde(flatten)]
    pub spread: Spread,
}

/// A median, and what is around it.
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Self { median, min, max })
    }
}

/// The samples of a case while it runs: `[round][contender]`.
pub(crate) struct Samples {
    name: String,
    contenders: Vec<&'static str>,
    rounds: Vec<Vec<(&'static str, Sample)>>,
}

impl Samples {
    pub(crate) fn of(name: impl Into<String>, contenders: &[&'static str]) -> Self {
        let name = name.into();
        eprintln!("  {name}");
        Self {
            name,
            contenders: contenders.to_vec(),
            rounds: Vec::new(),
        }
    }

    /// The contenders of the next round, each in another place than in the one before.
    pub(crate) fn next_round(&mut self) -> Vec<&'static str> {
        let mut order = self.contenders.clone();
        order.rotate_left(self.rounds.len() % self.contenders.len().max(1));
        self.rounds.push(Vec::new());
        order
    }

    /// What a contender did in this round.
    pub(crate) fn record(&mut self, contender: &'static str, sample: Sample) {
        if let Some(round) = self.rounds.last_mut() {
            round.push((contender, sample));
        }
    }

    pub(crate) fn end(self) -> Case {
        let mut figures: Vec<Figure> = Vec::new();
        for (_, sample) in self.rounds.iter().flatten() {
            for (figure, _) in sample {
                if !figures.contains(figure) {
                    figures.push(*figure);
                }
            }
        }
        let figures = figures.into_iter().map(|figure| self.row(figure));
        Case {
            figures: figures.collect(),
            name: self.name,
        }
    }

    fn row(&self, figure: Figure) -> Row {
        let values = |contender| {
            let rounds = self.rounds.iter();
            rounds.map(move |round| value(round, contender, figure))
        };
        let contenders = self.contenders.iter().filter_map(|contender| {
            let spread = Spread::of(values(*contender).flatten().collect())?;
            Some(Figures { contender, spread })
        });
        let others = self.contenders.iter().filter(|name| **name != CAMPANILE);
        let ratios = others.filter_map(|to| {
            let pairs = values(CAMPANILE).zip(values(*to));
            let ratios =
                pairs.filter_map(|(own, other)| Some(own? / other.filter(|it| *it > 0.0)?));
            let spread = Spread::of(ratios.collect())?;
            Some(Ratio { to, spread })
        });
        Row {
            name: figure.name,
            unit: figure.unit,
            contenders: contenders.collect(),
            ratios: ratios.collect(),
        }
    }
}

fn value(round: &[(&'static str, Sample)], contender: &str, figure: Figure) -> Option<f64> {
    let (_, sample) = round.iter().find(|(name, _)| *name == contender)?;
    let (_, value) = sample.iter().find(|(known, _)| *known == figure)?;
    Some(*value)
}

impl Report {
    pub(crate) fn begin(options: &Options) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            began_at: jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string(),
            is_release: !cfg!(debug_assertions),
            form: options.form,
            rounds: options.rounds,
            machine: machine(),
            sections: Vec::new(),
        }
    }

    /// The first failure of a work.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.sections
            .iter()
            .find_map(|section| section.failure.as_deref())
    }

    /// As JSON, with keys in camelCase.
    ///
    /// # Errors
    ///
    /// Never: every part of it is text or a finite number.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let build = if self.is_release {
            "release build"
        } else {
            "debug build: its figures mean nothing"
        };
        let mut text = format!(
            "# campanile {} ({build})\n\n{}, {}, {} round(s), {} form.\n",
            self.version,
            self.began_at,
            self.machine,
            self.rounds,
            self.form.of("full", "quick"),
        );
        for section in &self.sections {
            section.write(&mut text);
        }
        text
    }
}

impl Section {
    fn write(&self, text: &mut String) {
        let database = self
            .database
            .as_deref()
            .map_or_else(String::new, |name| format!(", {name}"));
        let _ = write!(text, "\n## {}{database}\n", self.work.name());
        if let Some(failure) = &self.failure {
            let _ = write!(text, "\nFailed: {failure}\n");
            return;
        }
        let rows = || self.cases.iter().flat_map(|case| &case.figures);
        let mut contenders: Vec<&str> = Vec::new();
        let mut ratios: Vec<&str> = Vec::new();
        for row in rows() {
            let new = row.contenders.iter().map(|known| known.contender);
            add(&mut contenders, new);
            add(&mut ratios, row.ratios.iter().map(|known| known.to));
        }
        let _ = write!(text, "\n| case | figure |");
        for name in &contenders {
            let _ = write!(text, " {name} |");
        }
        for name in &ratios {
            let _ = write!(text, " {CAMPANILE} : {name} |");
        }
        let columns = contenders.len() + ratios.len();
        let _ = writeln!(text, "\n|---|---|{}", "--:|".repeat(columns));
        for case in &self.cases {
            for (place, row) in case.figures.iter().enumerate() {
                let name = if place == 0 { case.name.as_str() } else { "" };
                let unit = if row.unit.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", row.unit)
                };
                let _ = write!(text, "| {name} | {}{unit} |", row.name);
                for contender in &contenders {
                    let mut known = row.contenders.iter();
                    let figures = known.find(|known| known.contender == *contender);
                    let cell = figures.map_or_else(String::new, |it| number(it.spread.median));
                    let _ = write!(text, " {cell} |");
                }
                for to in &ratios {
                    let ratio = row.ratios.iter().find(|known| known.to == *to);
                    let cell = ratio.map_or_else(String::new, |it| it.spread.as_ratio());
                    let _ = write!(text, " {cell} |");
                }
                text.push('\n');
            }
        }
    }
}

fn add<'a>(known: &mut Vec<&'a str>, names: impl Iterator<Item = &'a str>) {
    for name in names {
        if !known.contains(&name) {
            known.push(name);
        }
    }
}

impl Spread {
    fn as_ratio(self) -> String {
        let Self { median, min, max } = self;
        format!("{} ({}..{})", number(median), number(min), number(max))
    }
}

/// Three digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

fn machine() -> String {
    let read = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        let (_, value) = line.split_once(':')?;
        Some(value.trim().to_owned())
    };
    let model =
        read("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = read("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let memory = memory.map_or(0, |kilobytes| kilobytes.div_ceil(1 << 20));
    format!("{model}, {cores} core(s), {memory} GiB of memory")
}
