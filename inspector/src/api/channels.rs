//! `POST /api/channels/{name}/fail`: an outage on purpose, to see what is kept and what is retried.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use campanile::channel::{RegisteredChannel, Transport};
use serde::{Deserialize, Serialize};

use crate::api::Named;
use crate::body::Document;
use crate::inspector::Inspector;
use crate::outage::Outage;
use crate::problem::Problem;

/// A channel, as the page shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Channel {
    name: &'static str,
    transport: &'static str,
    failing: bool,
}

/// The position to which the switch is set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    failing: bool,
}

/// Every channel of this binary, sorted by its name.
pub(crate) fn list(inspector: &Inspector) -> Vec<Channel> {
    let channels = inspector.dispatcher().registry().channels();
    channels.map(|channel| show(inspector, channel)).collect()
}

pub(crate) async fn fail(
    State(inspector): State<Inspector>,
    Named(name): Named<String>,
    Document(switch): Document<Switch>,
) -> Result<Json<Channel>, Problem> {
    let mut channels = inspector.dispatcher().registry().channels();
    let Some(channel) = channels.find(|channel| channel.declaration.name() == name) else {
        let known: Vec<_> = list(&inspector)
            .iter()
            .map(|channel| channel.name)
            .collect();
        let detail = format!(
            "no linked channel has this name; the channels are {}",
            known.join(", ")
        );
        return Err(Problem::not_found("UNKNOWN_CHANNEL", detail).with("known", known));
    };
    let Some(outage) = inspector.outages().of(&name) else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "LOCAL_CHANNEL",
            format!(
                "`{name}` cannot fail separately: its row is written with the dispatch, in the same statement"
            ),
        ));
    };
    outage.set(switch.failing);
    Ok(Json(show(&inspector, channel)))
}

fn show(inspector: &Inspector, channel: &RegisteredChannel) -> Channel {
    let name = channel.declaration.name();
    Channel {
        name,
        transport: match channel.transport {
            Transport::Local(_) => "local",
            Transport::Remote(_) => "remote",
        },
        failing: inspector.outages().of(name).is_some_and(Outage::is_on),
    }
}
