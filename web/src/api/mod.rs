//! The **API**: the table of its routes. Keys are camelCase, times RFC 3339.

pub(crate) mod counts;
pub(crate) mod inbox;
pub(crate) mod marks;
mod events;
pub(crate) mod preferences;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::settings_page;
use crate::state::Web;

/// Every route, for the router and for the `OpenAPI` document.
pub(crate) fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(inbox::list))
        .routes(routes!(counts::read))
        .routes(routes!(marks::change))
        .routes(routes!(marks::seen))
        .routes(routes!(marks::read_all))
        .routes(routes!(events::listen))
        .routes(routes!(preferences::read, preferences::switch))
        .routes(routes!(settings_page::show, settings_page::submit))
}
