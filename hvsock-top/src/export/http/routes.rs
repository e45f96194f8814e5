//! What can be asked for.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::Board;
use crate::export::{board::Format, negotiate::negotiate};

const INDEX: &str = "<!doctype html>
<meta charset=\"utf-8\">
<title>hvsock-top</title>
<h1>hvsock-top</h1>
<ul>
<li><a href=\"/metrics\">/metrics</a>: for Prometheus
<li><a href=\"/snapshot\">/snapshot</a>: everything, as JSON
<li><a href=\"/healthz\">/healthz</a>: whether it can be relied on
</ul>
";

/// All routes.
pub(super) fn router(board: Arc<Board>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/snapshot", get(snapshot))
        .route("/healthz", get(healthz))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(board)
}

async fn index() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], INDEX).into_response()
}

async fn metrics(State(board): State<Arc<Board>>, headers: HeaderMap) -> Response {
    // A client may send several; they count as one.
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let mut response = body(&board, negotiate(&accept.join(",")));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

async fn snapshot(State(board): State<Arc<Board>>) -> Response {
    body(&board, Format::Json)
}

fn body(board: &Board, format: Format) -> Response {
    match board.newest() {
        Some(newest) => ([(header::CONTENT_TYPE, format.media_type())], newest.body(format)).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "there is no Snapshot yet\n").into_response(),
    }
}

async fn healthz(State(board): State<Arc<Board>>) -> Response {
    let health = board.health();
    let status = if health.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = serde_json::to_string(&health).unwrap_or_default();
    text.push('\n');
    (status, [(header::CONTENT_TYPE, Format::Json.media_type())], text).into_response()
}

async fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "there are /metrics, /snapshot and /healthz\n").into_response()
}

async fn wrong_method() -> Response {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        [(header::ALLOW, "GET, HEAD")],
        "everything here is read only: use GET\n",
    )
        .into_response()
}
