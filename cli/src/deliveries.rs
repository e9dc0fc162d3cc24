//! **Deliveries**: lists them, and shows, retries or cancels one.

use campanile::database::{each_connection, statement};
use campanile::operate::{DeliveryFilter, DeliveryState, DeliverySummary};
use campanile::{Database, Dispatcher, StoreError};
use serde_json::json;
use uuid::Uuid;

use crate::error::CommandError;
use crate::output::Answer;
use crate::table::{Table, or_dash, short};
use crate::{channels, input, timeline};

#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Action {
    /// Lists deliveries, newest first
    List {
        #[command(flatten)]
        page: Page,
        /// Only in this state
        #[arg(long, value_parser = input::state())]
        state: Option<DeliveryState>,
    },
    /// Shows the history of a delivery and of the others of its notification, in the order of time
    Show {
        /// The delivery
        #[arg(value_parser = input::delivery_id)]
        id: Uuid,
    },
    /// Makes a delivery due now, with a fresh set of attempts
    Retry {
        /// The delivery
        #[arg(value_parser = input::delivery_id)]
        id: Uuid,
    },
    /// Cancels a waiting delivery
    Cancel {
        /// The delivery
        #[arg(value_parser = input::delivery_id)]
        id: Uuid,
    },
}

/// Selects a part of a long list.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Page {
    /// Only of this channel
    #[arg(long)]
    channel: Option<String>,

    /// Only older than this delivery, the last one of the previous page
    #[arg(long, value_name = "ID", value_parser = input::delivery_id)]
    before: Option<Uuid>,

    /// The maximum number of deliveries
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
}

pub(crate) async fn perform(
    action: Action,
    dispatcher: &Dispatcher,
) -> Result<Answer, CommandError> {
    match action {
        Action::List { page, state } => list(dispatcher, &page, state).await,
        Action::Show { id } => show(dispatcher, id).await,
        Action::Retry { id } => {
            dispatcher.operations().retry_delivery(id).await?;
            let text = format!("the delivery {id} is due now; a worker will send it");
            Ok(Answer::new(
                text,
                &json!({ "id": id, "state": DeliveryState::Pending }),
            ))
        }
        Action::Cancel { id } => {
            dispatcher.operations().cancel_delivery(id).await?;
            let text = format!("the delivery {id} is cancelled");
            Ok(Answer::new(
                text,
                &json!({ "id": id, "state": DeliveryState::Cancelled }),
            ))
        }
    }
}

/// One page of the list.
pub(crate) async fn list(
    dispatcher: &Dispatcher,
    page: &Page,
    state: Option<DeliveryState>,
) -> Result<Answer, CommandError> {
    let filter = DeliveryFilter {
        channel: page.channel.as_deref(),
        state,
        before: page.before,
        limit: page.limit.into(),
    };
    let deliveries = dispatcher.operations().deliveries(filter).await?;
    if deliveries.is_empty()
        && let Some(channel) = &page.channel
    {
        channels::check(dispatcher, channel).await?;
    }
    let mut text = table(&deliveries);
    if deliveries.len() == usize::from(page.limit)
        && let Some(last) = deliveries.last()
    {
        text = format!("{text}\nolder ones: --before {}", last.id);
    }
    Ok(Answer::new(text, &deliveries))
}

fn table(deliveries: &[DeliverySummary]) -> String {
    if deliveries.is_empty() {
        return "no deliveries".to_owned();
    }
    let mut table = Table::new([
        "DELIVERY", "CHANNEL", "STATE", "ATTEMPTS", "USER", "EVENT", "CREATED", "DUE", "ERROR",
    ]);
    for delivery in deliveries {
        let waits = delivery.state == DeliveryState::Pending;
        table.row([
            delivery.id.to_string(),
            short(&delivery.channel),
            delivery.state.as_str().to_owned(),
            delivery.attempts.to_string(),
            short(&delivery.user_id),
            short(&delivery.event_type),
            format!("{:.0}", delivery.created_at),
            or_dash(waits.then(|| format!("{:.0}", delivery.run_at))),
            or_dash(delivery.last_error.as_deref().map(short)),
        ]);
    }
    table.to_string()
}

async fn show(dispatcher: &Dispatcher, id: Uuid) -> Result<Answer, CommandError> {
    let found = notification_of(dispatcher.database(), id).await?;
    let notification = found.ok_or(CommandError::NoDelivery(id))?;
    let history = dispatcher.operations().history(notification).await?;
    Ok(Answer::new(timeline::of(&history), &history))
}

statement! {
    NOTIFICATION = "select {text(notification_id)} from {campanile}notification_deliveries where id = {uuid($1)}"
}

async fn notification_of(database: &Database, id: Uuid) -> Result<Option<Uuid>, StoreError> {
    let found: Result<Option<String>, _> = each_connection!(database, |connection| {
        let found = sqlx::query_scalar(NOTIFICATION.on(database)).bind(id.to_string());
        found.fetch_optional(&mut *connection).await
    });
    let parsed = found?.map(|text| Uuid::parse_str(&text)).transpose();
    Ok(parsed.map_err(|error| sqlx::Error::Decode(error.into()))?)
}
