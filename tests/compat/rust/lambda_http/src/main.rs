//! An axum router on lambda_http; with the argument "stream" its answers are streamed.
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request};
use axum::http::{header, HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{from_fn, Next};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use futures_util::stream;
use lambda_http::{Context, Error, RequestExt};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

async fn api(method: Method, uri: Uri, headers: HeaderMap, body: String) -> impl IntoResponse {
    let field = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let cookies: Vec<String> = field("cookie").split("; ").map(str::to_owned).collect();
    let seen = json!({
        "method": method.as_str(), "path": uri.path(), "query": uri.query(), "cookies": cookies, "color": field("x-color"), "body": body,
    });
    let cookies = AppendHeaders([(header::SET_COOKIE, "first=1; Path=/"), (header::SET_COOKIE, "second=2")]);
    (StatusCode::CREATED, cookies, [("X-Answer", "made by a handler")], Json(seen))
}

async fn echo(body: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain")], body)
}

async fn reversed(body: Bytes) -> impl IntoResponse {
    let mut bytes = body.to_vec();
    bytes.reverse();
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes)
}

/// Sends "early", waits until the file that the query names is there, and sends what is last.
async fn streamed(query: HashMap<String, String>, last: Result<&'static str, std::io::Error>) -> Response {
    let gate = query.get("gate").cloned().unwrap_or_else(|| "/".to_owned());
    let parts = stream::unfold((true, Some(last)), move |(first, last)| {
        let gate = gate.clone();
        async move {
            if first {
                return Some((Ok("early\n"), (false, last)));
            }
            while !Path::new(&gate).exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            last.map(|last| (last, (false, None)))
        }
    });
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "text/plain"), (header::SET_COOKIE, "first=1")], Body::from_stream(parts)).into_response()
}

async fn whole(Query(query): Query<HashMap<String, String>>) -> Response {
    streamed(query, Ok("late\n")).await
}

async fn broken(Query(query): Query<HashMap<String, String>>) -> Response {
    streamed(query, Err(std::io::Error::other("broke in the middle"))).await
}

async fn late(context: Context) -> &'static str {
    let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    println!("left: {} ms", left.as_millis());
    tokio::time::sleep(left + Duration::from_secs(60)).await;
    "too late"
}

async fn exit() -> &'static str {
    eprintln!("last words");
    std::process::exit(7)
}

async fn panics() -> &'static str {
    panic!("broken in the handler")
}

async fn note(request: Request, next: Next) -> Response {
    if let Some(note) = request.headers().get("x-note").and_then(|v| v.to_str().ok()) {
        println!("note: {note}");
    }
    next.run(request).await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let timeout = any(|request: Request| async move {
        let context = request.lambda_context_ref().cloned().unwrap_or_default();
        late(context).await
    });
    let routes = [
        ("echo", any(echo)), ("api", any(api)), ("binary", any(reversed)), ("stream", any(whole)), ("break", any(broken)),
        ("panic", any(panics)), ("exit", any(exit)), ("timeout", timeout),
    ];
    let app = routes.into_iter().fold(Router::new(), |app, (name, route)| app.route(&format!("/{{pool}}/{name}"), route));
    let app = app.layer(from_fn(note)).layer(DefaultBodyLimit::disable());
    if std::env::args().nth(1).as_deref() == Some("stream") {
        return lambda_http::run_with_streaming_response_concurrent(app).await;
    }
    lambda_http::run(app).await
}
