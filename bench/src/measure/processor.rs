//! The processor's time, as Linux counts it: in hundredths of a second, so that only many dispatches together have a figure.

use std::time::Duration;

/// Of Linux, whatever the kernel's own clock is.
const TICK: Duration = Duration::from_millis(10);

/// The time of this process.
pub(crate) fn of_this_process() -> Duration {
    read("self").map_or(Duration::ZERO, |times| times.own)
}

/// The time of a server: its first process, the processes that it has now, and those that have ended.
pub(crate) fn of_server(first: u32) -> Duration {
    let Some(times) = read(&first.to_string()) else {
        return Duration::ZERO;
    };
    let mut total = times.own + times.ended_children;
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let name = process.file_name();
        let Some(id) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
            continue;
        };
        if let Some(child) = read(id).filter(|child| child.parent == first) {
            total += child.own;
        }
    }
    total
}

struct Times {
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

fn read(process: &str) -> Option<Times> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name is in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse::<u32>().ok();
    Some(Times {
        parent: number(1)?,
        own: TICK * (number(11)? + number(12)?),
        ended_children: TICK * (number(13)? + number(14)?),
    })
}
