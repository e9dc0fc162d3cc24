//! `POST /api/dispatch` fires an event and returns the report; `POST /api/explain` returns the plan and writes nothing.

use axum::Json;
use axum::extract::State;
use campanile::{DispatchReport, EventRequest, Explanation};

use crate::body::Document;
use crate::inspector::Inspector;
use crate::problem::Problem;

pub(crate) async fn dispatch(
    State(inspector): State<Inspector>,
    Document(request): Document<EventRequest>,
) -> Result<Json<DispatchReport>, Problem> {
    Ok(Json(inspector.dispatcher().dispatch(request).await?))
}

pub(crate) async fn explain(
    State(inspector): State<Inspector>,
    Document(request): Document<EventRequest>,
) -> Result<Json<Explanation>, Problem> {
    Ok(Json(inspector.dispatcher().explain(request).await?))
}
