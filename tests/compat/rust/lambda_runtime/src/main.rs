//! A handler on lambda_runtime: events and answers as JSON, and answers that are streamed.
use futures_util::stream::{self, BoxStream, StreamExt};
use lambda_runtime::streaming::Response;
use lambda_runtime::{service_fn, Context, Error, FunctionResponse, LambdaEvent, MetadataPrelude};
use serde_json::{json, Value};
use std::path::Path;
use std::time::{Duration, SystemTime};

type Part = Result<&'static str, std::io::Error>;
type Answer = FunctionResponse<Value, BoxStream<'static, Part>>;

fn buffered(answer: Value) -> Result<Answer, Error> {
    Ok(FunctionResponse::BufferedResponse(answer))
}

fn api(event: &Value) -> Value {
    let seen = json!({
        "method": event["requestContext"]["http"]["method"], "path": event["rawPath"], "query": event["rawQueryString"], "cookies": event["cookies"],
        "parameters": event["pathParameters"], "color": event["headers"]["x-color"], "body": event["body"],
    });
    json!({
        "statusCode": 201, "headers": {"Content-Type": "application/json", "X-Answer": "made by a handler"},
        "cookies": ["first=1; Path=/", "second=2"], "body": seen.to_string(),
    })
}

/// Hands the body back as it came: still in base64.
fn same_bytes(event: &Value) -> Value {
    json!({"statusCode": 200, "headers": {"Content-Type": "application/octet-stream"}, "body": event["body"], "isBase64Encoded": event["isBase64Encoded"]})
}

/// Sends "early", waits until the file that the query names is there, and sends what is last.
fn streamed(event: &Value, last: Part) -> Answer {
    let gate = event["queryStringParameters"]["gate"].as_str().unwrap_or("/").to_owned();
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
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "text/plain".parse().expect("a constant"));
    let metadata_prelude = MetadataPrelude { status_code: http::StatusCode::ACCEPTED, headers, cookies: vec!["first=1".into()] };
    FunctionResponse::StreamingResponse(Response { metadata_prelude, stream: parts.boxed() })
}

async fn late(context: &Context) -> Result<Answer, Error> {
    let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    println!("left: {} ms", left.as_millis());
    tokio::time::sleep(left + Duration::from_secs(60)).await;
    buffered(json!("too late"))
}

async fn handle(event: LambdaEvent<Value>) -> Result<Answer, Error> {
    let (event, context) = event.into_parts();
    if let Some(note) = event["headers"]["x-note"].as_str() {
        println!("note: {note}");
    }
    match event["rawPath"].as_str().and_then(|p| p.rsplit('/').next()).unwrap_or("") {
        "echo" => buffered(json!({"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": event["body"]})),
        "api" => buffered(api(&event)),
        "binary" => buffered(same_bytes(&event)),
        "stream" => Ok(streamed(&event, Ok("late\n"))),
        "break" => Ok(streamed(&event, Err(std::io::Error::other("broke in the middle")))),
        "error" => Err("refused by the handler".into()),
        "panic" => panic!("broken in the handler"),
        "exit" => {
            eprintln!("last words");
            std::process::exit(7)
        }
        "timeout" => late(&context).await,
        _ => buffered(json!({"statusCode": 404})),
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_runtime::spawn_graceful_shutdown_handler(|| async { println!("SIGTERM seen") }).await;
    lambda_runtime::run_concurrent(service_fn(handle)).await
}
