//! The **viewer** is the user who looks at an inbox. Only the host knows who that is; this crate has no users and no sessions.

/// The host's own extractor of the signed-in user.
///
/// It is also an axum extractor ([`FromRequestParts`](axum::extract::FromRequestParts)): it reads the session, and its rejection
/// is the answer to a user who is not signed in.
///
/// The ids must come from what the host has verified, a session or a token. An id from a path, a query, a body or a header that
/// anybody can set would let everybody read everything.
///
/// ```compile_fail,E0277
/// use campanile_web::Settings;
///
/// struct CurrentUser(String);
///
/// // `CurrentUser` does not say who it is.
/// fn notifications(dispatcher: campanile::Dispatcher) -> axum::Router {
///     campanile_web::router::<(), CurrentUser>(dispatcher, Settings::default())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whose inbox it is: it does not implement `campanile_web::Viewer`",
    label = "give the extractor of the signed-in user here",
    note = "campanile has no users of its own; implement `FromRequestParts` and `Viewer` for a type that reads the host's session:\n\
            impl campanile_web::Viewer for {Self} {{ fn user_id(&self) -> &str {{ &self.id }} }}"
)]
pub trait Viewer: Send + 'static {
    /// The id of the user, as dispatches name it as a recipient.
    fn user_id(&self) -> &str;

    /// The user's current organization. With one, the inbox contains only the items of that organization; without, it contains
    /// all of the user's items, and `?org=` can narrow it.
    fn org_id(&self) -> Option<&str> {
        None
    }
}
