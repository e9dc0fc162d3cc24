//! **Dispatch** from a shell: an untyped notice, from options or a JSON document on standard input.

use std::io::Read as _;

use campanile::{DispatchReport, Dispatcher, EventRequest, Explanation, Outcome};

use uuid::Uuid;

use crate::error::CommandError;
use crate::output::Answer;
use crate::table::{Table, counted, plain, short};

/// The maximum size of a document in bytes: far more than the largest payload and 100,000 recipients.
const MAX_DOCUMENT: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// `-`: the request is a JSON document on standard input
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true, conflicts_with_all = ["event_type", "subject", "org", "to", "payload", "dispatch_id"])]
    document: Option<String>,

    /// The event's type or an alias
    #[arg(
        long = "type",
        value_name = "EVENT",
        required_unless_present = "document"
    )]
    event_type: Option<String>,

    /// What the event is about
    #[arg(long, value_name = "ID")]
    subject: Option<String>,

    /// The organization in which it happened
    #[arg(long, value_name = "ID")]
    org: Option<String>,

    /// The users to notify, separated by commas
    #[arg(
        long,
        value_name = "USER,..",
        value_delimiter = ',',
        required_unless_present = "document"
    )]
    to: Vec<String>,

    /// The event's fields, as a JSON object
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,

    /// Your own id for the dispatch, a UUID: a dispatch with the same id is not written again, so the command can be repeated
    #[arg(long, value_name = "UUID")]
    dispatch_id: Option<Uuid>,

    /// Leave remote deliveries to a worker
    #[arg(long)]
    enqueue: bool,

    /// Show the plan, with the rule that decides each channel; nothing is written
    #[arg(long, conflicts_with = "enqueue")]
    explain: bool,
}

pub(crate) async fn dispatch(
    arguments: Arguments,
    dispatcher: &Dispatcher,
) -> Result<Answer, CommandError> {
    let (enqueue, explain) = (arguments.enqueue, arguments.explain);
    let request = request(arguments).await?;
    if explain {
        let plan = dispatcher.explain(request).await?;
        return Ok(Answer::new(explained(&plan), &plan));
    }
    let report = if enqueue {
        dispatcher.enqueue(request).await?
    } else {
        dispatcher.dispatch(request).await?
    };
    Ok(Answer::new(reported(&report), &report))
}

async fn request(arguments: Arguments) -> Result<EventRequest, CommandError> {
    let Some(event_type) = arguments.event_type else {
        let document = tokio::task::spawn_blocking(standard_input).await;
        let document = document.map_err(std::io::Error::other)??;
        return read(&document);
    };
    let payload = match arguments.payload {
        Some(text) => serde_json::from_str(&text).map_err(|error| {
            CommandError::Request(format!("the payload is not valid JSON: {error}"))
        })?,
        None => serde_json::Value::Null,
    };
    Ok(EventRequest {
        event_type,
        recipient_user_ids: arguments.to,
        subject_id: arguments.subject,
        org_id: arguments.org,
        payload,
        dispatch_id: arguments.dispatch_id,
    })
}

fn standard_input() -> std::io::Result<Vec<u8>> {
    let mut document = Vec::new();
    let input = std::io::stdin().lock();
    input.take(MAX_DOCUMENT + 1).read_to_end(&mut document)?;
    Ok(document)
}

/// Reads the bytes of a request.
fn read(document: &[u8]) -> Result<EventRequest, CommandError> {
    if document.len() as u64 > MAX_DOCUMENT {
        return Err(CommandError::Request(
            "the document on standard input is longer than 64 MiB: split the audience".into(),
        ));
    }
    let text = std::str::from_utf8(document).map_err(|error| {
        CommandError::Request(format!(
            "the document on standard input is not UTF-8: byte {} is not part of a character",
            error.valid_up_to() + 1
        ))
    })?;
    serde_json::from_str(text).map_err(|error| {
        CommandError::Request(format!(
            "the document on standard input is not a valid request: {error}; \
             it is {{ \"type\", \"recipientUserIds\", \"subjectId\", \"orgId\", \"payload\" }}"
        ))
    })
}

fn explained(plan: &Explanation) -> String {
    let mut table = Table::new(["RECIPIENT", "CHANNEL", "DELIVERY", "RULE"]);
    for recipient in &plan.plan.recipients {
        for decision in &recipient.channels {
            let rule = serde_json::to_value(decision.rule).unwrap_or_default();
            table.row([
                short(&recipient.recipient_user_id),
                decision.channel.to_owned(),
                match (decision.sends, plan.failures.contains_key(decision.channel)) {
                    (false, _) => "no",
                    (true, false) => "yes",
                    (true, true) => "fails",
                }
                .to_owned(),
                rule.as_str().unwrap_or_default().to_owned(),
            ]);
        }
    }
    let window = if plan.window_seconds > 0.0 {
        format!(
            "another dispatch within {} s with the key `{}` is a repeat",
            plan.window_seconds,
            plain(&plan.dedup_key)
        )
    } else {
        "no dispatch is a repeat".to_owned()
    };
    let failures = plan.failures.iter();
    let failures: Vec<_> = failures
        .map(|(channel, reason)| format!("\n{channel}: {}", plain(reason)))
        .collect();
    let failures = failures.concat();
    format!(
        "plan for {} (category {}): {window}; nothing was written\n\n{table}{failures}",
        plan.event_type, plan.category
    )
}

fn reported(report: &DispatchReport) -> String {
    let recipients = counted(report.recipients as u64, "recipient", "recipients");
    let counts: Vec<_> = [
        (report.sent, "sent"),
        (report.queued, "left to a worker"),
        (report.failed, "failed"),
        (report.deduped, "already notified"),
        (report.suppressed_by_prefs, "muted"),
        (report.unreachable, "without an address"),
        (report.suppressed_addresses, "with a suppressed address"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let head = match (report.dispatch_id, &counts[..]) {
        (None, []) => format!("{recipients}: nobody to notify"),
        (None, counts) => format!("{recipients}: {}; nothing was written", counts.join(", ")),
        (Some(id), counts) => format!("dispatch {id}, {recipients}: {}", counts.join(", ")),
    };
    if report.outcomes.is_empty() {
        return head;
    }
    let mut table = Table::new(["RECIPIENT", "CHANNEL", "OUTCOME", "REASON"]);
    for line in &report.outcomes {
        let reason = match &line.outcome {
            Outcome::Failed { reason, .. } => short(reason),
            _ => String::new(),
        };
        table.row([
            short(&line.recipient_user_id),
            line.channel.to_owned(),
            line.outcome.as_str().to_owned(),
            reason,
        ]);
    }
    format!("{head}\n\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(document: &[u8]) -> String {
        read(document).unwrap_err().to_string()
    }

    #[test]
    fn a_document_contains_the_complete_request() {
        let request = read(br#"{ "type": "a.b.c", "recipientUserIds": ["u_1"] }"#).unwrap();
        assert_eq!(
            (
                request.event_type.as_str(),
                request.recipient_user_ids.len()
            ),
            ("a.b.c", 1)
        );
    }

    #[test]
    fn an_unreadable_document_is_refused_with_the_place_and_the_expected_form() {
        assert!(refusal(b"{ \"type\": \"\xff\" }").contains("byte 12"));
        for document in ["", "{", "[]", r#"{ "recipients": [] }"#] {
            let refusal = refusal(document.as_bytes());
            assert!(refusal.contains("\"recipientUserIds\""), "{refusal}");
        }
        assert!(refusal(b"{\n  \"type\": 7 }").contains("line 2"));
    }
}
